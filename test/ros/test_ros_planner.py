# SPDX-License-Identifier: Apache-2.0
"""The node `planner` over real DDS, asked about a ball of tumor in a ball of liver, which are known on paper."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point, TransformStamped
from lifecycle_msgs.srv import GetState
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from liver_seg_interfaces.msg import RequestStatus, StructureMeshArray, VesselTree
from liver_seg_interfaces.srv import AssessAblation, AssessResection, EvaluateTrajectory, PlanTrajectories
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.nodes import qos
from liver_seg_ros.nodes.messages.guard_markers import COLORS
from liver_seg_ros.nodes.messages.meshes import meshes_to_array
from liver_seg_ros.nodes.messages.vessels import tree_to_message
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.planning.guard import Level
from liver_seg_ros.reconstruction.pipeline import reconstruct
from liver_seg_ros.volume import LabelVolume

ROOT = Path(__file__).resolve().parents[2]

LIVER_M, TUMOR_M = 0.060, 0.012
CENTER = (0.1, -0.05, 0.9)
#: Where `ct_lps` is in `map`: turned half around z, and shifted.
SHIFT_M = (0.5, 0.2, 0.1)


def anatomy() -> LabelVolume:
    """A liver of 60 mm in radius with a tumor of 12 mm at its center, and a vessel in a plane 30 mm to its left."""
    geometry = Geometry((70, 70, 70), (2.0, 2.0, 2.0), tuple(1000 * c - 69.0 for c in CENTER))
    k, j, i = np.ogrid[:70, :70, :70]
    x, y, z = i * 2.0 - 69, j * 2.0 - 69, k * 2.0 - 69
    labels = np.zeros((70, 70, 70), np.uint8)
    labels[x**2 + y**2 + z**2 <= 60**2] = LIVER.value
    labels[((x - 30) ** 2 + y**2 <= 5**2) & (np.abs(z) <= 40)] = VESSEL.value
    labels[x**2 + y**2 + z**2 <= 12**2] = TUMOR.value
    return LabelVolume(labels, geometry, "ct-1")


def at(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Point:
    """A point so far from the center of the liver, in `ct_lps`."""
    return Point(x=CENTER[0] + x, y=CENTER[1] + y, z=CENTER[2] + z)


def in_map(point: Point) -> Point:
    """The same place in `map`."""
    return Point(x=SHIFT_M[0] - point.x, y=SHIFT_M[1] - point.y, z=SHIFT_M[2] + point.z)


def near(point: Point, other: Point) -> bool:
    return math.dist((point.x, point.y, point.z), (other.x, other.y, other.z)) < 1e-6


@pytest.fixture(scope="module")
def planner(ros_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`alone`, for all tests that only ask it: what it answers is the question's alone."""
    with ros_in(tmp_path_factory.mktemp("planner")) as ros:
        yield prepared(ros)


@pytest.fixture
def alone(ros: Any) -> Any:
    """A planner that has labels, and knows where `map` is, and is asked by one test."""
    return prepared(ros)


def prepared(ros: Any) -> Any:
    ros.start("planner", use_ct=False, worker_process=False)  # of its own would take longer to start than all else
    static = ros.node.create_publisher(TFMessage, "/tf_static", qos.latched(10))
    fixed = TransformStamped(child_frame_id="ct_lps")
    fixed.header.frame_id = "map"
    fixed.transform.rotation.z, fixed.transform.rotation.w = 1.0, 0.0
    fixed.transform.translation.x, fixed.transform.translation.y, fixed.transform.translation.z = SHIFT_M
    static.publish(TFMessage(transforms=[fixed]))
    publish_labels(ros)
    ros.wait_for_line("/planner 0 ready for questions about volume ct-1")
    return ros


def publish_labels(ros: Any) -> None:
    publisher = ros.publisher("labels")
    for slab in volume_to_slabs(anatomy(), 2, ros.node.get_clock().now().to_msg()):
        publisher.publish(slab)


def ask(ros: Any, request: Any) -> Any:
    kinds = {EvaluateTrajectory: "evaluate_trajectory", PlanTrajectories: "plan_trajectories",
             AssessAblation: "assess_ablation", AssessResection: "assess_resection"}  # fmt: skip
    kind = next(kind for kind in kinds if isinstance(request, kind.Request))
    return ros.call(kind, f"/planner/{kinds[kind]}", request)


