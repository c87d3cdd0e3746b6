# SPDX-License-Identifier: Apache-2.0
"""Evaluating trajectories: lengths, clearances, vessels, the liver's capsule; ten thousand in a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector
from liver_seg_ros.labels import LIVER, Structure
from liver_seg_ros.planning.anatomy import Anatomy
from liver_seg_ros.planning.capsule import capsule_passage
from liver_seg_ros.planning.clearance import SegmentClearance, checked_segments
from liver_seg_ros.planning.trajectory_values import (
    NEEDLE_RADIUS_MM,
    Clearance,
    Trajectory,
    TrajectoryEvaluation,
    VesselCrossing,
)
from liver_seg_ros.planning.vessel_crossings import VesselCrossings, vessel_crossings
from liver_seg_ros.short_repr import short_repr

__all__ = [
    "Clearance", "Trajectory", "TrajectoryEvaluation", "TrajectoryEvaluations", "VesselCrossing",
    "evaluate_trajectories", "evaluate_trajectory",
]  # fmt: skip

#: Thinner vessels do not count as crossed: every trajectory through a liver crosses some.
LEAST_VESSEL_RADIUS_MM = 1.5


@dataclass(frozen=True, eq=False)
class TrajectoryEvaluations(Sequence[TrajectoryEvaluation]):
    """The evaluations of `N` trajectories as arrays; `evaluations[n]` is one `TrajectoryEvaluation`.

    Attributes:
        anatomy: what was asked.
        entries_mm, targets_mm: `(N, 3)` LPS.
        radius_mm: of all needles.
        length_mm, length_in_liver_mm: `(N,)`.
        structures: the `S` structures that are labelled or found by HU, without the liver.
        clearance_mm: `(N, S)`.
        clearance_at_mm: `(N, S, 3)` LPS.
        capsule_crossings: `(N,)`.
        entry_angle_deg: `(N,)`, NaN where there is none.
        vessel_crossings: of all needles.
    """

    anatomy: Anatomy
    entries_mm: NDArray[np.float64]
    targets_mm: NDArray[np.float64]
    radius_mm: float
    length_mm: NDArray[np.float64]
    length_in_liver_mm: NDArray[np.float64]
    structures: tuple[Structure, ...]
    clearance_mm: NDArray[np.float64]
    clearance_at_mm: NDArray[np.float64]
    capsule_crossings: NDArray[np.intp]
    entry_angle_deg: NDArray[np.float64]
    vessel_crossings: VesselCrossings

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.length_mm)

    def __getitem__(self, number: int) -> TrajectoryEvaluation:  # type: ignore[override]  # no slices
        number = range(len(self))[number]  # from the end where negative, IndexError beyond it
        angle_deg = float(self.entry_angle_deg[number])
        return TrajectoryEvaluation(
            Trajectory(_vector(self.entries_mm[number]), _vector(self.targets_mm[number]), self.radius_mm),
            float(self.length_mm[number]),
            float(self.length_in_liver_mm[number]),
            tuple(
                Clearance(
                    structure,
                    float(clearance_mm),
                    _vector(at_mm),
                    by_hu=structure in self.anatomy.by_hu.found,
                    by_map=structure in self.anatomy.by_map.found,
                )
                for structure, clearance_mm, at_mm in zip(
                    self.structures, self.clearance_mm[number], self.clearance_at_mm[number], strict=True
                )
            ),
            tuple(
                self._crossing(c) for c in range(*np.searchsorted(self.vessel_crossings.needle, [number, number + 1]))
            ),
            int(self.capsule_crossings[number]),
            None if np.isnan(angle_deg) else angle_deg,
        )

    def _crossing(self, number: int) -> VesselCrossing:
        found = self.vessel_crossings
        branch = self.anatomy.tree.branches[found.branch[number]]
        return VesselCrossing(
            branch.number,
            branch.structure,
            float(found.radius_mm[number]),
            float(found.along_mm[number]),
            _vector(found.at_mm[number]),
        )


def evaluate_trajectory(
    anatomy: Anatomy, trajectory: Trajectory, least_vessel_radius_mm: float = LEAST_VESSEL_RADIUS_MM
) -> TrajectoryEvaluation:
    """Evaluate one trajectory; for many, `evaluate_trajectories` takes a small part of the time for each."""
    return evaluate_trajectories(
        anatomy, [trajectory.entry_mm], [trajectory.target_mm], trajectory.radius_mm, least_vessel_radius_mm
    )[0]


def evaluate_trajectories(
    anatomy: Anatomy,
    entries_mm: ArrayLike,
    targets_mm: ArrayLike,
    radius_mm: float = NEEDLE_RADIUS_MM,
    least_vessel_radius_mm: float = LEAST_VESSEL_RADIUS_MM,
    known: Mapping[Structure, SegmentClearance] | None = None,
) -> TrajectoryEvaluations:
    """Evaluate many trajectories. Without a liver none of them is in it; entry and target may be one point.

    Clearances are exact to `clearance.TOLERANCE_MM`, too large at most.

    Args:
        entries_mm, targets_mm: `(N, 3)` LPS, anywhere.
        radius_mm: of the needles.
        least_vessel_radius_mm: thinner vessels do not count as crossed.
        known: clearances of these needles that are not to be searched for again.

    Raises:
        InputError: points of another shape, of different number or not finite, or a negative radius.
    """
    entries, targets = checked_segments(entries_mm, targets_mm)
    if not 0 <= radius_mm < np.inf:
        raise InputError(f"a needle's radius of {radius_mm} mm; give a length of zero or more")
    fields = {structure: field for structure, field in anatomy.fields.items() if structure != LIVER}
    liver = anatomy.fields.get(LIVER)
    known = known or {}
    with ThreadPoolExecutor(2) as pool:  # numpy works in one while open3d works in the other
        asked = {s: pool.submit(f.along, entries, targets, radius_mm) for s, f in fields.items() if s not in known}
        crossings = pool.submit(vessel_crossings, anatomy.tree, entries, targets, radius_mm, least_vessel_radius_mm)
        passage = capsule_passage(None if liver is None else liver.surface, entries, targets)
    clearance_mm, at_mm = np.empty((len(entries), len(fields))), np.empty((len(entries), len(fields), 3))
    for column, structure in enumerate(fields):
        found = known[structure] if structure in known else asked[structure].result()
        clearance_mm[:, column], at_mm[:, column] = found.clearance_mm, found.at_mm
    return TrajectoryEvaluations(
        anatomy,
        entries,
        targets,
        float(radius_mm),
        np.linalg.norm(targets - entries, axis=1),
        passage.length_inside_mm,
        tuple(fields),
        clearance_mm,
        at_mm,
        passage.crossings,
        passage.entry_angle_deg,
        crossings.result(),
    )


def _vector(point: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in point)
    return x, y, z
