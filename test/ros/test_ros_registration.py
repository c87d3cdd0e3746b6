# SPDX-License-Identifier: Apache-2.0
"""The node `registration` over real DDS: it finds the patient, moves the CT's frame, and refuses what cannot be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, TransformStamped
from rcl_interfaces.srv import GetParameters
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

from liver_seg_interfaces.msg import RequestStatus, StructureMeshArray
from liver_seg_interfaces.srv import RegisterFrame
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER
from liver_seg_ros.nodes import qos
from liver_seg_ros.nodes.messages.meshes import meshes_to_array
from liver_seg_ros.reconstruction.pipeline import reconstruct
from liver_seg_ros.volume import LabelVolume

IN_CT_M = np.array([[-0.09, -0.06, 0.9], [0.07, 0.02, 0.88], [-0.04, 0.095, 0.93], [0.015, 0.05, 1.06]])
#: Where the CT's frame is in `base`, and `camera` in `base`.
TURN, SHIFT_M = Rotation.from_euler("xyz", [170, 10, 30], degrees=True), np.array([0.5, -0.2, 1.3])
CAMERA_TURN, CAMERA_SHIFT_M = Rotation.from_euler("z", 90, degrees=True), np.array([0.0, 1.0, 0.0])


def points(places_m: np.ndarray) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in places_m.tolist()]


def in_base(places_m: np.ndarray) -> np.ndarray:
    return TURN.apply(places_m) + SHIFT_M


def in_camera(places_m: np.ndarray) -> np.ndarray:
    return CAMERA_TURN.inv().apply(in_base(places_m) - CAMERA_SHIFT_M)


def liver() -> LabelVolume:
    """An egg without symmetry, about a tenth of a metre across."""
    k, j, i = np.ogrid[:40, :40, :40]
    x, y, z = i * 3.0 - 60, j * 3.0 - 60, k * 3.0 - 60
    bulge = np.exp(-((x - 25) ** 2 + (y - 20) ** 2 + z**2) / 400)
    inside = (x / 45) ** 2 + (y / 35) ** 2 + (z / 28) ** 2 <= 1 + 0.6 * bulge
    return LabelVolume(inside.astype(np.uint8), Geometry((40, 40, 40), (3.0,) * 3, (-60.0, -60.0, 900.0)), "ct-1")


@pytest.fixture
def registered(ros: Any) -> tuple[Any, list[TFMessage]]:
    """The node, which knows where `camera` is; and all that came on /tf_static."""
    ros.start("registration", parent_frame="base")
    frames = ros.latched(TFMessage, "/tf_static")
    static = ros.node.create_publisher(TFMessage, "/tf_static", qos.latched(10))
    camera = TransformStamped(child_frame_id="camera")
    camera.header.frame_id = "base"
    rotation, translation = camera.transform.rotation, camera.transform.translation
    rotation.x, rotation.y, rotation.z, rotation.w = CAMERA_TURN.as_quat().tolist()
    translation.x, translation.y, translation.z = CAMERA_SHIFT_M.tolist()
    static.publish(TFMessage(transforms=[camera]))
    ros.wait_for_line("/registration 0 ready to register")
    return ros, frames


def ask(ros: Any, **fields: Any) -> Any:
    request = RegisterFrame.Request(**{name: value for name, value in fields.items() if name != "frame"})
    request.header.frame_id = fields.get("frame", "")
    return ros.call(RegisterFrame, "/registration/register_frame", request)


def ask_until_heard(ros: Any, not_yet: str, **fields: Any) -> Any:
    """What was published takes a moment to reach a node that was just started."""
    answers: list[Any] = []

    def heard() -> bool:
        answers.append(ask(ros, **fields))
        return not_yet not in answers[-1].status.text

    ros.spin_until(heard)
    return answers[-1]


def is_there(transform: Any, tolerance_m: float = 1e-6) -> bool:
    q, t = transform.rotation, transform.translation
    found = Rotation.from_quat([q.x, q.y, q.z, q.w]).apply(IN_CT_M) + np.array([t.x, t.y, t.z])
    off = found - in_base(IN_CT_M)
    return bool(np.linalg.norm(off, axis=1).max() < tolerance_m)


def places_of_ct(frames: list[TFMessage]) -> list[Any]:
    return [t for message in frames for t in message.transforms if t.child_frame_id == "ct_lps"]


def test_landmarks_in_any_frame_move_the_ct_and_what_is_refused_does_not(registered: Any) -> None:
    ros, frames = registered
    asked = {"frame": "camera", "landmarks": points(in_camera(IN_CT_M)), "landmarks_in_ct": points(IN_CT_M)}
    target = [Point(x=0.0, y=0.0, z=0.95)]
    tried = ask_until_heard(ros, "'camera'", **asked, targets=target, dry_run=True)
    assert (tried.status.code, tried.status.text) == (RequestStatus.OK, "")
    assert is_there(tried.transform.transform)
    assert (tried.transform.header.frame_id, tried.transform.child_frame_id) == ("base", "ct_lps")
    assert tried.fre_m < 1e-9 and len(tried.residuals_m) == 4 and len(tried.tre_m) == 1

    line = points(np.outer(np.arange(4), [0.1, 0.0, 0.0]))
    mirrored = points(in_camera(IN_CT_M * [-1, 1, 1]))
    wrong = in_camera(IN_CT_M)
    wrong[2] += [0.0, 0.05, 0.0]
    for landmarks, says in ((line, "on one line"), (mirrored, "mirror image"), (points(wrong), "number 3 is worst")):
        refused = ask(ros, **{**asked, "landmarks": landmarks})
        assert refused.status.code == RequestStatus.REFUSED and says in refused.status.text
    assert refused.fre_m > 0.005 and refused.covariance[0] > 0  # what is known is told all the same
    unknown = ask(ros, **{**asked, "frame": "nowhere"})
    assert unknown.status.code == RequestStatus.REFUSED and "nowhere" in unknown.status.text
    early = ask(ros, surface_points=points(IN_CT_M))
    assert early.status.code == RequestStatus.REFUSED and "wait for the topic meshes" in early.status.text
    assert math.isnan(early.fre_m) and all(map(math.isnan, early.covariance)) and not early.transform.child_frame_id
    assert len(places_of_ct(frames)) == 1

    assert ask(ros, **asked).status.code == RequestStatus.OK
    ros.spin_until(lambda: len(places_of_ct(frames)) == 2)
    moved = places_of_ct(frames)[-1]
    assert moved.header.frame_id == "base" and is_there(moved.transform)
    names = ["translation_m", "rotation_xyzw"]
    values = ros.call(GetParameters, "/registration/get_parameters", GetParameters.Request(names=names)).values
    kept = Rotation.from_quat(values[1].double_array_value).apply(IN_CT_M) + values[0].double_array_value
    assert kept == pytest.approx(in_base(IN_CT_M), abs=1e-9)


def test_the_surface_refines_landmarks_that_are_off(registered: Any) -> None:
    ros, _ = registered
    made = reconstruct(liver())
    [mesh] = [mesh for mesh in made.meshes if mesh.structure == LIVER]
    ros.node.create_publisher(StructureMeshArray, "meshes", qos.latched(1)).publish(
        meshes_to_array([mesh], made.measurements, "ct-1", Time(sec=1))
    )
    random = np.random.default_rng(0)
    rough = in_base(IN_CT_M) + random.normal(0, 0.002, IN_CT_M.shape)
    on_liver = random.choice(mesh.vertices_mm.astype(float), 300) / 1000
    asked = {"landmarks": points(rough), "landmarks_in_ct": points(IN_CT_M)}
    answer = ask_until_heard(ros, "wait for the topic meshes", **asked, surface_points=points(in_base(on_liver)))
    assert (answer.status.code, answer.status.text, answer.volume_uid) == (RequestStatus.OK, "", "ct-1")
    assert answer.surface_used and answer.surface_fraction > 0.95 and answer.surface_residual_m < 0.0005
    assert is_there(answer.transform.transform, 0.003) and not is_there(answer.transform.transform, 1e-9)
    assert answer.notes
