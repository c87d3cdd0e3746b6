# SPDX-License-Identifier: Apache-2.0
"""Pixels of DICOM slices: HU are stored values times slope plus intercept, however they are stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from liver_seg_ros.files.dicom import read_series
from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


def test_slope_that_changes_from_slice_to_slice(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        slope, intercept = 0.5 + 0.25 * k, -1100 + k
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.PixelData = np.rint((series.hu[k] - intercept) / slope).astype(np.int16).tobytes()
    volume = read_volume(series.save(tmp_path))
    assert np.abs(volume.array.astype(int) - series.hu).max() <= 1


def test_unsigned_twelve_bits(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
        dataset.PixelData = (series.hu[k] + 1024).astype(np.uint16).tobytes()
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_monochrome1_changes_the_display_only(faults: Path) -> None:
    coded = read_volume(faults / "monochrome1_jpegls")
    plain = read_volume(faults / "monochrome1_plain")
    assert coded.array[0, 35, 40] == 46
    assert (coded.array == plain.array).all()
    stored = [
        np.frombuffer(dcmread(path).PixelData, "<u2") for path in sorted((faults / "monochrome1_plain").iterdir())
    ]
    assert (plain.array.reshape(2, -1) == np.array(stored).astype(int) - 1024).all()


WAYS = ("explicit", "implicit", "big endian", "RLE", "JPEG", "JPEG2000")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    way=st.sampled_from(WAYS),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    bits=st.integers(10, 16),
    is_signed=st.booleans(),
    slope=st.sampled_from([1.0, 0.5, 2.0]),
    intercept=st.sampled_from([0.0, -1024.0, -1000.5]),
)
def test_hu_are_slope_times_stored_plus_intercept(
    tmp_path: Path,
    make_series: Fixture,
    compress: Fixture,
    way: str,
    photometric: str,
    bits: int,
    is_signed: bool,
    slope: float,
    intercept: float,
) -> None:
    """Stored values from one end of their range to the other, in every way to store them."""
    least = -(1 << (bits - 1)) if is_signed else 0
    stored = np.linspace(least, least + (1 << bits) - 1, 2 * 32 * 32).astype(int).reshape(2, 32, 32)
    hu = stored * slope + intercept
    stored = np.where((hu >= -2000) & (hu <= 3000), stored, round(-intercept / slope) if not is_signed else 0)
    series = make_series(hu=stored.astype(np.int16))
    for path in tmp_path.iterdir():
        path.unlink()
    for k, dataset in enumerate(series.slices):
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = photometric, int(is_signed)
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        order = ">" if way == "big endian" else "<"
        dataset.PixelData = stored[k].astype(f"{order}{'i' if is_signed else 'u'}2").tobytes()
        dataset.file_meta.TransferSyntaxUID = {
            "implicit": ImplicitVRLittleEndian, "big endian": ExplicitVRBigEndian,
        }.get(way, ExplicitVRLittleEndian)  # fmt: skip
        dcmwrite(tmp_path / f"{k}.dcm", dataset)
        if way not in WAYS[:3]:
            compress(tmp_path / f"{k}.dcm", way)
    array, *_ = read_series(tmp_path)
    assert np.abs(array - (stored * slope + intercept)).max() <= 0.5


def test_bits_above_those_stored_mean_nothing(tmp_path: Path, make_series: Fixture) -> None:
    """Old files keep an overlay there."""
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, k % 2
        stored = series.hu[k] + 1024 if not k % 2 else series.hu[k]
        dataset.RescaleIntercept = -1024 * (1 - k % 2)
        overlay = np.uint16(0xA000) * (np.indices(stored.shape).sum(axis=0) % 2).astype(np.uint16)
        dataset.PixelData = ((stored.astype(np.uint16) & 0x0FFF) | overlay).tobytes()
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_eight_bits(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 8, -1000
        stored = np.rint((series.hu[k] + 1000) / 8).astype(np.uint8)
        series.hu[k] = stored * 8.0 - 1000
        dataset.PixelData = stored.tobytes()
        dataset["PixelData"].VR = "OB"
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_compression_that_cannot_be_decoded(
    tmp_path: Path, make_series: Fixture, capfd: pytest.CaptureFixture, refused: Fixture, compress: Fixture
) -> None:
    make_series().save(tmp_path)
    path = sorted(tmp_path.iterdir())[2]
    compress(path, "JPEG2000")
    dataset = dcmread(path)
    dataset.PixelData = dataset.PixelData[:60] + bytes(len(dataset.PixelData) - 60)
    dataset.save_as(path)
    refused(tmp_path, path.name, "decoded")
    assert capfd.readouterr() == ("", "")


def test_color(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    refused(series.save(tmp_path), "color")


def test_values_that_are_not_hu(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.RescaleType = "Z_EFF"
    refused(series.save(tmp_path), "Z_EFF, not HU")


def test_rescale_that_was_lost(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        del dataset.RescaleIntercept
    refused(series.save(tmp_path), "intercept was not applied")