def evaluation_request(entry: Point, target: Point, frame: str) -> EvaluateTrajectory.Request:
    request = EvaluateTrajectory.Request()
    request.trajectory.header.frame_id = frame
    request.trajectory.entry, request.trajectory.target, request.trajectory.radius_m = entry, target, 0.001
    return request


@pytest.mark.parametrize("frame", ["", "ct_lps", "map"])
def test_a_needle_is_judged_in_any_frame_and_answered_in_it(planner: Any, frame: str) -> None:
    there = in_map if frame == "map" else lambda point: point
    # Along y to the center, past the vessel at a distance of 30 mm from its axis, whose radius is 5 mm.
    answer = ask(planner, evaluation_request(there(at(y=-0.09)), there(at()), frame))
    assert (answer.status.code, answer.status.text, answer.volume_uid) == (RequestStatus.OK, "", "ct-1")
    found = answer.evaluation
    assert found.trajectory.header.frame_id == (frame or "ct_lps")
    assert near(found.trajectory.entry, there(at(y=-0.09))) and near(found.trajectory.target, there(at()))
    assert found.length_m == pytest.approx(0.09)
    assert found.length_in_liver_m == pytest.approx(LIVER_M, abs=0.002)
    assert (found.capsule_crossings, list(found.vessel_crossings)) == (1, [])
    assert found.entry_angle_rad == pytest.approx(0, abs=0.15)
    clearance = {c.structure: c for c in found.clearances}
    assert clearance["vessel"].clearance_m == pytest.approx(0.030 - 0.005 - 0.001, abs=0.001)
    nearest, end = clearance["vessel"].at, there(at())
    assert math.dist((nearest.x, nearest.y, nearest.z), (end.x, end.y, end.z)) < 0.003
    assert clearance["tumor"].clearance_m < 0


def test_a_needle_through_a_vessel_says_so(planner: Any) -> None:
    found = ask(planner, evaluation_request(at(x=0.09), at(), "ct_lps")).evaluation
    [crossing] = found.vessel_crossings
    assert crossing.structure == "vessel"
    assert crossing.radius_m == pytest.approx(0.005, abs=0.001)
    assert crossing.along_m == pytest.approx(0.060, abs=0.002)


def plan_request(frame: str = "ct_lps", **fields: Any) -> PlanTrajectories.Request:
    request = PlanTrajectories.Request(**fields)
    request.header.frame_id = frame
    return request


def test_trajectories_are_ranked_among_given_entries(planner: Any) -> None:
    # One through the vessel, one free and short, one free and longer: the order is certain.
    entries = [at(x=0.09), at(x=-0.09), at(y=0.11)]
    for frame, there in (("ct_lps", lambda point: point), ("map", in_map)):
        answer = ask(planner, plan_request(frame, entries=[there(entry) for entry in entries], lesion=1))
        assert answer.status.code == RequestStatus.OK
        assert not any(near(found.trajectory.entry, there(entries[0])) for found in answer.trajectories)
        first = answer.trajectories[0].trajectory
        assert near(first.entry, there(entries[1]))
        assert math.dist((first.target.x, first.target.y), (there(at()).x, there(at()).y)) < 0.001
        assert any("Not labelled" in note for note in answer.notes)
    assert len(ask(planner, plan_request(entries=entries, count=1)).trajectories) == 1


def test_every_request_gets_an_end_that_says_why(planner: Any) -> None:
    nothing = ask(planner, plan_request(entries=[at(x=-0.09)], max_length_m=0.05))
    assert (nothing.status.code, list(nothing.trajectories)) == (RequestStatus.NOTHING_FOUND, [])
    assert "length 1" in nothing.status.text
    for request, why in (
        (plan_request(), "where does the needle begin"),
        (plan_request("moon", entries=[at()]), "no frame 'moon'"),
        (plan_request(entries=[at(x=math.nan)]), "finite"),
        (plan_request(entries=[at(x=-0.09)], lesion=7), "no lesion 7"),
        (evaluation_request(at(x=math.inf), at(), "ct_lps"), "finite"),
        (evaluation_request(at(), at(), "moon"), "no frame 'moon'"),
        (AssessAblation.Request(along_m=0.02, across_m=0.02), "not two places"),
        (AssessResection.Request(point=at()), "direction"),
    ):
        status = ask(planner, request).status
        assert (status.code, why in status.text) == (RequestStatus.REFUSED, True), status.text


