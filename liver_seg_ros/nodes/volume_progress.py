# SPDX-License-Identifier: Apache-2.0
"""How far the work on one volume is, as messages: of the stage and of all of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from liver_seg_interfaces.msg import Progress
from liver_seg_ros.overall_progress import Course, OverallProgress

_SHORTEST_INTERVAL_S = 0.05


class VolumeProgress:
    """A `Progress` that tells at most 20 times a second, besides each stage's begin and end.

    Attributes:
        volume_uid: of the CT; empty while that is not known.

    Args:
        volume_uid: as above.
        before: how the work went before.
        tell: is given each message, without its header.
    """

    def __init__(self, volume_uid: str, before: Course, tell: Callable[[Progress], None]) -> None:
        self.volume_uid = volume_uid
        self._overall = OverallProgress(before)
        self._tell = tell
        self._told_s = -_SHORTEST_INTERVAL_S

    def __call__(self, stage: str, fraction: float) -> None:
        overall = self._overall.update(stage, fraction)
        now_s = time.monotonic()
        if 0.0 < fraction < 1.0 and now_s - self._told_s < _SHORTEST_INTERVAL_S:
            return
        self._told_s = now_s
        self._tell(
            Progress(
                volume_uid=self.volume_uid,
                stage=stage,
                stage_fraction=float(fraction),
                overall_fraction=overall.fraction,
                seconds_left=overall.seconds_left,
            )
        )

    def course(self) -> Course:
        """How the work went until now."""
        return self._overall.course()
