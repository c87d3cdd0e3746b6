# SPDX-License-Identifier: Apache-2.0
"""When the guard reads: at once where the needle moved, and regularly where nothing tells that it did."""

from __future__ import annotations

import math


class ReadingPace:
    """Says yes or no to each transform and each tick of a timer.

    What a tick made never keeps a transform waiting: where tracker and timer run at one rate, the one just behind the
    other, each place of the needle would else be read a period late.

    Args:
        rate_hz: of the timer; about as many readings a second at least, and at most twice as many.
    """

    def __init__(self, rate_hz: float) -> None:
        self._shortest_s, self._quiet_s = 0.5 / rate_hz, 0.75 / rate_hz
        self._moved_s = self._read_s = -math.inf

    def moved(self, now_s: float) -> bool:
        """A transform came: whether to read. Not where one was read half a period ago or less."""
        if now_s - self._moved_s < self._shortest_s:
            return False
        self._moved_s = self._read_s = now_s
        return True

    def ticked(self, now_s: float) -> bool:
        """The timer ticked: whether to read. Not where anything was read three quarters of a period ago or less."""
        if now_s - self._read_s < self._quiet_s:
            return False
        self._read_s = now_s
        return True
