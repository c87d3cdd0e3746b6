# SPDX-License-Identifier: Apache-2.0
"""A synthetic CT as a DICOM series: what is read back is what was written, and nobody takes it for a patient."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.files.dicom_writing import slice_names, write_synthetic_series
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.volume import Volume

SIZE = (7, 6, 5)


def volume(turn: tuple[float, float, float] = (0.2, -0.1, 0.3), origin_mm: tuple[float, float, float] = (3, -40.5, 9)):
    hu = np.random.default_rng(0).integers(-1024, 3072, SIZE[::-1]).astype(np.int16)
    axes = Rotation.from_rotvec(turn).as_matrix().tolist()
    return Volume(hu, Geometry(SIZE, (26 / 3, 9.9, 55 / 3), origin_mm, axes))


def written(folder: Path, ct: Volume, name: str = "Phantom^7") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_synthetic_series(folder, ct, name, "synthetic CT")
    return folder


@settings(max_examples=15, deadline=None)
@given(
    turn=st.tuples(*[st.floats(-1.5, 1.5)] * 3),
    origin_mm=st.tuples(*[st.floats(-900, 900)] * 3),
)
def test_what_is_read_back_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    turn: tuple[float, float, float],
    origin_mm: tuple[float, float, float],
) -> None:
    ct = volume(turn, origin_mm)
    found = read_volume(written(tmp_path_factory.mktemp("series"), ct))
    np.testing.assert_array_equal(found.array, ct.array)
    np.testing.assert_allclose(found.geometry.index_to_lps([0, 0, 0]), origin_mm, atol=1e-5)
    corner = np.array(SIZE) - 1
    np.testing.assert_allclose(found.geometry.index_to_lps(corner), ct.geometry.index_to_lps(corner), atol=1e-4)


def test_another_reader_puts_every_voxel_where_ours_does(tmp_path: Path) -> None:
    ct = volume()
    folder = written(tmp_path, ct)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    for index in ((0, 0, 0), (6, 0, 4), (2, 5, 1)):
        place = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(place, ct.geometry.index_to_lps(index), atol=1e-4)
        assert image[index] == ct.array[index[::-1]]


def test_every_file_says_that_it_is_synthetic_and_is_valid(tmp_path: Path) -> None:
    folder = written(tmp_path, volume())
    assert sorted(path.name for path in folder.iterdir()) == slice_names(5)
    for number, name in enumerate(slice_names(5), 1):
        header = pydicom.dcmread(folder / name)
        assert (header.SyntheticData, header.PatientName, header.InstanceNumber) == ("YES", "Phantom^7", number)
        assert not header.PatientBirthDate and header.Manufacturer == "liver_seg_ros"
    done = subprocess.run(["dciodvfy", folder / "0002.dcm"], capture_output=True, text=True, timeout=60, check=False)
    faults = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert [line for line in faults if "0x001c" not in line] == []  # Synthetic Data is younger than this validator


def test_the_same_ct_is_the_same_series_and_another_is_another(tmp_path: Path) -> None:
    def uids(folder: str, ct: Volume, name: str = "Phantom^7") -> tuple[str, ...]:
        header = pydicom.dcmread(written(tmp_path / folder, ct, name) / "0001.dcm")
        return header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID, header.FrameOfReferenceUID

    first = uids("a", volume())
    assert len(set(first)) == 4
    assert uids("b", volume()) == first
    for other in (uids("c", volume(origin_mm=(3, -40.5, 10))), uids("d", volume(), "Phantom^8")):
        assert not set(other) & set(first)
