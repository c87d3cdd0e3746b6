# SPDX-License-Identifier: Apache-2.0
"""The node `registration`: finds where the patient is in the robot's frame, and moves the CT's frame there."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription

from liver_seg_interfaces.msg import RequestStatus, StructureMeshArray
from liver_seg_interfaces.srv import RegisterFrame
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.labels import LIVER
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.nodes.answers import answering
from liver_seg_ros.nodes.frames import StaticFrame
from liver_seg_ros.nodes.messages.guard_readings import message_to_mesh
from liver_seg_ros.nodes.messages.poses import parameters_to_transform, transform_to_parameters
from liver_seg_ros.nodes.messages.registrations import fill_nothing_known, fill_registration, request_to_question
from liver_seg_ros.nodes.parameter_tables import REGISTRATION
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.transform_buffer import TransformError
from liver_seg_ros.nodes.transforms import Transforms, open_transforms
from liver_seg_ros.planning.frame_registration import register_frame
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.reconstruction.meshes.triangles import vertex_normals

#: A surface takes a second; what is asked of every node goes on meanwhile.
THREADS = 2


class RegistrationNode(StageNode):
    """Publishes the CT's frame below `parent_frame`, and moves it where the service `~/register_frame` finds it.

    Where the frame is stands in the parameters `translation_m` and `rotation_xyzw`: what a registration finds is set
    there, so that it can be read, kept and given to the next start.

    Args:
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__("registration", REGISTRATION, **kwargs)
        self._frame = StaticFrame(self)
        self._transforms: Transforms | None = None
        self._meshes: StructureMeshArray | None = None
        self._subscription: Subscription | None = None
        self._lock = threading.Lock()  # held where the state changes under a question
        self.create_service(
            RegisterFrame,
            "~/register_frame",
            answering(self, self._register),
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def parameters_changed(self, changed: Mapping[str, Any]) -> None:
        self._frame.parameters_changed(changed)

    def configure(self) -> None:
        self._frame.open()

    def activate(self) -> None:
        self._transforms = open_transforms(self, lambda _: None)
        self._subscription = self.create_subscription(StructureMeshArray, "meshes", self._on_meshes, latched(1))
        self.diagnostics.say("ready to register")

    def deactivate(self) -> None:
        with self._lock:
            if self._transforms is not None:
                self._transforms.close()
            if self._subscription is not None:
                self.destroy_subscription(self._subscription)
            self._transforms, self._subscription, self._meshes = None, None, None

    def cleanup(self) -> None:
        self._frame.close()

    def _on_meshes(self, message: StructureMeshArray) -> None:
        self._meshes = message

    def _register(self, request: RegisterFrame.Request, response: RegisterFrame.Response) -> None:
        fill_nothing_known(response)
        meshes, parent = self._meshes, str(self.get_parameter("parent_frame").value)
        if not self.active:
            response.status.code, response.status.text = RequestStatus.NOT_READY, "not active"
            return
        if not parent:
            raise InputError("parent_frame is empty, so that there is nothing to register to; set it")
        surface = None
        if request.surface_points and meshes is not None:
            surface = self._liver(meshes)
            response.volume_uid = meshes.volume_uid
        to_parent = self._to_parent(request.header.frame_id or parent, parent)
        question = request_to_question(request, to_parent, MM_PER_M * self.get_parameter("max_fre_m").value)
        now = parameters_to_transform(*(self.get_parameter(p).value for p in ("translation_m", "rotation_xyzw")))
        answer = register_frame(question, surface, now)
        fill_registration(response, answer)
        response.transform.header.frame_id, response.transform.child_frame_id = parent, self.ct_frame
        response.transform.header.stamp = self.get_clock().now().to_msg()
        if answer.refusal:
            response.status.code, response.status.text = RequestStatus.REFUSED, answer.refusal
        elif not request.dry_run:
            self._move(answer.pose)

    def _to_parent(self, frame_id: str, parent: str) -> RigidTransform:
        """Raises `TransformError` where TF does not connect the two."""
        if frame_id == parent:
            return RigidTransform(np.eye(4))
        with self._lock:
            if self._transforms is None:
                raise TransformError("not active")
            return self._transforms.lookup(parent, frame_id).transform

    def _liver(self, meshes: StructureMeshArray) -> Mesh:
        if meshes.header.frame_id not in (self.ct_frame, ""):
            raise InputError(f"the surfaces that came are in the frame '{meshes.header.frame_id}', not {self.ct_frame}")
        for message in meshes.meshes:
            if message.measurement.label == LIVER.value:
                mesh = message_to_mesh(message)
                normals = vertex_normals(mesh.vertices_mm, mesh.triangles)
                return replace(mesh, normals=normals.astype(np.float32))
        raise InputError("the surfaces that came hold no liver")

    def _move(self, pose: RigidTransform) -> None:
        translation_m, rotation_xyzw = transform_to_parameters(pose)
        values = {"translation_m": translation_m, "rotation_xyzw": rotation_xyzw}
        result = self.set_parameters_atomically([Parameter(name, value=value) for name, value in values.items()])
        if not result.successful:
            raise InputError(result.reason)
        self.diagnostics.say(f"{self.ct_frame} was moved by a registration")


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [RegistrationNode()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes, threads=THREADS)


if __name__ == "__main__":
    main()
