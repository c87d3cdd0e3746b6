# SPDX-License-Identifier: Apache-2.0
"""Watching a moving needle: its clearances, its deviation from the plan, and when to stop.

Pure geometry, asked a hundred times a second; whoever asks knows where the needle is (`nodes/needle_guard.py`: by TF).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector, finite_vector, to_vector
from liver_seg_ros.labels import LIVER, Structure
from liver_seg_ros.planning.clearance import TOLERANCE_MM, DistanceField
from liver_seg_ros.planning.limits import LEAST_CLEARANCE_MM
from liver_seg_ros.planning.trajectory_values import NEEDLE_RADIUS_MM, Clearance, Trajectory
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.short_repr import short_repr


class Level(IntEnum):
    """How urgent a reading is; the larger the worse."""

    OK = 0
    WARN = 1
    STOP = 2


class Reason(IntEnum):
    """Why a reading is no `OK`."""

    NONE = 0
    CLEARANCE = 1
    DEVIATION = 2
    NO_ANATOMY = 3
    NO_TRANSFORM = 4
    STALE_TRANSFORM = 5
    JUMP = 6


@dataclass(frozen=True)
class Needle:
    """A straight needle in the frame of its tip, in mm.

    Attributes:
        radius_mm: of the shaft; the tip is round.
        length_mm: of the shaft, from the tip backwards.
        axis: where the tip points to; made a unit vector.

    Raises:
        InputError: a radius or length out of range, or an axis that is no direction.
    """

    radius_mm: float = NEEDLE_RADIUS_MM
    length_mm: float = 150.0
    axis: Vector = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.radius_mm < np.inf:
            raise InputError(f"a needle's radius of {self.radius_mm} mm; give a length of zero or more")
        if not 0 < self.length_mm < np.inf:
            raise InputError(f"a needle's length of {self.length_mm} mm; give a positive length")
        norm = float(np.linalg.norm(finite_vector(self.axis, "a needle's axis")))
        if norm < 1e-6:
            raise InputError(f"a needle's axis of {tuple(self.axis)} is no direction")
        object.__setattr__(self, "axis", to_vector(np.asarray(self.axis, float) / norm))

    def placed(self, from_tip_frame: RigidTransform) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`(3,)` twice, LPS: tip, and end of the shaft, for where the tip's frame is in the CT."""
        axis = np.array(self.axis)
        tip, end = from_tip_frame.apply([np.zeros(3), -self.length_mm * axis])
        return tip, end


@dataclass(frozen=True)
class GuardLimits:
    """When a moving needle is to be warned of, and when to be stopped.

    Attributes:
        stop_mm: per structure, the clearance at or below which it is `STOP`, or within `clearance.TOLERANCE_MM` above
            it. A structure that is not in it is no obstacle.
        warn_margin_mm: a clearance that is larger by at most this is `WARN`.
        warn_deviation_mm, stop_deviation_mm: distance of the tip from the planned trajectory's line.
        overshoot_mm: how far the tip may be beyond the target before it is `STOP`.

    Raises:
        InputError: a margin or deviation that is negative, or not a number, or a STOP before its WARN.
    """

    stop_mm: Mapping[Structure, float] = field(default_factory=lambda: dict(LEAST_CLEARANCE_MM))
    warn_margin_mm: float = 3.0
    warn_deviation_mm: float = 3.0
    stop_deviation_mm: float = 10.0
    overshoot_mm: float = 5.0

    __repr__ = short_repr

    def __post_init__(self) -> None:
        for name in ("warn_margin_mm", "warn_deviation_mm", "stop_deviation_mm", "overshoot_mm"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} is {getattr(self, name)}; give a length of zero or more")
        if self.stop_deviation_mm < self.warn_deviation_mm:
            raise InputError(
                f"stop_deviation_mm {self.stop_deviation_mm} is less than warn_deviation_mm {self.warn_deviation_mm}"
            )


@dataclass(frozen=True)
class PlanDeviation:
    """A needle against its planned trajectory.

    Attributes:
        to_target_mm: distance from the tip to the target.
        remaining_mm: the same along the trajectory; negative beyond the target.
        off_line_mm: distance of the tip from the trajectory's line.
        angle_deg: between needle and trajectory, 0 to 180.
    """

    to_target_mm: float
    remaining_mm: float
    off_line_mm: float
    angle_deg: float


@dataclass(frozen=True)
class GuardReading:
    """What a guard says about one place of the needle.

    Attributes:
        level: the worst of all.
        reason: of that level; of several the first in the order of `Reason`.
        text: one line for people; empty where the level is `OK`.
        tip_mm: LPS; None where it is not known.
        clearances: to each obstacle, in the order of the label table; negative where the needle is in it.
        deviation: None without a planned trajectory.
    """

    level: Level
    reason: Reason
    text: str
    tip_mm: Vector | None = None
    clearances: tuple[Clearance, ...] = ()
    deviation: PlanDeviation | None = None

    __repr__ = short_repr

    @property
    def nearest(self) -> Clearance | None:
        """The smallest clearance; None where nothing is labelled that a needle is kept clear of."""
        return min(self.clearances, key=lambda clearance: clearance.clearance_mm, default=None)


