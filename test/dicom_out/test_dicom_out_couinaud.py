# SPDX-License-Identifier: Apache-2.0
"""Couinaud's segments as a DICOM Segmentation: coded one by one, voxels where they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import SimpleITK

from liver_seg_ros.cli import main
from liver_seg_ros.cli.couinaud_files import write_segments_dicom
from liver_seg_ros.files.itk import write_itk
from liver_seg_ros.planning.couinaud import LiverSegments
from liver_seg_ros.planning.couinaud_parts import SegmentPart
from liver_seg_ros.volume import LabelVolume, Volume


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


def test_the_command_puts_the_segments_of_a_study_where_its_other_files_have_them(
    couinaud_liver: LabelVolume, make_ct: Callable[..., Path], faults: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    place = {"spacing_mm": (3.0, 3.0, 3.0), "shape": couinaud_liver.array.shape, "origin": (0.0, 0.0, 0.0)}
    folder = make_ct(tmp_path / "ct", order=[*range(43, 21, -1), *range(22)], **place)
    write_itk(tmp_path / "labels.nii.gz", couinaud_liver.array, couinaud_liver.geometry)
    out = tmp_path / "out"
    asked = ["couinaud", str(tmp_path / "labels.nii.gz"), "-o", str(out), "--ct", str(folder), "--dicom-seg", "-q"]
    assert main.run(asked) == 0
    assert not faults(out / "segments.dcm")
    parts = json.loads((out / "segments.json").read_text())["parts"]
    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(out / "segments.nii.gz")))
    found = highdicom.seg.segread(out / "segments.dcm")
    described = [found.get_segment_description(number) for number in found.segment_numbers]
    assert [d.segmented_property_type.value for d in described] == [part["snomed_code"] for part in parts]
    assert [d.segment_label for d in described] == [f"Segment {n}" for n in range(1, 9)]
    volume = found.get_volume(combine_segments=False)
    for number, part in zip(found.segment_numbers, parts, strict=True):
        index = np.argwhere(volume.array[..., number - 1])
        places_mm = np.c_[index, np.ones(len(index))] @ volume.affine[:3].T
        expected_mm = 3.0 * np.argwhere(array == part["value"])[:, ::-1]
        assert {*map(tuple, places_mm.round(3))} == {*map(tuple, expected_mm)}
