# SPDX-License-Identifier: Apache-2.0
"""The coarse liver on `segmentation/preview` over real DDS: before the labels, where it belongs, never left over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from numpy.typing import NDArray
from rclpy.action import ActionClient

from liver_seg_interfaces.action import SegmentVolume
from liver_seg_interfaces.msg import SegmentationReport
from liver_seg_ros.files.volumes import write_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.model_folders import find_models_dir
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.phantom.generator import generate_phantom
from liver_seg_ros.phantom.phantom_options import PhantomOptions
from liver_seg_ros.volume import Volume

TOPIC = "/segmentation/preview"


def send(ros: Any, ct: Volume) -> None:
    publisher = ros.publisher("ct")
    for slab in volume_to_slabs(ct, 4, ros.node.get_clock().now().to_msg()):
        publisher.publish(slab)


def corners_mm(liver: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.float64]:
    """The least and the greatest LPS coordinates of the centers of a liver's voxels."""
    k, j, i = np.nonzero(liver)
    places = geometry.index_to_lps(np.stack([i, j, k], axis=-1))
    return np.array([places.min(axis=0), places.max(axis=0)])


def dice_on(coarse: Assembled, liver: NDArray[np.bool_], geometry: Geometry) -> float:
    """Dice on the voxels of the fine grid `geometry`, each the coarse voxel that its center lies in."""
    k, j, i = np.indices(liver.shape)
    places = geometry.index_to_lps(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    index = np.rint(coarse.geometry.lps_to_index(places)).astype(int)
    index = np.clip(index, 0, np.array(coarse.geometry.size) - 1)
    found = coarse.array[index[:, 2], index[:, 1], index[:, 0]].reshape(liver.shape) > 0
    return float(2 * np.count_nonzero(found & liver) / (np.count_nonzero(found) + np.count_nonzero(liver)))


def is_where(coarse: Assembled, liver: NDArray[np.bool_], geometry: Geometry, least_dice: float) -> None:
    """A coarse liver of these voxels, and none of its faces off by more than one and a half of its own voxels."""
    assert dice_on(coarse, liver, geometry) > least_dice
    off_mm = np.abs(corners_mm(coarse.array > 0, coarse.geometry) - corners_mm(liver, geometry))
    assert np.all(off_mm < 1.5 * max(coarse.geometry.spacing_mm)), off_mm
    assert set(np.unique(coarse.array)) == {0, 1}


def test_of_a_phantom_it_comes_before_the_labels_and_lies_on_the_true_liver(ros: Any, tmp_path: Any) -> None:
    phantom = generate_phantom(9301, PhantomOptions((128, 128, 90), (2.4, 2.4, 2.8), phase="portal_venous"))
    ct, truth = phantom.ct, phantom.labels
    write_volume(tmp_path / "ct.nrrd", ct)
    previews, labels = ros.volumes(TOPIC, np.uint8), ros.volumes("labels", np.uint8)
    ros.start("liver_seg", models_dir=str(find_models_dir(None)), worker_niceness=0)
    # Were the CT there at once, labels could be made, and the preview be over, before this process knows the topic.
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    ros.spin_until(lambda: ros.node.count_publishers(TOPIC) > 0)
    ros.start("ct_source", path=str(tmp_path / "ct.nrrd"))
    ros.spin_until(lambda: bool(previews))
    assert not labels
    coarse = previews[0]
    assert min(coarse.geometry.spacing_mm) > max(ct.geometry.spacing_mm)
    is_where(coarse, truth.array > 0, truth.geometry, 0.85)
    ros.spin_until(lambda: labels and len(previews) > 1)
    assert coarse.uid == labels[0].uid == previews[1].uid and coarse.stamp_ns < labels[0].stamp_ns
    assert not previews[1].array.any() and previews[1].geometry.is_same_grid(coarse.geometry, tolerance_mm=1e-6)
    assert any("a coarse liver of volume" in line for line in ros.lines())


@pytest.mark.parametrize("worker_process", [True, False], ids=["worker", "same-process"])
def test_it_is_over_with_the_labels_and_none_comes_for_a_ct_without_a_liver(
    ros: Any, models: Any, ct: Volume, worker_process: bool
) -> None:
    ros.start("segmentation", models_dir=str(models), worker_process=worker_process, worker_niceness=0)
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    previews, reports = ros.volumes(TOPIC, np.uint8), ros.latched(SegmentationReport, "/segmentation/report")
    send(ros, ct)
    ros.spin_until(lambda: reports and len(previews) == 2)
    is_where(previews[0], ct.array > 0, ct.geometry, 0.8)  # an oblique one
    assert [volume.uid for volume in previews] == [ct.uid] * 2 and not previews[1].array.any()
    fat = np.random.default_rng(1).integers(-120, -80, ct.array.shape, np.int16)
    send(ros, Volume(fat, ct.geometry, "no-liver"))
    ros.spin_until(lambda: len(reports) == 2)
    assert (reports[1].volume_uid, reports[1].status) == ("no-liver", SegmentationReport.STATUS_NOTHING_FOUND)
    late = ros.volumes(TOPIC, np.uint8)
    ros.spin_until(lambda: bool(late))
    ros.spin_for(0.5)
    assert len(previews) == 2 and [volume.array.any() for volume in late] == [False]


def test_it_is_taken_back_where_no_labels_come(ros: Any, models: Any, tmp_path: Any) -> None:
    array = np.full((150, 240, 240), -100, np.int16)
    array[10:-10, 10:-10, 10:-10] = 60
    write_volume(tmp_path / "large.mha", Volume(array, Geometry((240, 240, 150), (2.0, 2.0, 2.0))))
    ros.start("segmentation", models_dir=str(models), worker_niceness=0)
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    client = ActionClient(ros.node, SegmentVolume, "/segmentation/segment_volume")
    ros.spin_until(client.server_is_ready)
    ros.spin_for(0.2)
    previews, labels = ros.volumes(TOPIC, np.uint8), ros.volumes("labels", np.uint8)

    def shown_then(end: Callable[[Any], None]) -> None:
        previews.clear()
        sent = client.send_goal_async(SegmentVolume.Goal(path=str(tmp_path / "large.mha")))
        ros.spin_until(lambda: bool(previews))
        assert previews[0].array.any()
        end(sent.result())
        ros.spin_until(lambda: len(previews) > 1)
        assert not previews[1].array.any() and previews[1].uid == previews[0].uid

    shown_then(lambda handle: handle.cancel_goal_async())
    shown_then(lambda handle: ros.change_state("segmentation", Transition.TRANSITION_DEACTIVATE))
    late = ros.volumes(TOPIC, np.uint8)
    ros.spin_until(lambda: bool(late))
    assert not late[0].array.any() and not labels
