# SPDX-License-Identifier: Apache-2.0
"""When a series is complete. DICOM has no word for it, so that it is concluded from what is known.

In this order: the number that the modality tells of its work; the number that the PACS tells; the number that the
objects themselves tell, once nothing came for a moment (one acquisition of several may be complete); no number at all,
and nothing came for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from liver_seg_ros.dicom_network.arrived import Arrived
from liver_seg_ros.errors import InputError


class Verdict(Enum):
    """What is to be done about a series."""

    WAIT = "wait"
    COMPLETE = "complete"
    OVERDUE = "overdue"


@dataclass(frozen=True)
class Patience:
    """How long is waited. Raises `InputError` unless 0 <= settled <= quiet <= deadline.

    Attributes:
        quiet_s: without an object, where nothing tells how many there are.
        settled_s: without an object, where the objects themselves told.
        deadline_s: without an object, while some are known to be missing; then the series is named.
    """

    quiet_s: float = 10.0
    settled_s: float = 1.0
    deadline_s: float = 600.0

    def __post_init__(self) -> None:
        if not 0 <= self.settled_s <= self.quiet_s <= self.deadline_s:
            raise InputError(
                f"waits of {self.settled_s:g}, {self.quiet_s:g}, {self.deadline_s:g} s; the deadline is the longest"
            )


@dataclass(frozen=True)
class SeriesState:
    """What is known of a series that is coming.

    Attributes:
        study_uid, series_uid: its UIDs.
        count: objects that are here.
        last_s: when the last one came.
        from_modality: how many it made; None where it does not tell.
        from_pacs: how many the PACS has; None where it is not known.
        acquisitions: how many there are of each, as far as objects told.
        series_total: how many there are, as far as an object told.
        slices: objects that are no scouts.
    """

    study_uid: str
    series_uid: str
    count: int = 0
    last_s: float = 0.0
    from_modality: int | None = None
    from_pacs: int | None = None
    acquisitions: dict[str, int | None] = field(default_factory=dict)
    series_total: int | None = None
    slices: int = 0

    def with_object(self, arrived: Arrived, now_s: float) -> SeriesState:
        """The state once `arrived` is here too."""
        announced = arrived.announced or self.acquisitions.get(arrived.acquisition)
        return replace(
            self,
            count=self.count + 1,
            last_s=now_s,
            acquisitions={**self.acquisitions, arrived.acquisition: announced},
            series_total=arrived.series_total or self.series_total,
            slices=self.slices + (not arrived.is_localizer),
        )

    @property
    def told(self) -> int | None:
        """How many there are as the objects tell; None where some of them do not."""
        if self.series_total is not None:
            return self.series_total
        numbers = [number for number in self.acquisitions.values() if number is not None]
        return sum(numbers) if numbers and len(numbers) == len(self.acquisitions) else None

    @property
    def expected(self) -> int | None:
        """How many there are, by the best that is known."""
        return next((n for n in (self.from_modality, self.from_pacs) if n is not None), self.told)

    def judge(self, now_s: float, patience: Patience) -> Verdict:
        """Whether it is complete."""
        quiet_s = now_s - self.last_s
        expected = self.expected
        if expected is None:
            return Verdict.COMPLETE if quiet_s >= patience.quiet_s else Verdict.WAIT
        if self.count >= expected:
            certain = self.from_modality is not None or self.from_pacs is not None
            settled_s = 0.0 if certain else patience.settled_s
            return Verdict.COMPLETE if quiet_s >= settled_s else Verdict.WAIT
        return Verdict.OVERDUE if quiet_s >= patience.deadline_s else Verdict.WAIT
