# SPDX-License-Identifier: Apache-2.0
"""DICOM series whose slices are numbered, timed or made unevenly, or came twice: good ones stay one volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


def number_blocks(dataset: object, k: int) -> None:
    dataset.AcquisitionNumber = 1 + k // 2


def number_blocks_in_odd_order(dataset: object, k: int) -> None:
    dataset.AcquisitionNumber = (1, 1, 3, 3, 2)[k]


def number_slices(dataset: object, k: int) -> None:
    dataset.AcquisitionNumber = 9 - k


def number_some(dataset: object, k: int) -> None:
    if k not in (1, 2):
        dataset.AcquisitionNumber = 4


def time_slices(dataset: object, k: int) -> None:
    dataset.AcquisitionTime = f"1015{10 + k}.5"


def make_in_any_order(dataset: object, k: int) -> None:
    dataset.ContentTime = ("101500", "101501", "101500", "101502", "101501")[k]


def write_every_second_first(dataset: object, k: int) -> None:
    dataset.ContentTime = f"10150{(0, 3, 1, 4, 2)[k]}"
    dataset.InstanceNumber = (1, 4, 2, 5, 3)[k]


def say_contrast_once(dataset: object, k: int) -> None:
    if k == 2:
        dataset.ContrastBolusAgent = "Omnipaque"


def say_nothing_readable(dataset: object, k: int) -> None:
    dataset.add_new("AcquisitionNumber", "LO", f"{k}\\{k + 1}")
    dataset.add_new("AcquisitionTime", "LO", "late" if k % 2 else "early")
    dataset.add_new("KVP", "DS", "")


@pytest.mark.parametrize(
    "change",
    [
        number_blocks, number_blocks_in_odd_order, number_slices, number_some, time_slices, make_in_any_order,
        write_every_second_first, say_contrast_once, say_nothing_readable,
    ],
)  # fmt: skip
def test_one_good_volume_stays_one(tmp_path: Path, make_series: Fixture, change: Callable) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        change(dataset, k)
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_copies_are_no_acquisition(tmp_path: Path, make_series: Fixture) -> None:
    """The whole series was sent twice, and the second time numbered on."""
    series = make_series()
    series.save(tmp_path / "a")
    for dataset in series.slices:
        dataset.SOPInstanceUID, dataset.InstanceNumber = generate_uid(), dataset.InstanceNumber + 5
        dataset.ContentTime = "120000"
    assert (read_volume(series.save(tmp_path / "b").parent).array == series.hu).all()
