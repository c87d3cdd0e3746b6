# SPDX-License-Identifier: Apache-2.0
"""Enhanced CTs that hold several acquisitions: named, or one read."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


def second_of(series: object) -> object:
    """Another acquisition of the same slices."""
    other = type(series)(series.hu + 100, series.spacing_mm)
    other.uid = series.uid
    for one, two in zip(other.slices, series.slices, strict=True):
        one.SeriesInstanceUID, one.StudyInstanceUID = two.SeriesInstanceUID, two.StudyInstanceUID
        one.FrameOfReferenceUID = two.FrameOfReferenceUID
    return other


def by_number(frame: Dataset) -> None:
    frame.FrameContentSequence[0].FrameAcquisitionNumber = 2


def by_time(frame: Dataset) -> None:
    frame.FrameContentSequence[0].FrameAcquisitionDateTime = "20240102101537"


def by_position_in_time(frame: Dataset) -> None:
    frame.FrameContentSequence[0].TemporalPositionIndex = 2


def by_time_offset(frame: Dataset) -> None:
    offset = Dataset()
    offset.TemporalPositionTimeOffset = 35.0
    frame.TemporalPositionSequence = [offset]


def by_stack(frame: Dataset) -> None:
    frame.FrameContentSequence[0].StackID = "2"


def by_kernel(frame: Dataset) -> None:
    reconstruction = Dataset()
    reconstruction.ConvolutionKernel = "B70f"
    frame.CTReconstructionSequence = [reconstruction]


def by_contrast(frame: Dataset) -> None:
    usage = Dataset()
    usage.ContrastBolusAgentNumber, usage.ContrastBolusAgentAdministered = 1, "NO"
    frame.ContrastBolusUsageSequence = [usage]


def by_frame_type(frame: Dataset) -> None:
    kind = Dataset()
    kind.FrameType = ["DERIVED", "PRIMARY", "VOLUME", "MAX_IP"]
    frame.CTImageFrameTypeSequence = [kind]


def by_converted_attribute(frame: Dataset) -> None:
    converted = Dataset()
    converted.ContentTime = "101537"
    frame.UnassignedPerFrameConvertedAttributesSequence = [converted]


@pytest.mark.parametrize("shift_mm", [0.0, 1.25], ids=["same places", "between"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (by_number, "differ in AcquisitionNumber;"),
        (by_time, "differ in AcquisitionTime;"),
        (by_position_in_time, "differ in TemporalPositionIndex;"),
        (by_time_offset, "differ in TemporalPositionTimeOffset;"),
        (by_stack, "differ in StackID;"),
        (by_kernel, "differ in ConvolutionKernel;"),
        (by_contrast, "contrast none"),
        (by_frame_type, "MAX_IP"),
        (by_converted_attribute, "differ in ContentTime;"),
    ],
)
def test_acquisitions_in_one_object(
    tmp_path: Path,
    make_series: Fixture,
    make_enhanced: Fixture,
    refused: Fixture,
    change: Callable,
    words: str,
    shift_mm: float,
) -> None:
    series = make_series()
    other = second_of(series)
    for dataset in other.slices:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z + shift_mm]
    enhanced = make_enhanced([*series.slices, *other.slices])
    for number, frame in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        content = frame.FrameContentSequence[0]
        content.FrameAcquisitionDateTime, content.TemporalPositionIndex, content.StackID = "20240102101502", 1, "1"
        usage = Dataset()
        usage.ContrastBolusAgentNumber, usage.ContrastBolusAgentAdministered = 1, "YES"
        usage.ContrastBolusAgentPhase = "POST_CONTRAST"
        frame.ContrastBolusUsageSequence = [usage]
        converted = Dataset()
        converted.ContentTime = "101502"
        frame.UnassignedPerFrameConvertedAttributesSequence = [converted]
        offset = Dataset()
        offset.TemporalPositionTimeOffset = 5.0
        frame.TemporalPositionSequence = [offset]
        if number >= 5:
            change(frame)
    order = list(range(10))
    random.Random(1).shuffle(order)
    frames = list(enhanced.PerFrameFunctionalGroupsSequence)
    pixels = np.frombuffer(enhanced.PixelData, np.int16).reshape(10, -1)
    enhanced.PerFrameFunctionalGroupsSequence = [frames[n] for n in order]
    enhanced.PixelData = pixels[order].tobytes()
    enhanced.save_as(tmp_path / "ct.dcm")
    refused(tmp_path / "ct.dcm", "2 acquisitions", words, "--acquisition")
    names = ("1", "2")
    arrays = [read_volume(tmp_path, acquisition=name).array for name in names]
    assert sorted(int(array.max()) for array in arrays) == [int(series.hu.max()), int(other.hu.max())]
    for array in arrays:
        assert (array == (series if array.max() == series.hu.max() else other).hu).all()


def test_an_object_for_each_phase(
    tmp_path: Path, make_series: Fixture, make_enhanced: Fixture, refused: Fixture
) -> None:
    series = make_series()
    other = second_of(series)
    make_enhanced(series.slices).save_as(tmp_path / "one.dcm")
    make_enhanced(other.slices).save_as(tmp_path / "two.dcm")
    refused(tmp_path, "2 acquisitions", "file one.dcm", "file two.dcm")
    assert (read_volume(tmp_path / "one.dcm").array == series.hu).all()
    assert (read_volume(tmp_path / "two.dcm").array == other.hu).all()
