# SPDX-License-Identifier: Apache-2.0
"""What a slice tells of the acquisition that it belongs to, however it is written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pydicom import Dataset

from liver_seg_ros.files.dicom_traits import LIKELY_TRAITS, SURE_TRAITS, TRAIT_KEYWORDS, TRAITS, traits


def header(**attributes: Any) -> Dataset:
    dataset = Dataset()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def item(**attributes: Any) -> list[Dataset]:
    return [header(**attributes)]


def test_which_traits_are_sure_and_which_grow_while_a_patient_is_scanned() -> None:
    assert all(trait.is_sure for trait in SURE_TRAITS) and not any(trait.is_sure for trait in LIKELY_TRAITS)
    assert {trait.keyword for trait in TRAITS if trait.is_ordered} == {
        "AcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex", "TemporalPositionTimeOffset",
        "AcquisitionTime", "ContentTime", "InstanceNumber",
    }  # fmt: skip
    assert {trait.keyword for trait in TRAITS} < set(TRAIT_KEYWORDS)


@pytest.mark.parametrize(
    ("said", "contrast"),
    [
        ({}, None),
        ({"ContrastBolusAgent": ""}, None),
        ({"ContrastBolusAgent": " Omnipaque "}, "Omnipaque"),
        ({"ContrastBolusAgentSequence": item(CodeMeaning="Iohexol")}, "Iohexol"),
        ({"ContrastBolusAgentSequence": item(CodeMeaning="A") + item(CodeMeaning="B")}, "A, B"),
        ({"ContrastBolusAgent": "X", "ContrastBolusAgentSequence": item(CodeMeaning="Iohexol")}, "X"),
        ({"ContrastBolusAgent": "X", "ContrastBolusAgentPhase": "PORTAL"}, "X PORTAL"),
        ({"ContrastBolusAgentPhase": "PORTAL"}, "PORTAL"),
        ({"ContrastBolusAgent": "X", "ContrastBolusAgentAdministered": "NO"}, "none"),
        ({"ContrastBolusAgent": "X", "ContrastBolusAgentAdministered": "YES"}, "X"),
    ],
)
def test_contrast(said: dict[str, Any], contrast: str | None) -> None:
    assert traits(header(**said)) == ({} if contrast is None else {"ContrastBolusAgent": contrast})


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ({"AcquisitionTime": "101502.25"}, datetime(1, 1, 1, 10, 15, 2, 250_000)),
        ({"AcquisitionTime": "1015", "AcquisitionDate": "20240102"}, datetime(2024, 1, 2, 10, 15)),
        ({"AcquisitionDate": "20240102"}, None),
        ({"AcquisitionDateTime": "20240102101502+0100"}, datetime(2024, 1, 2, 10, 15, 2)),
        ({"AcquisitionDateTime": "20240102101502", "AcquisitionTime": "11"}, datetime(2024, 1, 2, 10, 15, 2)),
    ],
)
def test_moments(said: dict[str, Any], moment: datetime | None) -> None:
    assert traits(header(**said)) == ({} if moment is None else {"AcquisitionTime": moment})


def test_the_content_has_a_moment_of_its_own() -> None:
    found = traits(header(ContentTime="101502", ContentDate="20240102", AcquisitionTime="09"))
    assert found == {"ContentTime": datetime(2024, 1, 2, 10, 15, 2), "AcquisitionTime": datetime(1, 1, 1, 9)}


def test_numbers_and_words() -> None:
    found = traits(header(AcquisitionNumber=3, KVP="120.5", ConvolutionKernel=["B70f ", "3"], SeriesDescription=" "))
    assert found == {"AcquisitionNumber": 3, "KVP": 120.5, "ConvolutionKernel": "B70f\\3"}


def test_several_numbers_where_there_should_be_one_tell_nothing() -> None:
    assert traits(header(AcquisitionNumber=[1, 2], ImageType=["ORIGINAL", "PRIMARY"])) == {
        "ImageType": "ORIGINAL\\PRIMARY"
    }


@pytest.mark.parametrize(
    ("position", "beside"),
    [
        ([-20.04, 30.06, 100], "-20, 30.1 mm"),
        ([-0.01, 0.01, -7], "0, 0 mm"),
        ([-20.06, 30.04, 250], "-20.1, 30 mm"),
    ],
)
def test_where_a_slice_begins_in_its_plane_to_a_tenth_of_a_millimetre(position: list[float], beside: str) -> None:
    straight = header(ImagePositionPatient=position, ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    assert traits(straight) == {"ImagePositionPatient": beside}
    coronal = header(ImagePositionPatient=[position[0], 9, -position[1]], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    assert traits(coronal) == {"ImagePositionPatient": beside}
