# SPDX-License-Identifier: Apache-2.0
"""DICOM files with and without preamble, "DICM" and meta information, in every byte order, deflated."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import (
    RLELossless,
)

from liver_seg_ros.files import dicom_file
from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


def test_every_form_of_file_is_read(tmp_path: Path, make_series: Fixture, form: Fixture, forms: dict) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        (tmp_path / f"{k}").write_bytes(forms["whole"](dataset) if k in (0, 3) else form(dataset))
    (tmp_path / "notes.txt").write_text("not DICOM")
    assert (read_volume(tmp_path).array == series.hu).all()
    assert (read_volume(tmp_path / "1").array == series.hu).all()


def test_enhanced_objects_come_in_these_forms_too(
    tmp_path: Path, make_series: Fixture, make_enhanced: Fixture, form: Fixture
) -> None:
    series = make_series()
    (tmp_path / "ct").write_bytes(form(make_enhanced(series.slices)))
    assert (read_volume(tmp_path / "ct").array == series.hu).all()


def test_compressed_pixels_without_meta_information(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.compress(RLELossless)
        dataset.save_as(tmp_path / f"{k}", enforce_file_format=True)
        data = (tmp_path / f"{k}").read_bytes()
        (tmp_path / f"{k}").write_bytes(data[144 + int.from_bytes(data[140:144], "little") :])
    refused(tmp_path, "/0: its pixels are compressed, which its transfer syntax denies")


def test_a_deflated_bomb_is_refused_before_memory_is_spent(
    tmp_path: Path, make_series: Fixture, refused: Fixture, forms: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_file, "MOST_INFLATED_BYTES", 1 << 22)
    series = make_series()
    data = forms["deflated"](series.slices[0])
    start = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    inside = zlib.decompress(data[start:], -zlib.MAX_WBITS) + bytes(1 << 23)
    (tmp_path / "ct.dcm").write_bytes(data[:start] + packer.compress(inside) + packer.flush())
    refused(tmp_path / "ct.dcm", "inflates to more than 4 MB")