def test_an_ablation_is_assessed(planner: Any) -> None:
    request = AssessAblation.Request(along_m=0.018, across_m=0.018, margin_m=0.005)
    request.trajectory.header.frame_id = "map"
    request.trajectory.entry, request.trajectory.target = in_map(at(y=-0.09)), in_map(at())
    answer = ask(planner, request)
    assert (answer.has_lesion, answer.lesion, answer.covered) == (True, 1, 1.0)
    assert answer.smallest_margin_m == pytest.approx(0.006, abs=answer.uncertainty_m + 1e-4)
    assert answer.zone_m3 == pytest.approx(4 / 3 * math.pi * 0.018**3)
    assert answer.healthy_liver_m3 == pytest.approx(4 / 3 * math.pi * (0.018**3 - 0.012**3), rel=0.05)
    assert answer.outside_liver_m3 == pytest.approx(0, abs=0.5e-6)
    assert math.dist(
        (answer.smallest_at.x, answer.smallest_at.y, answer.smallest_at.z),
        (in_map(at()).x, in_map(at()).y, in_map(at()).z),
    ) == pytest.approx(TUMOR_M, abs=0.003)


def test_a_resection_is_assessed(planner: Any) -> None:
    request = AssessResection.Request(point=in_map(at(x=0.02)))
    request.header.frame_id = "map"
    request.normal.x = -1.0  # towards +x of ct_lps, where the vessel is
    answer = ask(planner, request)
    cap_m3 = math.pi * 0.04**2 * (0.06 - 0.04 / 3)  # of a ball of 6 cm in radius, 4 cm high
    assert answer.resected_m3 == pytest.approx(cap_m3, rel=0.03)
    assert answer.liver_m3 == pytest.approx(4 / 3 * math.pi * 0.06**3, rel=0.03)
    assert answer.tumor_m3 == pytest.approx(4 / 3 * math.pi * 0.012**3, rel=0.03)
    assert answer.remnant_m3 == pytest.approx(answer.liver_m3 - answer.tumor_m3 - answer.resected_m3, rel=1e-6)
    assert answer.tumor_left_m3 == pytest.approx(answer.tumor_m3)


def test_who_asks_too_early_is_told_to_come_again(ros: Any) -> None:
    ros.start("planner", use_ct=False)
    ros.wait_for_line("/planner 0 waiting for labels")
    early = ask(ros, evaluation_request(at(x=0.09), at(), "ct_lps"))
    assert (early.status.code, early.status.text) == (RequestStatus.NOT_READY, "no labels came yet on the topic labels")


def test_another_process_prepares_and_a_new_one_does_so_again_where_it_is_killed(ros: Any) -> None:
    process = ros.start("planner", use_ct=False, worker_niceness=0)
    ros.wait_for_line("/planner 0 waiting for labels")
    [worker] = ros.workers(process)
    os.kill(worker, signal.SIGSTOP)  # however long it takes
    publish_labels(ros)
    ros.wait_for_line("/planner 0 preparing volume ct-1")
    question = evaluation_request(at(y=-0.09), at(), "ct_lps")
    for _ in range(3):
        status = ask(ros, question).status
        assert (status.code, status.text) == (RequestStatus.NOT_READY, "volume ct-1 is being prepared")
        assert ros.call(GetState, "/planner/get_state", GetState.Request()).current_state.label == "active"
    os.kill(worker, signal.SIGKILL)
    ros.wait_for_line("/planner 2 WorkerLostError: the worker process was ended by SIGKILL")

    def length_m() -> float:
        ros.spin_until(lambda: ask(ros, question).status.code == RequestStatus.OK)
        return ask(ros, question).evaluation.length_m

    assert length_m() == pytest.approx(0.09)
    [worker] = ros.workers(process)
    os.kill(worker, signal.SIGKILL)  # with what it prepared
    assert ask(ros, question).status.code == RequestStatus.NOT_READY
    assert length_m() == pytest.approx(0.09)


