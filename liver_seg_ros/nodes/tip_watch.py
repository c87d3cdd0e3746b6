# SPDX-License-Identifier: Apache-2.0
"""Whether what TF says about a needle's tip can be believed: fresh, and no faster than a needle moves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from liver_seg_ros.planning.guard import Reason


class TipWatch:
    """Judges one look-up after the other.

    Two clocks: that of the stamps, which may be a simulation's, and one that always runs. A simulation that stands
    still, or a publisher that repeats one stamp for ever, would else look fresh for ever.

    Args:
        timeout_s: a transform older than this is stale, and one that far in the future is wrong.
        max_speed_mm_s: a tip that is faster between two stamps has jumped.
        hold_s: a jump is told for so long, so that nobody misses it.
    """

    def __init__(self, timeout_s: float, max_speed_mm_s: float, hold_s: float = 0.5) -> None:
        self._timeout_s, self._max_speed_mm_s, self._hold_s = timeout_s, max_speed_mm_s, hold_s
        self._last: tuple[int, np.ndarray] | None = None
        self._came_s = 0.0
        self._jumped_s = -np.inf

    def judge(self, stamp_ns: int | None, tip_mm: ArrayLike, now_ns: int, steady_s: float) -> tuple[Reason, str]:
        """`Reason.NONE`, or why the tip cannot be believed, with a line for people.

        Args:
            stamp_ns: of the transform; None where it is static, which is never stale and does not move. One that
                becomes static is not believed: whoever moved the needle went away.
            tip_mm: `(3,)` where it puts the tip.
            now_ns: by the clock of the stamps.
            steady_s: by the clock that always runs.
        """
        if stamp_ns is None:
            if self._last is None:
                return Reason.NONE, ""
            return Reason.STALE_TRANSFORM, "the needle's transform is static now, and moved before"
        tip = np.asarray(tip_mm, float)
        if self._last is None or stamp_ns != self._last[0]:
            if self._last is not None and self._is_jump(stamp_ns, tip):
                self._jumped_s = steady_s
            self._last, self._came_s = (stamp_ns, tip), steady_s
        age_s = (now_ns - stamp_ns) / 1e9
        if age_s < -self._timeout_s:
            return Reason.STALE_TRANSFORM, f"the needle's transform is stamped {-age_s:.2f} s in the future"
        age_s = max(age_s, steady_s - self._came_s)
        if age_s > self._timeout_s:
            return Reason.STALE_TRANSFORM, f"the needle's transform is {age_s:.2f} s old"
        if steady_s - self._jumped_s < self._hold_s:
            return Reason.JUMP, f"the tip jumped, faster than {self._max_speed_mm_s / 1000:g} m/s"
        return Reason.NONE, ""

    def _is_jump(self, stamp_ns: int, tip: np.ndarray) -> bool:
        assert self._last is not None
        passed_s = (stamp_ns - self._last[0]) / 1e9
        with np.errstate(over="ignore", invalid="ignore"):
            moved_mm = float(np.linalg.norm(tip - self._last[1]))
        slow_enough = moved_mm <= self._max_speed_mm_s * passed_s
        return passed_s <= 0 or not slow_enough  # which is also true of NaN
