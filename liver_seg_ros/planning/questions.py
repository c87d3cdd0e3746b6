# SPDX-License-Identifier: Apache-2.0
"""Questions to planning and their answers: the use case behind the command line, the library and the nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector
from liver_seg_ros.labels import LIVER_VESSELS, STRUCTURES
from liver_seg_ros.plain import plain
from liver_seg_ros.planning.ablation import AblationCheck, check_ablation
from liver_seg_ros.planning.ablation_zone import AblationZone
from liver_seg_ros.planning.anatomy import NOT_LOOKED_FOR, Anatomy
from liver_seg_ros.planning.feeding import LesionFeeding, feeding_vessels
from liver_seg_ros.planning.limits import LEAST_CLEARANCE_MM, Limits
from liver_seg_ros.planning.obstacles_by_hu import ByHu
from liver_seg_ros.planning.obstacles_by_map import NO_MAP, ByMap
from liver_seg_ros.planning.ranking import Ranking, rank_trajectories
from liver_seg_ros.planning.resection import Resection, resect_by_plane
from liver_seg_ros.planning.target import lesion_target
from liver_seg_ros.planning.trajectory import evaluate_trajectory
from liver_seg_ros.planning.trajectory_values import Trajectory, TrajectoryEvaluation
from liver_seg_ros.reconstruction.parts import lesions
from liver_seg_ros.short_repr import short_repr

#: Of the body's sides: so much is hardly worth a word, and if more than so much is cut no skin is left.
LEAST_CUT, MOST_CUT = 0.05, 0.9

ELSEWHERE = "Give --entry or --entries, or a CT with the skin."


@dataclass(frozen=True, eq=False)
class Question:
    """What a user wants to know, LPS mm.

    Attributes:
        lesion: its place among the lesions, largest first, from 0.
        limits: what a trajectory has to keep to.
        target_mm: the lesion's center where None.
        entry_mm: of the one trajectory to judge; trajectories are ranked where None.
        entries_mm: `(N, 3)` to rank; those on the skin where None.
        ablation_mm: radii along and across the needle of an ablation on the best trajectory.
        resection_plane: a point and the normal towards what is taken.
    """

    lesion: int
    limits: Limits
    target_mm: Vector | None = None
    entry_mm: Vector | None = None
    entries_mm: NDArray[np.float64] | None = None
    ablation_mm: tuple[float, float] | None = None
    resection_plane: tuple[Vector, Vector] | None = None

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Answers:
    """What planning says to a question.

    Attributes:
        question: with the target filled in.
        ranking: None where one trajectory was judged, or none was asked for.
        trajectories: the best first.
        feeding: the vessels of the lesion; None where there is no such lesion.
        ablation, resection: None where not asked for, and an ablation where there is no trajectory to put it on.
        skin_cut: the part, 0 to 1, of the body's sides where the CT cuts the body, so that no trajectory begins there;
            None where the skin was not looked for.
        by_hu: what was found in the CT without a label.
        by_map: what was found in a map of the surroundings without one.
        at_lesion: whether the target is the lesion's center, and none that the question gave.
    """

    question: Question
    ranking: Ranking | None
    trajectories: tuple[TrajectoryEvaluation, ...]
    feeding: LesionFeeding | None
    ablation: AblationCheck | None
    resection: Resection | None
    skin_cut: float | None = None
    at_lesion: bool = False
    by_hu: ByHu = NOT_LOOKED_FOR
    by_map: ByMap = NO_MAP

    def __repr__(self) -> str:
        asked = [name for name in ("feeding", "ablation", "resection") if getattr(self, name) is not None]
        found = self.message or f"{len(self.trajectories)} trajectories"
        return f"Answers({', '.join([f'lesion {self.question.lesion + 1}', found, *asked])})"

    @property
    def message(self) -> str:
        """One line that says why there is no trajectory where one was asked for, and what to do; else empty."""
        if self.ranking is None or self.trajectories:
            return ""
        if self.ranking.candidates:
            reasons = ", ".join(f"{reason} {count}" for reason, count in self.ranking.rejected.items())
            return f"no trajectory of {self.ranking.candidates} keeps to the limits; rejected for {reasons}"
        if self.skin_cut is None:
            return "no entries were given"
        if self.skin_cut > MOST_CUT:
            return f"the CT shows no skin, because its field of view or a crop cuts the body all around. {ELSEWHERE}"
        return f"no skin that the CT shows faces the target. {ELSEWHERE}"

    @property
    def cut(self) -> str:
        """One line that says where no trajectory begins because the CT cuts the body; empty where it hardly does."""
        if not self.skin_cut or self.skin_cut < LEAST_CUT:
            return ""
        return f"The CT cuts off {100 * self.skin_cut:.0f} % of the body's sides; no trajectory begins there."

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines that someone who trusts the answers has to know."""
        asked = bool(self.trajectories) or self.ranking is not None
        found = (self.by_hu.in_words, self.by_map.in_words) if asked else ()
        return tuple(line for line in (self.cut, *found, self.unlabelled) if line)

    @property
    def unlabelled(self) -> str:
        """One line that names what no trajectory was kept clear of, as nothing is known of it; empty without any."""
        if not self.trajectories:
            return ""
        known = {clearance.structure for clearance in self.trajectories[0].clearances}
        vessels_known = any(structure in known for structure in LIVER_VESSELS)
        names = [
            structure.title
            for structure in self.question.limits.least_clearance_mm
            if structure in STRUCTURES and structure not in known and not (vessels_known and structure in LIVER_VESSELS)
        ]
        return f"Not labelled, and so not kept clear of: {', '.join(names)}." if names else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        if self.ranking is not None:
            trajectories = self.ranking.to_dict()
        else:
            trajectories = {
                "target_mm": plain(self.question.target_mm),
                "limits": plain(self.question.limits),
                "trajectories": plain(self.trajectories),
            }
        return {
            "lesion": self.question.lesion + 1,
            **trajectories,
            "message": self.message,
            "skin_cut": self.skin_cut,
            "by_hu": self.by_hu.to_dict(),
            "by_map": self.by_map.to_dict(),
            "unlabelled": self.unlabelled,
            "feeding": plain(self.feeding),
            "ablation": plain(self.ablation),
            "resection": plain(self.resection),
        }


