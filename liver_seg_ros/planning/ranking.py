# SPDX-License-Identifier: Apache-2.0
"""Which trajectories to a lesion are open, and which are best: short and far from what must not be hit.

As Seitel et al. (Medical Physics 38:3246, 2011) do: hard limits first, then the Pareto front of what is to be weighed.
Here that is length against clearance; nothing is mixed into one score whose weights no one could defend.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector
from liver_seg_ros.labels import LIVER, Structure
from liver_seg_ros.plain import plain, plain_fields
from liver_seg_ros.planning.anatomy import Anatomy
from liver_seg_ros.planning.capsule import capsule_passage
from liver_seg_ros.planning.clearance import TOLERANCE_MM, SegmentClearance
from liver_seg_ros.planning.limits import NOT_WEIGHED, Limits
from liver_seg_ros.planning.trajectory import TrajectoryEvaluations, evaluate_trajectories
from liver_seg_ros.planning.trajectory_values import TrajectoryEvaluation
from liver_seg_ros.reconstruction.meshes.surface_queries import checked_points
from liver_seg_ros.short_repr import short_repr

#: Entries of two trajectories that are returned lie at least this far apart: nearer ones are one choice, not two.
APART_MM = 30.0


@dataclass(frozen=True)
class RankedTrajectory:
    """One open trajectory.

    Attributes:
        evaluation: all that is known of it.
        clearance_mm: the smallest clearance to any structure of the limits that is weighed (no bone); infinite where
            none of them is known.
        nearest: the structure that it is smallest to; None where there is none.
        layer: 0 on the Pareto front: no other is as short and as clear, and better in one of both. 1 on the front
            of what is left without those, and so on.
        alike: how many other open ones it stands for: their entries are near to its own, and to no better one.
    """

    evaluation: TrajectoryEvaluation
    clearance_mm: float
    nearest: Structure | None
    layer: int
    alike: int

    @property
    def on_front(self) -> bool:
        """Whether it is on the Pareto front."""
        return self.layer == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an infinite clearance as None."""
        return {
            "clearance_mm": self.clearance_mm if np.isfinite(self.clearance_mm) else None,
            "nearest": plain(self.nearest),
            "layer": self.layer,
            "on_front": self.on_front,
            "alike": self.alike,
            **self.evaluation.to_dict(),
        }


@dataclass(frozen=True)
class Ranking:
    """Trajectories to a target, best first.

    Attributes:
        target_mm: LPS.
        limits: what they keep to.
        candidates: how many entries were looked at; `accepted` and the numbers of `rejected` add up to it.
        accepted: how many keep to all limits.
        rejected: how many do not, by the first limit that they break: "length", "clearance to <structure>" in the order
            of the label table, then those by HU and those by map, "entry angle", "leaves the liver" (and goes back in).
        trajectories: the best of the accepted ones.
    """

    target_mm: Vector
    limits: Limits
    candidates: int
    accepted: int
    rejected: dict[str, int]
    trajectories: tuple[RankedTrajectory, ...]

    __repr__ = short_repr
    to_dict = plain_fields


def rank_trajectories(
    anatomy: Anatomy,
    target_mm: ArrayLike,
    entries_mm: ArrayLike | None = None,
    limits: Limits | None = None,
    count: int = 20,
    apart_mm: float = APART_MM,
) -> Ranking:
    """The best open trajectories to a target, from the front on; within a layer the clearest first.

    Entries beside each other give nearly the same trajectory. So from the best down each is taken whose entry is no
    nearer than `apart_mm` to one taken before; the others are counted as alike.

    Args:
        target_mm: LPS, such as `lesion_target` gives; it need not be in the liver.
        entries_mm: `(N, 3)` LPS; where None, the points of the anatomy's skin that face the target.
        limits: the defaults where None.
        count: at most so many are returned.

    Raises:
        InputError: no entries are given and the anatomy has no skin.
        InputError: coordinates that are not finite, or of another shape.
    """
    target = checked_points(np.reshape(target_mm, (1, -1)), "target")[0]
    limits = limits or Limits()
    if entries_mm is None:
        if anatomy.skin is None:
            raise InputError("no entries: give entry points, or the CT for the skin")
        entries_mm = anatomy.skin.entries_to(target)
    entries = checked_points(entries_mm, "entries")
    candidates = len(entries)

    rejected: dict[str, int] = {}
    short = np.linalg.norm(entries - target, axis=1) <= limits.max_length_mm
    _count(rejected, "length", ~short)
    evaluations = _accepted(anatomy, entries[short], target, limits, rejected)
    entries = evaluations.entries_mm

    clearance_mm, nearest = _smallest_clearance(evaluations, limits)
    certain_mm = np.round(clearance_mm / TOLERANCE_MM) * TOLERANCE_MM  # what is less different is not better
    layer = pareto_layers(evaluations.length_mm, certain_mm)
    best_first = np.lexsort((evaluations.length_mm, -certain_mm, layer))
    chosen = _spread(entries[best_first], apart_mm, count)
    x, y, z = (float(v) for v in target)
    return Ranking(
        (x, y, z),
        limits,
        candidates,
        len(evaluations),
        rejected,
        tuple(
            RankedTrajectory(evaluations[n], float(clearance_mm[n]), nearest[n], int(layer[n]), alike)
            for n, alike in ((int(best_first[place]), alike) for place, alike in chosen)
        ),
    )