class Guard:
    """Watches one needle among the structures of one patient.

    Args:
        fields: distances to the structures, as `planning.clearance.distance_fields` makes them; the liver is no
            obstacle, as the needle has to go into it.
        needle: what moves.
        limits: when to warn and when to stop.
        trajectory: the plan that is followed, LPS; None without one.
    """

    def __init__(
        self,
        fields: Mapping[Structure, DistanceField],
        needle: Needle,
        limits: GuardLimits | None = None,
        trajectory: Trajectory | None = None,
    ) -> None:
        self._needle = needle
        self._limits = limits or GuardLimits()
        self._fields = {s: f for s, f in fields.items() if s in self._limits.stop_mm and s != LIVER}
        self._trajectory = trajectory

    def read(self, from_tip_frame: RigidTransform) -> GuardReading:
        """What there is to say about the needle where its tip's frame is so in the CT's (LPS, mm).

        Clearances are those of `DistanceField.along`: at most 0.1 mm larger than the exact ones, never smaller.
        """
        tip, end = self._needle.placed(from_tip_frame)
        clearances = tuple(
            Clearance(structure, float(found.clearance_mm[0]), to_vector(found.at_mm[0]))
            for structure, distances in self._fields.items()
            for found in (distances.along([tip], [end], self._needle.radius_mm),)
        )
        deviation = None if self._trajectory is None else deviation_of(tip, tip - end, self._trajectory)
        found = [self._of_clearance(clearance) for clearance in clearances]
        if deviation is not None:
            found += self._of_deviation(deviation)
        level = max((level for level, _, _ in found), default=Level.OK)
        if level == Level.OK:
            return GuardReading(Level.OK, Reason.NONE, "", to_vector(tip), clearances, deviation)
        worst = [(reason, text) for of, reason, text in found if of == level]
        text = "; ".join(text for _, text in worst)
        return GuardReading(level, worst[0][0], text, to_vector(tip), clearances, deviation)

    def _of_clearance(self, clearance: Clearance) -> tuple[Level, Reason, str]:
        # As near as it may be, so that no STOP is missed.
        above_mm = clearance.clearance_mm - TOLERANCE_MM - self._limits.stop_mm[clearance.structure]
        if above_mm > self._limits.warn_margin_mm:
            return Level.OK, Reason.NONE, ""
        where = "in" if clearance.clearance_mm <= 0 else f"{clearance.clearance_mm:.1f} mm from"
        level = Level.WARN if above_mm > 0 else Level.STOP
        return level, Reason.CLEARANCE, f"needle {where} the {clearance.structure.title}"

    def _of_deviation(self, deviation: PlanDeviation) -> list[tuple[Level, Reason, str]]:
        """What is not a number, of a plan beyond all measure, is within no limit."""
        limits, found = self._limits, []
        if not deviation.off_line_mm <= limits.warn_deviation_mm:
            level = Level.WARN if deviation.off_line_mm <= limits.stop_deviation_mm else Level.STOP
            found.append((level, Reason.DEVIATION, f"tip {deviation.off_line_mm:.1f} mm off the planned trajectory"))
        if not deviation.remaining_mm >= 0:
            level = Level.WARN if -deviation.remaining_mm <= limits.overshoot_mm else Level.STOP
            found.append((level, Reason.DEVIATION, f"tip {-deviation.remaining_mm:.1f} mm beyond the target"))
        return found


def deviation_of(tip_mm: NDArray[np.float64], direction: NDArray[np.float64], plan: Trajectory) -> PlanDeviation:
    """A needle whose tip is at `(3,)` and points along `(3,)`, against the trajectory `plan`.

    Where entry and target of the plan are one point there is no line: then all deviation is the distance to it.
    """
    entry, target = np.array(plan.entry_mm), np.array(plan.target_mm)
    length_mm = float(np.linalg.norm(target - entry))
    to_target_mm = float(np.linalg.norm(target - tip_mm))
    if length_mm == 0:
        return PlanDeviation(to_target_mm, to_target_mm, to_target_mm, 0.0)
    along = (target - entry) / length_mm
    remaining_mm = float((target - tip_mm) @ along)
    off_line_mm = float(np.linalg.norm(np.cross(tip_mm - target, along)))
    unit = direction / np.linalg.norm(direction)
    # Of both, as the cosine alone says little of small angles.
    angle_deg = float(np.degrees(np.arctan2(np.linalg.norm(np.cross(unit, along)), unit @ along)))
    return PlanDeviation(to_target_mm, remaining_mm, off_line_mm, angle_deg)
