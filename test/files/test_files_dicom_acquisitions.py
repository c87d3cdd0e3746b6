# SPDX-License-Identifier: Apache-2.0
"""One DICOM series that holds several acquisitions: refused naming them, or one chosen."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py

PHASES = {
    "AcquisitionNumber": ("3", "4"),
    "AcquisitionTime": ("101502.25", "101537"),
    "AcquisitionDateTime": ("20240102101502.25+0100", "20240102101537"),
    "ContentTime": ("101502", "101537"),
    "TemporalPositionIdentifier": ("1", "2"),
    "ContrastBolusAgent": ("", "Omnipaque"),
    "ConvolutionKernel": ("B30f", ["B70f", "3"]),
    "KVP": ("80", "140"),
    "ImageType": (["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "PRIMARY", "AXIAL"]),
    "SliceThickness": ("2.5", "5"),
}
#: How values are shown.
TOLD = {
    "KVP": ("kV 80", "kV 140"),
    "ConvolutionKernel": ("kernel B30f", r"kernel B70f\3"),
    "SliceThickness": ("thickness 2.5", "thickness 5"),
    "ImageType": (r"image type ORIGINAL\PRIMARY\AXIAL",),
}
#: Traits that only one of two names says in the message.
CALLED = {"AcquisitionDateTime": "AcquisitionTime"}


@pytest.fixture
def two_phases(make_series: Fixture) -> Callable[..., tuple]:
    """Two acquisitions of 5 slices in one series: the second `shift_mm` beside the first, with other HU."""

    def make(shift_mm: float = 0.0, **traits: tuple[object, object]) -> tuple:
        first, second = make_series(), make_series()
        second.hu = first.hu + 100
        for k, (one, other) in enumerate(zip(first.slices, second.slices, strict=True)):
            other.SeriesInstanceUID = first.uid
            other.ImagePositionPatient = [-20.0, -30.0, 100.0 + k * 2.5 + shift_mm]
            other.PixelData = (second.hu[k] + 1024).astype(np.int16).tobytes()
            for name, (a, b) in traits.items():
                setattr(one, name, a)
                setattr(other, name, b)
        return first, second

    return make


@pytest.mark.parametrize("shift_mm", [0.0, 1.25], ids=["same places", "between"])
@pytest.mark.parametrize("name", PHASES)
def test_two_acquisitions_are_named_and_either_is_read(
    tmp_path: Path, two_phases: Callable, refused: Fixture, name: str, shift_mm: float
) -> None:
    first, second = two_phases(shift_mm, **{name: PHASES[name]})
    first.save(tmp_path)
    second.save(tmp_path)
    line = refused(
        tmp_path, "2 acquisitions", *TOLD.get(name, ()), f"differ in {CALLED.get(name, name)};", "--acquisition"
    )
    assert line.count("5 slices") == 2
    names = ("3", "4") if name == "AcquisitionNumber" else ("1", "2")
    found = [read_volume(tmp_path, acquisition=acquisition) for acquisition in names]
    assert sorted(int(v.array.max()) for v in found) == sorted(int(s.hu.max()) for s in (first, second))
    for volume in found:
        series = first if volume.array.max() == first.hu.max() else second
        assert (volume.array == series.hu).all()
        assert np.isclose(volume.geometry.origin_mm[2], series.slices[0].ImagePositionPatient[2])
        assert np.isclose(volume.geometry.spacing_mm[2], 2.5)
    refused(tmp_path, "no acquisition 9", f"{names[0]} (5 slices", f"{names[1]} (5 slices", acquisition="9")


def test_what_the_refusal_tells(tmp_path: Path, two_phases: Callable, refused: Fixture) -> None:
    first, second = two_phases(
        1.25,
        AcquisitionNumber=("2", "1"),
        AcquisitionTime=("101502.25", "101437"),
        ContrastBolusAgent=("Omnipaque", ""),
        ConvolutionKernel=("B30f", "B30f"),
    )
    del second.slices[4]
    first.save(tmp_path)
    second.save(tmp_path)
    assert refused(tmp_path).partition("acquisitions ")[2] == (
        "that differ in AcquisitionNumber; choose one with --acquisition (a node: parameter 'acquisition'): "
        "1 (4 slices, acquisition number 1, contrast not told, kernel B30f, acquired 10:14:37); "
        "2 (5 slices, acquisition number 2, contrast Omnipaque, kernel B30f, acquired 10:15:02)"
    )


def test_a_single_slice_does_not_choose(tmp_path: Path, two_phases: Callable, refused: Fixture) -> None:
    first, second = two_phases(AcquisitionNumber=("3", "4"))
    first.save(tmp_path)
    second.save(tmp_path)
    path = next(tmp_path.glob(f"{first.uid[-6:]}*"))
    refused(path, "2 acquisitions")
    assert (read_volume(path, acquisition="4").array == second.hu).all()


def test_a_phase_with_a_missing_slice_does_not_hide_the_other(
    tmp_path: Path, two_phases: Callable, refused: Fixture
) -> None:
    for name in ("AcquisitionNumber", "ContentTime"):
        first, second = two_phases(**{name: PHASES[name]})
        del second.slices[2]
        first.save(tmp_path / name)
        second.save(tmp_path / name)
        refused(tmp_path / name, "5 slices", "4 slices")
        a, b = ("3", "4") if name == "AcquisitionNumber" else ("1", "2")
        assert (read_volume(tmp_path / name, acquisition=a).array == first.hu).all()
        refused(tmp_path / name, "5.00 mm apart", acquisition=b)


def test_phases_that_only_their_numbering_tells_apart(tmp_path: Path, two_phases: Callable, refused: Fixture) -> None:
    first, second = two_phases()
    for k, dataset in enumerate(second.slices):
        dataset.InstanceNumber = 6 + k
    first.save(tmp_path)
    second.save(tmp_path)
    refused(tmp_path, "differ in InstanceNumber", "instance number 1 to 5", "instance number 6 to 10")
    assert (read_volume(tmp_path, acquisition="2").array == second.hu).all()


def test_passes_whose_blocks_are_numbered_on(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    """Three passes over the patient, up, down and up, of blocks of two slices, each with a number of its own."""
    passes = [make_series(hu=make_series().hu[[0, 1, 2, 3]] + 50 * n) for n in range(3)]
    for n, series in enumerate(passes):
        for k, dataset in enumerate(series.slices):
            dataset.SeriesInstanceUID = passes[0].uid
            block = k // 2 if n != 1 else 1 - k // 2
            dataset.AcquisitionNumber = 1 + 2 * n + block
            series.hu[k] += n
        series.save(tmp_path)
    refused(tmp_path, "3 acquisitions", "acquisition number 1 to 2", "number 3 to 4", "number 5 to 6")
    for n, series in enumerate(passes):
        assert (read_volume(tmp_path, acquisition=str(n + 1)).array == series.hu - n).all()


def test_acquisitions_of_other_size(tmp_path: Path, two_phases: Callable, refused: Fixture) -> None:
    first, second = two_phases()
    for k, dataset in enumerate(second.slices):
        dataset.Rows, dataset.Columns = 10, 18
        dataset.PixelData = (second.hu[k, :10, [*range(16), 0, 0]].T + 1024).astype(np.int16).tobytes()
    first.save(tmp_path)
    second.save(tmp_path)
    refused(tmp_path, "differ in Columns, Rows;", "16 x 12 pixels of 1.5 x 1.25 mm", "18 x 10 pixels of 1.5 x 1.25 mm")
    assert {read_volume(tmp_path, acquisition=name).array.shape for name in ("1", "2")} == {(5, 12, 16), (5, 10, 18)}


def test_acquisitions_of_other_shape(tmp_path: Path, two_phases: Callable, refused: Fixture) -> None:
    first, second = two_phases()
    for dataset in second.slices:
        dataset.PixelSpacing = [1.5, 1.75]
    first.save(tmp_path)
    second.save(tmp_path)
    refused(tmp_path, "differ in PixelSpacing", "16 x 12 pixels of 1.5 x 1.25 mm", "16 x 12 pixels of 1.75 x 1.5 mm")
    spacings = [read_volume(tmp_path, acquisition=name).geometry.spacing_mm[:2] for name in ("1", "2")]
    assert sorted(spacings) == [(1.5, 1.25), (1.75, 1.5)]


def test_reconstructions_about_two_centers(tmp_path: Path, two_phases: Callable, refused: Fixture) -> None:
    first, second = two_phases()
    for dataset in second.slices:
        dataset.ImagePositionPatient = [-35.0, *dataset.ImagePositionPatient[1:]]
    first.save(tmp_path)
    second.save(tmp_path)
    refused(tmp_path, "differ in ImagePositionPatient", "at -20, -30 mm", "at -35, -30 mm")
    origins = [read_volume(tmp_path, acquisition=name).geometry.origin_mm[0] for name in ("1", "2")]
    assert sorted(origins) == [-35, -20]


def test_one_slice_of_another_kind_between_the_others(tmp_path: Path, two_phases: Callable, refused: Fixture) -> None:
    first, second = two_phases(ImageType=PHASES["ImageType"])
    first.save(tmp_path)
    second.slices[2].save_as(tmp_path / "derived.dcm")
    refused(tmp_path, "image type DERIVED", "5 slices", "1 slice,")
    arrays = {}
    for name in ("1", "2"):
        with suppress(InputError):  # a single slice is no CT
            arrays[name] = read_volume(tmp_path, acquisition=name).array
    [array] = arrays.values()
    assert (array == first.hu).all()


def test_each_acquisition_has_a_uid_of_its_own(tmp_path: Path, two_phases: Callable, make_series: Fixture) -> None:
    """A graph takes volumes of one uid for one volume."""
    first, second = two_phases(AcquisitionNumber=("3", "4"))
    first.save(tmp_path)
    second.save(tmp_path)
    uids = [read_volume(tmp_path, acquisition=name).uid for name in ("3", "4", "4")]
    assert uids == [f"{first.uid}#3", f"{first.uid}#4", f"{first.uid}#4"]
    single = make_series()
    single.save(tmp_path / "single")
    assert read_volume(tmp_path / "single").uid == single.uid


def test_many_acquisitions_are_not_all_listed(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series(hu=make_series().hu[:2])
    for time in range(14):
        for k, dataset in enumerate(deepcopy(series.slices)):
            dataset.AcquisitionNumber = time + 1
            dataset.PixelData = (series.hu[k] + 1000 + time).astype(np.int16).tobytes()
            dataset.save_as(tmp_path / f"{time}_{k}.dcm")
    line = refused(tmp_path, "14 acquisitions", "and 2 more")
    assert re.findall(r"(\d+) \(2 slices", line) == [str(number) for number in range(1, 13)]
    assert read_volume(tmp_path, acquisition="14").array.shape[0] == 2


def test_an_acquisition_of_a_series_that_holds_one(tmp_path: Path, two_phases: Callable, refused: Fixture) -> None:
    first, _ = two_phases(AcquisitionNumber=("7", "8"))
    first.save(tmp_path)
    assert (read_volume(tmp_path, acquisition="7").array == first.hu).all()
    refused(tmp_path, "no acquisition 8", "7 (5 slices", acquisition="8")


@pytest.mark.parametrize("name", ["AcquisitionTime", "ConvolutionKernel"])
def test_the_order_of_the_files_changes_no_name(tmp_path: Path, two_phases: Callable, name: str) -> None:
    first, second = two_phases(1.25, **{name: ("101537", "101502")})
    for attempt in range(3):
        slices = [*first.slices, *second.slices]
        random.Random(attempt).shuffle(slices)
        for number, dataset in enumerate(slices):
            dataset.save_as(tmp_path / f"{number}.dcm")
        assert (read_volume(tmp_path, acquisition="1").array == second.hu).all()
        assert (read_volume(tmp_path, acquisition="2").array == first.hu).all()


def test_a_file_that_is_no_dicom_has_no_acquisitions(tmp_path: Path, ct: object, refused: Fixture) -> None:
    from liver_seg_ros.files.volumes import write_volume

    write_volume(tmp_path / "ct.nrrd", ct)
    refused(tmp_path / "ct.nrrd", "an acquisition chooses in a DICOM folder", acquisition="1")