def pareto_layers(length_mm: NDArray[np.float64], clearance_mm: NDArray[np.float64]) -> NDArray[np.intp]:
    """`(N,)` the number of fronts that have to be taken away before each is on one; 0 on the Pareto front.

    Short and clear is good; of equal ones none is before the other. In order of length, one is one layer behind the
    last layer whose clearest so far is as clear: these clearances fall from layer to layer, so that it is found by
    bisection (patience sorting).
    """
    layer = np.zeros(len(length_mm), np.intp)
    clearest: list[float] = []  # of each layer, negated: ascending
    before = (np.nan, np.nan, 0)
    for n in np.lexsort((-clearance_mm, length_mm)):
        values = float(length_mm[n]), float(clearance_mm[n])
        if values == before[:2]:
            layer[n] = before[2]
            continue
        place = bisect_right(clearest, -values[1])
        if place == len(clearest):
            clearest.append(-values[1])
        else:
            clearest[place] = -values[1]
        layer[n] = place
        before = (*values, place)
    return layer


def _accepted(
    anatomy: Anatomy,
    entries: NDArray[np.float64],
    target: NDArray[np.float64],
    limits: Limits,
    rejected: dict[str, int],
) -> TrajectoryEvaluations:
    """The needles that keep to the limits, with all that is known of them; the others are counted by the first reason.

    Limit by limit: nothing more is asked about a needle that breaks one, nor how far it breaks it.
    """
    radius_mm = limits.needle_radius_mm
    known: dict[Structure, SegmentClearance] = {}

    def keep(reason: str, kept: NDArray[np.bool_]) -> None:
        nonlocal entries
        _count(rejected, reason, ~kept)
        entries = entries[kept]
        for structure, found in known.items():
            known[structure] = SegmentClearance(found.clearance_mm[kept], found.at_mm[kept])

    def targets() -> NDArray[np.float64]:
        return np.broadcast_to(target, entries.shape)

    for structure, field in anatomy.fields.items():
        if structure in limits.least_clearance_mm and structure != LIVER:
            least_mm = limits.least_clearance_mm[structure]
            known[structure] = found = field.along(entries, targets(), radius_mm, least_mm)
            keep(f"clearance to {structure.name}{_found_by(structure, anatomy)}", ~(found.clearance_mm < least_mm))
    liver = anatomy.fields.get(LIVER)
    passage = capsule_passage(None if liver is None else liver.surface, entries, targets())
    steep = passage.entry_angle_deg > limits.max_entry_angle_deg  # False without an angle
    # From outside once in, and out again only to a target that lies outside.
    leaves = passage.crossings[~steep] > 2
    keep("entry angle", ~steep)
    keep("leaves the liver", ~leaves)
    return evaluate_trajectories(anatomy, entries, targets(), radius_mm, known=known)


def _found_by(structure: Structure, anatomy: Anatomy) -> str:
    """Words for how it is known where a structure is; empty for a label."""
    return " by HU" if structure in anatomy.by_hu.found else " by map" if structure in anatomy.by_map.found else ""


def _count(rejected: dict[str, int], reason: str, breaks: NDArray[np.bool_]) -> None:
    if breaks.any():
        rejected[reason] = int(breaks.sum())


def _smallest_clearance(
    evaluations: TrajectoryEvaluations, limits: Limits
) -> tuple[NDArray[np.float64], list[Structure | None]]:
    """`(N,)` over the structures of the limits that are known and weighed, and which it is."""
    weighed = limits.least_clearance_mm.keys() - NOT_WEIGHED
    columns = [c for c, structure in enumerate(evaluations.structures) if structure in weighed]
    if not columns:
        return np.full(len(evaluations), np.inf), [None] * len(evaluations)
    clearance_mm = evaluations.clearance_mm[:, columns]
    return clearance_mm.min(axis=1), [evaluations.structures[columns[c]] for c in clearance_mm.argmin(axis=1)]


def _spread(entries: NDArray[np.float64], apart_mm: float, count: int) -> list[tuple[int, int]]:
    """At most `count` entries, each the first that is not near to one before, and how many it stands for besides."""
    free = np.ones(len(entries), bool)
    tree = cKDTree(entries) if len(entries) else None
    chosen: list[tuple[int, int]] = []
    while tree is not None and len(chosen) < count and free.any():
        first = int(np.argmax(free))
        free[first] = False
        near = np.array(tree.query_ball_point(entries[first], apart_mm), np.intp)
        chosen.append((first, int(np.count_nonzero(free[near]))))
        free[near] = False
    return chosen
