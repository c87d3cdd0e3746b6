# SPDX-License-Identifier: Apache-2.0
"""How many volumes a node does, and how long the stages of the last one took: what its diagnostics say of its speed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

#: The rate is that of the last ten minutes.
WINDOW_S = 600.0


class Throughput:
    """Counts volumes. Free of the clock: the caller says what time it is.

    Args:
        began_s: when the node began.
    """

    def __init__(self, began_s: float) -> None:
        self._began_s = began_s
        self._count = 0
        self._ended_s: deque[float] = deque(maxlen=100_000)
        self._stages_s: dict[str, float] = {}

    def done(self, stages_s: Mapping[str, float], now_s: float) -> None:
        """The work on a volume was done; `stages_s` is how long each of its stages took."""
        self._count += 1
        self._ended_s.append(now_s)
        self._stages_s = dict(stages_s)

    def values(self, now_s: float) -> dict[str, str]:
        """The values of the diagnostics, by their keys in docs/ros.md."""
        since_s = min(WINDOW_S, now_s - self._began_s)
        while self._ended_s and self._ended_s[0] < now_s - WINDOW_S:
            self._ended_s.popleft()
        per_minute = 60 * len(self._ended_s) / since_s if since_s > 0 else 0.0
        values = {"volumes_done": str(self._count), "volumes_per_minute": f"{per_minute:.3g}"}
        if self._stages_s:
            values["seconds"] = f"{sum(self._stages_s.values()):.3f}"
            values |= {f"seconds {stage}": f"{seconds:.3f}" for stage, seconds in self._stages_s.items()}
        return values
