# SPDX-License-Identifier: Apache-2.0
"""How sure a segmentation was of each lesion reaches whoever takes meshes, from one real process to the next."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import center_of_mass
from visualization_msgs.msg import MarkerArray

from liver_seg_interfaces.msg import PartMeasurement, SegmentationReport, StructureMeasurement, StructureMeshArray
from liver_seg_ros.nodes.messages.points import mm_to_point
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.volume import LabelVolume

SURE, UNSURE = 0.9, 0.25
GREEN, PALE = np.array([144, 238, 144]), np.array([244, 244, 244])


@pytest.fixture(scope="module")
def labels(ct):
    """The liver of conftest.py with two boxes for lesions in it."""
    array = (ct.array > 0).astype(np.uint8)
    array[18:22, 20:26, 20:26] = 2
    array[23:26, 20:23, 35:38] = 2
    return LabelVolume(array, ct.geometry, ct.uid)


def lesion(labels, box, confidence):
    """As another process would report it, measured here in another way."""
    mask = np.zeros(labels.array.shape, bool)
    mask[box] = True
    center_mm = labels.geometry.index_to_lps(np.array(center_of_mass(mask))[::-1][None])[0]
    volume_m3 = mask.sum() * np.prod(labels.geometry.spacing_mm) / 1e9
    return PartMeasurement(center=mm_to_point(center_mm), volume_m3=float(volume_m3), confidence=confidence)


def report(uid, parts):
    tumor = StructureMeasurement(structure="tumor", label=2, count=len(parts), parts=parts)
    return SegmentationReport(volume_uid=uid, status=SegmentationReport.STATUS_FOUND, structures=[tumor])


def publish(ros, publisher, labels):
    for slab in volume_to_slabs(labels, 4, ros.node.get_clock().now().to_msg()):
        publisher.publish(slab)


def confidences(array):
    [tumor] = [mesh for mesh in array.meshes if mesh.measurement.structure == "tumor"]
    return [part.confidence for part in tumor.measurement.parts]


def test_meshes_and_markers_say_how_sure_the_network_is_of_each_lesion(ros, labels):
    ros.start("reconstruction")
    reports = ros.node.create_publisher(SegmentationReport, "segmentation/report", latched(1))
    boxes = np.s_[18:22, 20:26, 20:26], np.s_[23:26, 20:23, 35:38]
    reports.publish(report(labels.uid, [lesion(labels, boxes[0], SURE), lesion(labels, boxes[1], UNSURE)]))
    ros.wait_for_line("/reconstruction 0", "waiting for labels")
    ros.spin_until(lambda: reports.get_subscription_count() == 1)
    meshes, markers = ros.latched(StructureMeshArray, "meshes"), ros.latched(MarkerArray, "markers")
    publisher = ros.publisher("labels")
    publish(ros, publisher, labels)
    ros.spin_until(lambda: meshes and markers)

    assert confidences(meshes[0]) == pytest.approx([SURE, UNSURE])  # the larger lesion first
    [tumor] = [marker for marker in markers[0].markers if marker.ns == "tumor"]
    assert len(tumor.colors) == len(tumor.points)
    points = np.array([(p.x, p.y, p.z) for p in tumor.points]) * 1000
    colors = np.array([(c.r, c.g, c.b) for c in tumor.colors]) * 255
    assert {c.a for c in tumor.colors} == {1.0}
    of_small = labels.geometry.lps_to_index(points)[:, 0] > 30
    for share, of in ((SURE, ~of_small), (UNSURE, of_small)):
        assert of.any()
        np.testing.assert_allclose(colors[of], [share * GREEN + (1 - share) * PALE] * of.sum(), atol=0.51)
    assert not any(marker.colors for marker in markers[0].markers if marker.ns != "tumor")

    # Labels that this report does not speak of: others, and the same CT's with a lesion that somebody has changed.
    publish(ros, publisher, LabelVolume(labels.array, labels.geometry, "another"))
    ros.spin_until(lambda: len(meshes) == 2)
    assert confidences(meshes[1]) == [-1, -1]
    changed = labels.array.copy()
    changed[17, 20:26, 20:26] = 2
    publish(ros, publisher, LabelVolume(changed, labels.geometry, labels.uid))
    ros.spin_until(lambda: len(meshes) == 3)
    assert confidences(meshes[2]) == pytest.approx([-1, UNSURE])