def limits_for(needle_radius_mm: float, max_length_mm: float, min_clearance_mm: float) -> Limits:
    """Limits with a least clearance for all structures. Raises `InputError` for numbers that are no limits."""
    if not np.isfinite(min_clearance_mm):
        raise InputError(f"a least clearance of {min_clearance_mm} mm: give a number")
    clearances = {structure: max(mm, min_clearance_mm) for structure, mm in LEAST_CLEARANCE_MM.items()}
    return Limits(needle_radius_mm, max_length_mm, least_clearance_mm=clearances)


def check_question(question: Question, anatomy_has_skin: bool) -> None:
    """Raise `InputError` where there is nowhere to begin; asked before the work, not after it."""
    anywhere = question.entry_mm is not None or question.entries_mm is not None or anatomy_has_skin
    if not anywhere and question.resection_plane is None:
        raise InputError("where does the needle begin? Give --ct for the skin, or --entry or --entries.")


def answer(anatomy: Anatomy, question: Question) -> Answers:
    """Answer everything that the question asks.

    Raises:
        InputError: there is no such lesion and no target, or a number that cannot be.
    """
    there = len(lesions(anatomy.labels))
    lesion = question.lesion if question.lesion < there else None
    given = question.entry_mm is not None or question.entries_mm is not None
    nothing_to_reach = lesion is None and question.target_mm is None
    # Who asks for a resection may give the CT for the pictures alone.
    wanted = given or (anatomy.skin is not None and not (nothing_to_reach and question.resection_plane is not None))
    ranking: Ranking | None = None
    found: tuple[TrajectoryEvaluation, ...] = ()
    skin_cut: float | None = None
    target_mm = question.target_mm
    if wanted:
        if nothing_to_reach:
            raise InputError(f"there is no lesion {question.lesion + 1}, of {there}: give another, or a --target")
        target_mm = lesion_target(anatomy.labels, question.lesion) if target_mm is None else target_mm
        if question.entry_mm is not None:
            needle = Trajectory(question.entry_mm, target_mm, question.limits.needle_radius_mm)
            found = (evaluate_trajectory(anatomy, needle),)
        else:
            if question.entries_mm is None and anatomy.skin is not None:
                skin_cut = anatomy.skin.cut if len(anatomy.skin.points.points_mm) else 1.0
            ranking = rank_trajectories(anatomy, target_mm, question.entries_mm, question.limits)
            found = tuple(ranked.evaluation for ranked in ranking.trajectories)
    feeding = feeding_vessels(anatomy.labels, anatomy.tree)[lesion] if lesion is not None else None
    ablation = None
    if question.ablation_mm is not None and found:
        needle = found[0].trajectory
        zone = AblationZone.on_trajectory(needle.entry_mm, needle.target_mm, *question.ablation_mm)
        ablation = check_ablation(anatomy.labels, anatomy.tree, zone, lesion=lesion)
    resection = None
    if question.resection_plane is not None:
        resection = resect_by_plane(anatomy.labels, anatomy.tree, *question.resection_plane)
    at_lesion = question.target_mm is None and lesion is not None
    question = replace(question, target_mm=target_mm)
    return Answers(
        question, ranking, found, feeding, ablation, resection, skin_cut, at_lesion, anatomy.by_hu, anatomy.by_map
    )
