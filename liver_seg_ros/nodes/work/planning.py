# SPDX-License-Identifier: Apache-2.0
"""The work of the node `planner`: prepares a patient's anatomy, keeps it, and answers questions about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from liver_seg_ros.files.checks import check_labels
from liver_seg_ros.geometry import Box
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.open3d_library import import_open3d
from liver_seg_ros.planning.ablation import AblationCheck, check_ablation
from liver_seg_ros.planning.ablation_zone import AblationZone
from liver_seg_ros.planning.anatomy import Anatomy, prepare_anatomy
from liver_seg_ros.planning.couinaud_answer import SegmentsAnswer, divide_liver
from liver_seg_ros.planning.couinaud_surfaces import part_mesh
from liver_seg_ros.planning.questions import Question, answer, check_question
from liver_seg_ros.planning.resection import Resection, resect_by_plane
from liver_seg_ros.planning.trajectory import Trajectory, evaluate_trajectory
from liver_seg_ros.planning.trajectory_values import TrajectoryEvaluation
from liver_seg_ros.progress import Cancelled, Progress, raise_if_cancelled
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume, Volume


class AnatomyGoneError(RuntimeError):
    """The anatomy is not here: this process began after it was prepared."""


@dataclass(frozen=True)
class Planned:
    """The best trajectories, what someone who trusts them has to know, and why there are none."""

    trajectories: Sequence[TrajectoryEvaluation]
    notes: Sequence[str]
    message: str


@dataclass(frozen=True, eq=False)
class Divided:
    """A liver divided, its voxels cut to their box, and the parts' surfaces by value where they were asked for."""

    answer: SegmentsAnswer
    meshes: Mapping[int, Mesh]

    __repr__ = short_repr


class Planning:
    """Has what planning needs imported before the first volume comes. All questions name the volume that they mean.

    They raise `AnatomyGoneError` where that is not the one that was prepared last, and `InputError` as their work does.
    """

    def __init__(self, progress: Progress, cancelled: Cancelled) -> None:
        import_open3d()  # seconds; `meshes.surface_queries` would do so with the first volume
        self._anatomy: Anatomy | None = None
        self._surroundings: LabelVolume | None = None

    def prepare(
        self,
        labels: LabelVolume,
        ct: Volume | None,
        by_hu: bool,
        surroundings: LabelVolume | None,
        progress: Progress,
        cancelled: Cancelled,
    ) -> Iterator[str]:
        """What was prepared, in words; see `prepare_anatomy`. Raises `InputError` for what are no labels, too."""
        self._anatomy = None  # its memory is needed
        check_labels(labels, f"volume {labels.uid}")
        anatomy = prepare_anatomy(labels, ct=ct, by_hu=by_hu, surroundings=surroundings)
        raise_if_cancelled(cancelled, "preparing")  # a newer one may be there by now
        self._anatomy, self._surroundings = anatomy, surroundings
        yield repr(anatomy)

    def evaluate(
        self, volume_uid: str, needle: Trajectory, progress: Progress, cancelled: Cancelled
    ) -> Iterator[TrajectoryEvaluation]:
        """See `evaluate_trajectory`."""
        yield evaluate_trajectory(self._of(volume_uid), needle)

    def plan(
        self, volume_uid: str, question: Question, most: int, progress: Progress, cancelled: Cancelled
    ) -> Iterator[Planned]:
        """At most so many trajectories; see `answer`."""
        anatomy = self._of(volume_uid)
        check_question(question, anatomy.skin is not None)
        answers = answer(anatomy, question)
        yield Planned(answers.trajectories[:most], answers.notes, answers.message)

    def ablate(
        self,
        volume_uid: str,
        zone: AblationZone,
        margin_mm: float,
        lesion: int | None,
        progress: Progress,
        cancelled: Cancelled,
    ) -> Iterator[AblationCheck]:
        """See `check_ablation`."""
        anatomy = self._of(volume_uid)
        yield check_ablation(anatomy.labels, anatomy.tree, zone, margin_mm, lesion=lesion)

    def resect(
        self, volume_uid: str, point_mm: ArrayLike, normal: ArrayLike, progress: Progress, cancelled: Cancelled
    ) -> Iterator[Resection]:
        """See `resect_by_plane`."""
        anatomy = self._of(volume_uid)
        yield resect_by_plane(anatomy.labels, anatomy.tree, point_mm, normal)

    def divide(
        self,
        volume_uid: str,
        removed: Sequence[int],
        with_meshes: bool,
        progress: Progress,
        cancelled: Cancelled,
    ) -> Iterator[Divided]:
        """See `divide_liver`."""
        anatomy = self._of(volume_uid)
        answer = divide_liver(anatomy.labels, anatomy.tree, self._surroundings, removed)
        divided = answer.divided
        if box := Box.around(divided.array > 0):
            divided = replace(divided, array=divided.array[box.slices], geometry=divided.geometry.crop(box))
        meshes = {}
        for part in divided.parts if with_meshes else ():
            raise_if_cancelled(cancelled, "dividing the liver")
            meshes[part.value] = part_mesh(divided, part)
        yield Divided(replace(answer, divided=divided), meshes)

    def _of(self, volume_uid: str) -> Anatomy:
        anatomy = self._anatomy
        if anatomy is None or anatomy.labels.uid != volume_uid:
            raise AnatomyGoneError(f"volume {volume_uid} is not prepared in this process")
        return anatomy
