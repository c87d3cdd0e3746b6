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
from liver_seg_interfaces.srv import EvaluateTrajectory
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.inference.surroundings import load_surroundings_mapper
from liver_seg_ros.labels import AORTA, COLON, LIVER
from liver_seg_ros.nodes import qos
from liver_seg_ros.nodes.messages.meshes import meshes_to_array
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.reconstruction.pipeline import reconstruct
from liver_seg_ros.reconstruction.vessels.veins import separate_veins
from liver_seg_ros.volume import LabelVolume

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


def test_the_planner_waits_for_the_map_and_keeps_clear_of_it(ros: Any) -> None:
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
