# SPDX-License-Identifier: Apache-2.0
"""The node `planner`: services on the latest labels, for trajectories, ablations, resections and segments.

Requests may be in any frame that TF connects to the CT's; answers are in the frame that was asked in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_msgs.msg import Header

from liver_seg_interfaces.msg import RequestStatus
from liver_seg_interfaces.srv import AssessAblation, AssessResection, DivideLiver, EvaluateTrajectory, PlanTrajectories
from liver_seg_ros.errors import CancelledError
from liver_seg_ros.geometry import MM_PER_M, to_vector
from liver_seg_ros.nodes.answers import answering_elsewhere
from liver_seg_ros.nodes.diagnostics import in_one_line
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.messages.guard_readings import message_to_trajectory
from liver_seg_ros.nodes.messages.placing import placed
from liver_seg_ros.nodes.messages.planning_answers import (
    evaluation_to_message,
    fill_ablation,
    fill_resection,
)
from liver_seg_ros.nodes.messages.points import points_to_mm
from liver_seg_ros.nodes.messages.segments import fill_segments, voxels_to_message, why_not_divided
from liver_seg_ros.nodes.parameter_tables import PLANNER
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.transform_buffer import TransformError
from liver_seg_ros.nodes.transforms import Transforms, open_transforms
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.nodes.work.planning import AnatomyGoneError, Planning
from liver_seg_ros.nodes.workplaces import workplace
from liver_seg_ros.offload.channel import WorkerLostError
from liver_seg_ros.offload.worker_process import Workplace
from liver_seg_ros.planning.ablation_zone import AblationZone
from liver_seg_ros.planning.limits import Limits
from liver_seg_ros.planning.questions import Question, limits_for
from liver_seg_ros.planning.trajectory_values import NEEDLE_RADIUS_MM, Trajectory
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.volume import LabelVolume, Volume

MOST_TRAJECTORIES = 20

T = TypeVar("T")


class PlannerNode(StageNode):
    """Services on the labels of the topic `labels`, and on the CT of the topic `ct` for the skin.

    Where the parameter `surroundings` is true, also on the map of organs on the topic of this name: they wait for it.

    Questions wait for one another, on a thread of their own; the work is a worker process's. What it has prepared goes
    with it: then the next question is told to come again, and a new process prepares the same.

    Args:
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__("planner", PLANNER, **kwargs)
        self._labels_input = VolumeInput(self, "labels", np.uint8, self._on_labels)
        self._ct_input = VolumeInput(self, "ct", np.int16, self._on_ct)
        self._map_input = VolumeInput(self, "surroundings", np.uint8, self._on_map)
        self._labels: LabelVolume | None = None
        self._map: LabelVolume | None = None
        self._ct: Volume | None = None
        self._workplace: Workplace | None = None
        # Held where these change: labels of before must not come back once newer ones came.
        self._state_lock = threading.Lock()
        self._ready = ""  # uid of the volume that the worker process has prepared
        self._why = "not active"  # it has none
        self._lost = False  # the process was lost with what it prepared
        self._transforms: Transforms | None = None
        questions = MutuallyExclusiveCallbackGroup()
        for kind, name, work in (
            (EvaluateTrajectory, "evaluate_trajectory", self._evaluate),
            (PlanTrajectories, "plan_trajectories", self._plan),
            (AssessAblation, "assess_ablation", self._assess_ablation),
            (AssessResection, "assess_resection", self._assess_resection),
            (DivideLiver, "divide_liver", self._divide),
        ):
            self.create_service(kind, f"~/{name}", self._answering(work), callback_group=questions)

    def configure(self) -> None:
        self._workplace = workplace(self, Planning)
        self._workplace.begin()

    def activate(self) -> None:
        self._why = "no labels came yet on the topic labels"
        self._transforms = open_transforms(self, lambda _: None)
        self._labels_input.open()
        if self.get_parameter("use_ct").value:
            self._ct_input.open()
        if self.get_parameter("surroundings").value:
            self._map_input.open()
        self.diagnostics.say("waiting for labels")

    def deactivate(self) -> None:
        self._labels_input.close()
        self._ct_input.close()
        self._map_input.close()
        if self._transforms is not None:
            self._transforms.close()
        self._transforms = None
        with self._state_lock:
            self._labels, self._ct, self._map = None, None, None
            self._ready, self._why, self._lost = "", "not active", False

    def cleanup(self) -> None:
        if self._workplace is not None:
            self._workplace.close()
        self._workplace = None

    def _on_labels(self, assembled: Assembled) -> None:
        self._labels = LabelVolume(assembled.array, assembled.geometry, assembled.uid)
        self._prepare_next()

    def _on_ct(self, assembled: Assembled) -> None:
        self._ct = Volume(assembled.array, assembled.geometry, assembled.uid)
        if self._labels is not None and self._labels.uid == self._ct.uid:
            self._prepare_next()

    def _on_map(self, assembled: Assembled) -> None:
        self._map = LabelVolume(assembled.array, assembled.geometry, assembled.uid)
        if self._labels is not None and self._labels.uid == self._map.uid:
            self._prepare_next()

    def _prepare_next(self) -> None:
        """In the worker process, whatever it had before."""
        with self._state_lock:
            labels = self._labels
            if labels is None:  # deactivated meanwhile
                return
            ct = self._ct if self._ct is not None and self._ct.uid == labels.uid else None
            surroundings = self._map if self._map is not None and self._map.uid == labels.uid else None
            self._ready, self._lost = "", False
            if surroundings is None and self.get_parameter("surroundings").value:
                self._why = f"no map of volume {labels.uid} came yet on the topic surroundings"
                return
            self._why = f"volume {labels.uid} is being prepared"
            self.worker.submit(lambda cancelled: self._prepare(labels, ct, surroundings, cancelled))

    def _prepare(
        self, labels: LabelVolume, ct: Volume | None, surroundings: LabelVolume | None, cancelled: Cancelled
    ) -> None:
        self.diagnostics.begin(f"preparing volume {labels.uid}", last_volume=labels.uid)
        by_hu = bool(self.get_parameter("by_hu").value)
        try:
            work = Planning.prepare, labels, ct, by_hu, surroundings
            [anatomy] = self._place().run(*work, cancelled=cancelled)
        except CancelledError:
            raise
        except Exception as error:
            self._now_ready("", in_one_line(error), cancelled, lost=isinstance(error, WorkerLostError))
            raise
        self._now_ready(labels.uid, "", cancelled)
        self.diagnostics.conclude(f"ready for questions about volume {labels.uid}: {anatomy}")

    def _now_ready(self, volume_uid: str, why: str, cancelled: Cancelled, lost: bool = False) -> None:
        """Raises `CancelledError` where newer labels came, or the node was deactivated, meanwhile."""
        with self._state_lock:
            raise_if_cancelled(cancelled, "preparing")
            self._ready, self._why, self._lost = volume_uid, why, lost

    def _place(self) -> Workplace:
        if self._workplace is None:
            raise CancelledError("the node was cleaned up")
        return self._workplace

    def _asked(self, method: Callable[..., Iterator[T]], *question: object) -> T:
        """The answer of the worker process."""
        [answer] = self._place().run(method, *question, cancelled=lambda: not self.active)
        return answer

    def _answering(self, work: Callable[[Any, Any, str], None]) -> Callable[[Any, Any], Any]:
        def about_anatomy(request: Any, response: Any) -> None:
            uid = self._ready
            if self._lost:
                self._prepare_next()
            elif uid:
                response.volume_uid = uid
                try:
                    work(request, response, uid)
                except CancelledError:
                    pass  # not active any more
                except (WorkerLostError, AnatomyGoneError):
                    self._prepare_next()
                else:
                    return
            response.status.code, response.status.text = RequestStatus.NOT_READY, self._why

        return answering_elsewhere(self, "a question", about_anatomy)

    def _evaluate(self, request: EvaluateTrajectory.Request, response: EvaluateTrajectory.Response, uid: str) -> None:
        header = self._header(request.trajectory.header.frame_id)
        there = self._to_ct(header)
        found = self._asked(Planning.evaluate, uid, self._needle(request.trajectory, there))
        response.evaluation = evaluation_to_message(found, header, uid, there.inverse().apply)

    def _plan(self, request: PlanTrajectories.Request, response: PlanTrajectories.Response, uid: str) -> None:
        header = self._header(request.header.frame_id)
        there = self._to_ct(header)
        back = there.inverse()
        question = Question(
            lesion=max(0, request.lesion - 1),
            limits=limits_for(
                MM_PER_M * request.needle_radius_m or NEEDLE_RADIUS_MM,
                MM_PER_M * request.max_length_m or Limits().max_length_mm,
                MM_PER_M * request.least_clearance_m,
            ),
            target_mm=to_vector(there.apply(points_to_mm([request.target])[0])) if request.has_target else None,
            entries_mm=there.apply(points_to_mm(request.entries)) if request.entries else None,
        )
        planned = self._asked(Planning.plan, uid, question, request.count or MOST_TRAJECTORIES)
        response.trajectories = [
            evaluation_to_message(found, header, uid, back.apply) for found in planned.trajectories
        ]
        response.notes = list(planned.notes)
        if not planned.trajectories:
            response.status.code, response.status.text = RequestStatus.NOTHING_FOUND, planned.message

    def _assess_ablation(self, request: AssessAblation.Request, response: AssessAblation.Response, uid: str) -> None:
        there = self._to_ct(self._header(request.trajectory.header.frame_id))
        needle = self._needle(request.trajectory, there)
        along_mm, across_mm, offset_mm, margin_mm = (
            MM_PER_M * length for length in (request.along_m, request.across_m, request.offset_m, request.margin_m)
        )
        zone = AblationZone.on_trajectory(needle.entry_mm, needle.target_mm, along_mm, across_mm, offset_mm)
        check = self._asked(Planning.ablate, uid, zone, margin_mm, request.lesion - 1 if request.lesion else None)
        fill_ablation(response, check, there.inverse().apply)

    def _assess_resection(self, request: AssessResection.Request, response: AssessResection.Response, uid: str) -> None:
        there = self._to_ct(self._header(request.header.frame_id))
        normal = there.matrix[:3, :3] @ (request.normal.x, request.normal.y, request.normal.z)
        point_mm = there.apply(points_to_mm([request.point])[0])
        found = self._asked(Planning.resect, uid, point_mm, normal)
        fill_resection(response, found, there.inverse().apply)

    def _divide(self, request: DivideLiver.Request, response: DivideLiver.Response, uid: str) -> None:
        header = self._header(request.header.frame_id)
        back = self._to_ct(header).inverse()
        found = self._asked(Planning.divide, uid, tuple(request.removed), request.with_meshes)
        response.header = header
        fill_segments(response, found.answer, found.meshes, back.apply)
        if request.with_voxels and found.answer.divided.parts:
            response.voxels = [placed(voxels_to_message(found.answer, uid, header.stamp), self.ct_frame)]
        if why := why_not_divided(found.answer):
            response.status.code, response.status.text = RequestStatus.NOTHING_FOUND, why

    def _header(self, frame_id: str) -> Header:
        return Header(stamp=self.get_clock().now().to_msg(), frame_id=frame_id or self.ct_frame)

    def _to_ct(self, header: Header) -> RigidTransform:
        """From the frame of a request to the CT's. Raises `TransformError`."""
        if header.frame_id == self.ct_frame:
            return RigidTransform(np.eye(4))
        if self._transforms is None:
            raise TransformError("not active")
        return self._transforms.lookup(self.ct_frame, header.frame_id).transform

    def _needle(self, message: Any, there: RigidTransform) -> Trajectory:
        needle = message_to_trajectory(message)
        entry, target = there.apply([needle.entry_mm, needle.target_mm])
        return Trajectory(to_vector(entry), to_vector(target), needle.radius_mm)


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [PlannerNode()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
