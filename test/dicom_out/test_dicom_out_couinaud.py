# SPDX-License-Identifier: Apache-2.0
"""Couinaud's segments as a DICOM Segmentation: coded one by one, voxels where they are."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np

from liver_seg_ros.cli.couinaud_files import write_segments_dicom
from liver_seg_ros.planning.couinaud import LiverSegments
from liver_seg_ros.planning.couinaud_parts import SegmentPart
from liver_seg_ros.volume import Volume


def test_each_segment_is_one_of_dicom(ct: Volume, tmp_path: Path) -> None:
    array = np.zeros(ct.geometry.shape, np.uint8)
    array[1:3, 2:6, 3:9], array[3, 2:6, 3:9] = 8, 9
    parts = (SegmentPart(8, (8,), 1.0, 0.0), SegmentPart(9, (2, 3), 1.0, 0.0))
    write_segments_dicom(tmp_path / "segments.dcm", ct, LiverSegments(array, ct.geometry, parts, (), 0.0))
    found = highdicom.seg.segread(tmp_path / "segments.dcm")
    kinds = {n: found.get_segment_description(n).segmented_property_type.value for n in (1, 2)}
    assert kinds == {1: "277962002", 2: "10200004"}
    assert found.get_segment_description(2).segment_label == "Segments 2 3"
    voxels = found.get_volume(combine_segments=False).array
    assert voxels.sum() == np.count_nonzero(array)
