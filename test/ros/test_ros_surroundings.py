# SPDX-License-Identifier: Apache-2.0
"""The map of the surroundings over real DDS: published by `segmentation`, kept clear of by `planner` and guard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, TransformStamped
from tf2_msgs.msg import TFMessage

from liver_seg_interfaces.msg import GuardReading, RequestStatus, StructureMeshArray
from liver_seg_interfaces.srv import DivideLiver, EvaluateTrajectory
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.inference.surroundings import load_surroundings_mapper
from liver_seg_ros.labels import AORTA, COLON, LIVER, TUMOR, VENA_CAVA
from liver_seg_ros.nodes import qos
from liver_seg_ros.nodes.messages.meshes import meshes_to_array
from liver_seg_ros.nodes.messages.volumes import message_to_slab, volume_to_slabs
from liver_seg_ros.planning.couinaud import divide_into_segments
from liver_seg_ros.planning.couinaud_landmarks import find_landmarks
from liver_seg_ros.reconstruction.pipeline import reconstruct
from liver_seg_ros.reconstruction.vessels.extraction import vessel_tree
from liver_seg_ros.reconstruction.vessels.veins import separate_veins
from liver_seg_ros.volume import LabelVolume

OK, REFUSED, NOTHING_FOUND = RequestStatus.OK, RequestStatus.REFUSED, RequestStatus.NOTHING_FOUND
#: A ball of liver and a ball of colon that the map puts beside it, reaching into the liver by 5 mm; LPS mm.
LIVER_RADIUS_MM, COLON_MM, COLON_RADIUS_MM = 30.0, np.array([60.0, 0.0, 0.0]), 35.0


def ball(spacing_mm: float, half: int, center_mm: np.ndarray, radius_mm: float, value: int) -> LabelVolume:
    n = 2 * half + 1
    geometry = Geometry((n, n, n), (spacing_mm,) * 3, (-half * spacing_mm,) * 3)
    k, j, i = np.indices(geometry.shape)
    places = geometry.index_to_lps(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    inside = np.linalg.norm(places - center_mm, axis=1) <= radius_mm
    return LabelVolume(np.where(inside, value, 0).astype(np.uint8).reshape(geometry.shape), geometry, "ct-1")


LABELS = ball(2.0, 18, np.zeros(3), LIVER_RADIUS_MM, LIVER.value)
MAP = ball(3.0, 32, COLON_MM, COLON_RADIUS_MM, COLON.value)


def publish(ros: Any, topic: str, labels: LabelVolume) -> None:
    publisher = ros.publisher(topic)
    for slab in volume_to_slabs(labels, 2, ros.node.get_clock().now().to_msg()):
        publisher.publish(slab)


def test_the_segmentation_publishes_the_map_of_the_library(ros: Any, models: Path, ct, tmp_path: Path) -> None:
    for name in ("localizer", "segmenter"):
        (tmp_path / name).symlink_to(models / name)
    segmenter = load_bundle(models / "segmenter")
    labels = {0: "background", 1: "liver", 2: "aorta", 3: "colon"}
    spec = replace(segmenter.spec, stage="surround", labels=labels)
    write_bundle(tmp_path / "surroundings", segmenter.weights, spec)
    ros.start("segmentation", models_dir=str(tmp_path), surroundings=True, veins=True, worker_niceness=0)
    maps, found = ros.volumes("surroundings", np.uint8), ros.volumes("labels", np.uint8)
    publisher = ros.publisher("ct")
    for slab in volume_to_slabs(ct, 4, Time(sec=1)):
        publisher.publish(slab)
    ros.spin_until(lambda: maps and found)
    expected = load_surroundings_mapper(tmp_path).find(ct).labels
    assert maps[0].uid == ct.uid and maps[0].geometry.is_same_grid(expected.geometry, tolerance_mm=1e-6)
    assert np.array_equal(maps[0].array, expected.array)
    apart = separate_veins(load_default_segmenter(tmp_path).segment(ct).labels, expected).labels
    assert np.array_equal(found[0].array, apart.array)
    assert {AORTA.value, COLON.value} <= set(np.unique(expected.array))


def test_the_planner_waits_for_the_map_keeps_clear_of_it_and_divides_by_it(ros: Any, couinaud_liver) -> None:
    ros.start("planner", use_ct=False, surroundings=True, worker_niceness=0)
    publish(ros, "labels", LABELS)

    def asked() -> EvaluateTrajectory.Response:
        request = EvaluateTrajectory.Request()
        request.trajectory.entry, request.trajectory.target = Point(x=-0.01, y=-0.09), Point(x=-0.01, y=0.0)
        request.trajectory.radius_m = 0.001
        return ros.call(EvaluateTrajectory, "/planner/evaluate_trajectory", request)

    while "came yet on the topic surroundings" not in (answer := asked()).status.text:
        assert answer.status.code == RequestStatus.NOT_READY
    publish(ros, "surroundings", MAP)
    ros.wait_for_line("/planner 0 ready for questions about volume ct-1", "colon by map")
    (colon,) = [c for c in asked().evaluation.clearances if c.structure == "colon"]
    # The nearest of the colon that is not in the liver: the circle where the two balls meet.
    x_mm = (LIVER_RADIUS_MM**2 - COLON_RADIUS_MM**2 + COLON_MM[0] ** 2) / (2 * COLON_MM[0])
    away_mm = np.hypot(x_mm + 10, np.sqrt(LIVER_RADIUS_MM**2 - x_mm**2))
    assert colon.clearance_m == pytest.approx(away_mm / 1000 - 0.001, abs=0.002)
    bare = divide(ros)
    assert (bare.status.code, [list(part.segments) for part in bare.parts]) == (NOTHING_FOUND, [[*range(1, 9)]])
    assert "surroundings of segmentation and of planner" in bare.status.text and "veins of segm" in bare.status.text
    _the_liver_is_divided(ros, couinaud_liver)


def _the_liver_is_divided(ros: Any, drawn: LabelVolume) -> None:
    """Of the drawn liver with two tumors, right and left, whose vena cava is on the map alone."""
    array, tumors = drawn.array.copy(), np.zeros((2, *drawn.array.shape), bool)
    tumors[0, 14:19, 19:24, 6:11], tumors[1, 24:27, 12:15, 40:43] = True, True
    array[tumors.any(axis=0)] = TUMOR.value
    cava = LabelVolume(np.where(array == VENA_CAVA.value, array, 0), drawn.geometry, "ct-2")
    labels = LabelVolume(np.where(array == VENA_CAVA.value, 0, array), drawn.geometry, "ct-2")
    publish(ros, "labels", labels)
    publish(ros, "surroundings", cava)
    above = TransformStamped(child_frame_id="ct_lps")
    above.header.frame_id, above.transform.translation.z, above.transform.rotation.w = "map", 1.0, 1.0
    static = ros.node.create_publisher(TFMessage, "/tf_static", qos.latched(10))
    static.publish(TFMessage(transforms=[above]))
    ros.wait_for_line("/planner 0 ready for questions about volume ct-2")
    asked = {"removed": [6, 7], "with_meshes": True, "with_voxels": True}
    ros.spin_until(lambda: divide(ros, "map").status.code == OK)  # once the transform came
    found = divide(ros, "map", **asked)
    assert (found.status.code, found.volume_uid, found.header.frame_id) == (OK, "ct-2", "map")
    assert [list(part.segments) for part in found.parts] == [[n] for n in range(1, 9)] and not found.unknown
    assert (found.parts[7].entry.name, found.parts[7].entry.snomed_code) == ("segment_8", "277962002")

    slab = message_to_slab(found.voxels[0])
    values = slab.voxels()
    expected = divide_into_segments(labels, find_landmarks(labels, vessel_tree(labels), cava)).array
    here, there = labels.geometry.shared_with(slab.geometry)
    assert np.array_equal(expected[here.slices], values[there.slices]) and here.size == slab.geometry.size
    assert np.count_nonzero(expected) == np.count_nonzero(values)
    assert np.isin(expected[:, :20, 45:], (0, 2, 3)).all() and np.isin(expected[:, :20, :7], (0, 5, 6, 7, 8)).all()

    voxel_m3 = 27e-9
    tumor = labels.array == TUMOR.value
    for part in found.parts:
        inside = expected == part.entry.value
        assert part.volume_m3 == pytest.approx(np.count_nonzero(inside) * voxel_m3)
        assert part.tumor_m3 == pytest.approx(np.count_nonzero(inside & tumor) * voxel_m3)
        assert list(part.lesions) == [n for n, lesion in enumerate(tumors, 1) if (inside & lesion).any()]
        corners = np.array([(v.x, v.y, v.z) for v in part.mesh.vertices])
        a, b, c = corners[[t.vertex_indices for t in part.mesh.triangles]].transpose(1, 0, 2)
        assert part.watertight and np.einsum("ni,ni->", np.cross(a, b), c) / 6 == pytest.approx(part.volume_m3, rel=0.1)
        assert corners[:, 2].min() > 0.99  # of `map`, 1 m below
    left = (expected > 0) & ~np.isin(expected, (6, 7))
    assert found.remnant_m3 == pytest.approx(np.count_nonzero(left & ~tumor) * voxel_m3)
    assert found.remnant_fraction == pytest.approx(found.remnant_m3 / (found.liver_m3 - found.tumor_m3))
    refused = divide(ros, removed=[9])
    assert (refused.status.code, refused.status.text.split(":")[0]) == (REFUSED, "segment 9 is not there")


def divide(ros: Any, frame: str = "", **asked: Any) -> DivideLiver.Response:
    request = DivideLiver.Request(**asked)
    request.header.frame_id = frame
    return ros.call(DivideLiver, "/planner/divide_liver", request)


def test_the_guard_waits_for_the_map_and_guards_what_is_on_it_but_not_in_the_liver(ros: Any) -> None:
    needle = {"needle_radius_m": 0.001, "needle_length_m": 0.1, "max_speed_m_s": 100.0}
    ros.start("needle_guard", surroundings=True, tf_timeout_s=5.0, worker_niceness=0, **needle)
    readings: list[GuardReading] = ros.live(GuardReading, "/needle_guard/reading")
    meshes = ros.node.create_publisher(StructureMeshArray, "meshes", qos.latched(1))
    reconstruction = reconstruct(LABELS)
    array = meshes_to_array(reconstruction.meshes, reconstruction.measurements, "ct-1", Time(sec=1))
    array.header.frame_id = "ct_lps"
    meshes.publish(array)
    tf = ros.node.create_publisher(TFMessage, "/tf", 100)

    def until(x_m: float, said: Any) -> GuardReading:
        readings.clear()

        def found() -> bool:
            tip = TransformStamped(child_frame_id="needle_tip")
            tip.header.frame_id, tip.header.stamp = "ct_lps", ros.node.get_clock().now().to_msg()
            tip.transform.translation.x, tip.transform.rotation.w = x_m, 1.0  # it points along +z
            tf.publish(TFMessage(transforms=[tip]))
            return any(map(said, readings))

        ros.spin_until(found)
        return next(filter(said, readings))

    waiting = until(0.0, lambda r: "came yet on the topic surroundings" in r.text)
    assert (waiting.level, waiting.reason) == (GuardReading.LEVEL_STOP, GuardReading.REASON_NO_ANATOMY)
    publish(ros, "surroundings", MAP)
    # In the liver's middle the colon is as far as the liver's surface: what of it is in the liver does not count.
    middle = until(0.0, lambda r: bool(r.clearances))
    (colon,) = middle.clearances
    assert colon.structure == "colon" and middle.level == GuardReading.LEVEL_OK
    assert colon.clearance_m == pytest.approx(LIVER_RADIUS_MM / 1000 - 0.001, abs=0.004)
    inside = until(0.045, lambda r: r.reason == GuardReading.REASON_CLEARANCE)
    assert (inside.level, inside.text) == (GuardReading.LEVEL_STOP, "needle in the colon")