def test_a_long_question_does_not_keep_others_waiting(planner: Any) -> None:
    around = np.random.default_rng(0).normal(size=(20_000, 3))
    around *= 0.1 / np.linalg.norm(around, axis=1, keepdims=True)
    client = planner.node.create_client(PlanTrajectories, "/planner/plan_trajectories")
    planner.spin_until(client.service_is_ready)
    long = client.call_async(plan_request(entries=[at(*place) for place in around.tolist()]))
    states = []
    while not long.done():
        states.append(planner.call(GetState, "/planner/get_state", GetState.Request()).current_state.label)
    assert states[:-1] and set(states) == {"active"}
    assert long.result().status.code == RequestStatus.OK


def test_the_example_asks_shows_and_guards(alone: Any, tmp_path: Path) -> None:
    """`examples/planner.py` as a process of its own, beside both nodes, until the needle leaves its way."""
    alone.start("needle_guard", tf_timeout_s=10.0, worker_niceness=0)
    mesh = alone.node.create_publisher(StructureMeshArray, "meshes", qos.latched(1))
    labels = anatomy()
    made = reconstruct(labels)
    stamp = alone.node.get_clock().now().to_msg()
    mesh.publish(meshes_to_array(made.meshes, made.measurements, labels.uid, stamp))
    tf = alone.node.create_publisher(TFMessage, "/tf", 10)
    entry = at(x=-0.09)
    command = [sys.executable, "-u", "examples/planner.py", *map(str, (entry.x, entry.y, entry.z))]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(alone.domain)}
    said = tmp_path / "said"
    with said.open("w") as file:
        example = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file)

    def ended() -> bool:
        told = TransformStamped(child_frame_id="needle_tip")
        told.header.frame_id, told.header.stamp = "ct_lps", alone.node.get_clock().now().to_msg()
        shift, turn = told.transform.translation, told.transform.rotation
        shift.x, shift.y, shift.z = entry.x, entry.y, entry.z
        if "OK   90 mm" in said.read_bytes().decode():
            shift.y += 0.02  # a jump at first, and beside its way in any case
        turn.y, turn.w = math.sqrt(0.5), math.sqrt(0.5)  # z of the tip's frame onto x: towards the lesion
        tf.publish(TFMessage(transforms=[told]))
        return example.poll() is not None

    alone.spin_until(ended)
    first, *levels = said.read_bytes().decode().replace("\n", "").split("\r")
    assert example.returncode == 0, levels
    assert first.startswith("90 mm long. ") and "Not labelled" in first
    assert any(level.startswith("OK   90 mm") for level in levels)
    assert re.match(r"STOP +\d+ mm \S", levels[-1])


def test_the_needle_of_the_demo_goes_into_a_vessel_and_is_stopped(alone: Any) -> None:
    """`examples/moving_needle.py` as a process of its own; and RViz sees the needle in the colors of the levels."""
    slow = {"markers_hz": 30.0, "warn_margin_m": 0.02}  # so that all is seen on a slow machine too
    alone.start("needle_guard", tf_timeout_s=10.0, worker_process=False, **slow)
    labels, stamp = anatomy(), alone.node.get_clock().now().to_msg()
    made = reconstruct(labels)
    for kind, topic, message in (
        (StructureMeshArray, "meshes", meshes_to_array(made.meshes, made.measurements, labels.uid, stamp)),
        (VesselTree, "vessel_tree", tree_to_message(made.tree, labels.uid, stamp)),
    ):
        alone.node.create_publisher(kind, topic, qos.latched(1)).publish(message)
    markers = alone.live(MarkerArray, "/needle_guard/markers")
    entry = at(x=-0.09)
    example = subprocess.Popen(
        [sys.executable, "examples/moving_needle.py", "--strokes", "1", "--speed", "0.08", "--entry",
         *map(str, (entry.x, entry.y, entry.z))],
        cwd=ROOT, env={**os.environ, "ROS_DOMAIN_ID": str(alone.domain)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    alone.spin_until(lambda: example.poll() is not None)
    assert example.stdout is not None
    lines = example.stdout.read().splitlines()
    assert example.returncode == 0, lines
    assert re.fullmatch(r"this way meets a vessel of [45]\.\d mm radius: do not follow it", lines[0])
    levels = [line.split()[0] for line in lines[1:]]
    assert levels[:3] == ["OK", "WARN", "STOP"] and levels[-1] == "OK"
    needles = [marker for array in markers for marker in array.markers if marker.ns == "needle"]
    seen = {(round(n.color.r, 2), round(n.color.g, 2), round(n.color.b, 2)) for n in needles}
    assert seen >= {COLORS[Level.OK], COLORS[Level.STOP]}
