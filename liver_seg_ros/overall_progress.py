# SPDX-License-Identifier: Apache-2.0
"""How far a job of several stages is as a whole, and how long the rest will take, judged by how long it took before."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Stages in the order in which they run, each with its seconds.
Course = Sequence[tuple[str, float]]

#: Before so much is done, the time so far says little about the time left.
_EARLY = 0.02


@dataclass(frozen=True)
class Overall:
    """How far a job is: `fraction` of all of it, 0 to 1, and seconds left, NaN where not known."""

    fraction: float
    seconds_left: float


class OverallProgress:
    """Puts together what the stages of one job tell. The fraction never goes back, whatever stages come.

    A stage takes the share of what is left that it had of what was left in the course before. One that did not come
    then takes that of a mean stage; those that did and do not come now are passed over when a later one begins.

    Args:
        before: how the job went before, or the one most like it.
        clock: of seconds.
    """

    def __init__(self, before: Course, clock: Callable[[], float] = time.monotonic) -> None:
        self._to_come = [(name, max(0.0, seconds)) for name, seconds in before]
        self._mean_s = sum(seconds for _, seconds in self._to_come) / max(1, len(self._to_come)) or 1.0
        self._clock = clock
        self._began_s = self._stage_began_s = clock()
        self._stage = ""
        self._begin, self._end = 0.0, 0.0  # of the stage that runs, as parts of the job
        self._fraction = 0.0
        self._course: list[tuple[str, float]] = []

    def update(self, stage: str, fraction: float) -> Overall:
        """`fraction` of `stage` is done, 0 to 1; a stage that is told 0 again is another one of that name."""
        if stage != self._stage or (fraction <= 0.0 and self._fraction > self._begin):
            self._begin_stage(stage)
        within = min(max(float(fraction), 0.0), 1.0)  # NaN counts as 0
        self._fraction = max(self._fraction, self._begin + within * (self._end - self._begin))
        return Overall(self._fraction, self._seconds_left())

    def course(self) -> Course:
        """How the job went until now: for the next one's `before`."""
        return [*self._course, (self._stage, self._clock() - self._stage_began_s)] if self._stage else []

    def _begin_stage(self, stage: str) -> None:
        self._course, self._stage, self._stage_began_s = list(self.course()), stage, self._clock()
        places = [place for place, (name, _) in enumerate(self._to_come) if name == stage]
        seconds = self._to_come[places[0]][1] if places else self._mean_s
        if places:
            del self._to_come[: places[0] + 1]
        rest_s = sum(s for _, s in self._to_come)
        # What the stage before did not tell of itself is done all the same.
        self._begin = max(self._fraction, self._end)
        share = seconds / (seconds + rest_s) if seconds + rest_s > 0 else 0.0
        self._end = self._begin + share * (1.0 - self._begin)

    def _seconds_left(self) -> float:
        if self._fraction < _EARLY:
            return math.nan
        return (self._clock() - self._began_s) * (1.0 - self._fraction) / self._fraction
