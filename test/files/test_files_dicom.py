# SPDX-License-Identifier: Apache-2.0
"""DICOM series: found, chosen and read whole, or refused in one line that names what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom.uid import (
    EnhancedCTImageStorage,
    MRImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


def test_series_comes_back(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    volume = read_volume(series.save(tmp_path))
    assert (volume.array == series.hu).all()
    assert volume.uid == series.uid
    assert np.allclose(volume.geometry.spacing_mm, series.spacing_mm)
    assert np.allclose(volume.geometry.index_to_lps((1, 2, 3)), (-20 + 1.5, -30 + 2 * 1.25, 100 + 3 * 2.5))


def test_how_much_was_read_is_told_file_by_file_up_to_the_end(tmp_path: Path, make_series: Fixture) -> None:
    told: list[float] = []
    read_volume(make_series().save(tmp_path), done=told.append)
    assert len(told) == 10 and told == sorted(told)  # five headers, five slices
    assert told[0] == 0.0 and told[-1] == pytest.approx(1.0) and max(np.diff(told)) < 0.25


def test_one_file_stands_for_its_series(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    series.save(tmp_path)
    make_series().save(tmp_path)
    renamed = tmp_path / "without_suffix"
    shutil.move(next(iter(sorted(tmp_path.glob(f"{series.uid[-6:]}*")))), renamed)
    assert (read_volume(renamed).array == series.hu).all()


def test_a_series_that_tells_no_image_type(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        del dataset.ImageType
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_a_file_beside_another_series(tmp_path: Path, make_series: Fixture) -> None:
    """The series that is asked for counts more than that of the file."""
    first, second = make_series(), make_series(hu=make_series().hu[:4] // 2)
    first.save(tmp_path)
    second.save(tmp_path)
    path = next(tmp_path.glob(f"{first.uid[-6:]}*"))
    assert (read_volume(path, series_uid=second.uid).array == second.hu).all()


def test_files_in_any_order_and_subfolders_beside_others(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    series.save(tmp_path / "deep" / "er", order=[3, 0, 4, 2, 1])
    (tmp_path / "readme.txt").write_text("not DICOM")
    (tmp_path / "photo.dcm").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
    assert (read_volume(tmp_path).array == series.hu).all()


def test_several_series_are_named_and_one_is_chosen(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    first, second = make_series(), make_series(hu=make_series().hu[:4] // 2)
    for dataset in second.slices:
        dataset.SeriesDescription = "Portal venous"
    first.save(tmp_path)
    second.save(tmp_path)
    refused(tmp_path, first.uid, second.uid, "Portal venous, 4 slices", "Abdomen, 5 slices")
    assert (read_volume(tmp_path, series_uid=second.uid).array == second.hu).all()
    refused(tmp_path, "1.2.3", first.uid, series_uid="1.2.3")


def other_object(series: object, sop_class: str, modality: str) -> object:
    dataset = series.slices[0].copy()
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SeriesInstanceUID = generate_uid()
    return dataset


def test_other_objects_in_the_folder_are_left_alone(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for number, (kind, modality) in enumerate(
        [(SegmentationStorage, "SEG"), (RTStructureSetStorage, "RTSTRUCT"), (MRImageStorage, "MR")]
    ):
        other_object(make_series(), kind, modality).save_as(tmp_path / f"other{number}.dcm")
    scout = other_object(make_series(), series.slices[0].SOPClassUID, "CT")
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.save_as(tmp_path / "scout.dcm")
    own_scout = make_series().slices[0]
    own_scout.ImageType, own_scout.SeriesInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], series.uid
    own_scout.save_as(tmp_path / "own_scout.dcm")
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()
    refused(tmp_path, "CT localizer", "no CT", series_uid=str(scout.SeriesInstanceUID))


@pytest.mark.parametrize(
    ("sop_class", "modality", "words"),
    [
        (MRImageStorage, "MR", "holds no CT series, only 1 MR"),
        (SegmentationStorage, "SEG", "1 SEG"),
        (EnhancedCTImageStorage, "CT", "multi-frame"),
    ],
)
def test_folder_without_ct(
    tmp_path: Path, make_series: Fixture, sop_class: str, modality: str, words: str, refused: Fixture
) -> None:
    other_object(make_series(), sop_class, modality).save_as(tmp_path / "a.dcm")
    refused(tmp_path, words)
    refused(tmp_path / "a.dcm", words)


def test_empty_folder_and_jpeg_renamed(tmp_path: Path, refused: Fixture) -> None:
    refused(tmp_path, "no DICOM files")
    (tmp_path / "photo.dcm").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
    refused(tmp_path, "no DICOM files")
    refused(tmp_path / "photo.dcm", "is no DICOM")


def test_file_cut_off_anywhere(tmp_path: Path, make_series: Fixture, capfd) -> None:
    make_series().save(tmp_path)
    path = sorted(tmp_path.iterdir())[1]
    whole = path.read_bytes()
    before = capfd.readouterr()
    for length in [*range(133, min(2000, len(whole)), 7), *range(2000, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as refusal:
            read_volume(tmp_path)
        assert "\n" not in str(refusal.value)
    after = capfd.readouterr()
    assert (after.out, after.err) == ("", ""), before


def test_real_series_as_simpleitk_reads_it(shared_data: Path) -> None:
    folder = shared_data / "ct_dicom_3slice"
    volume = read_volume(folder)  # a DICOM SEG and a NRRD lie beside the slices
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), volume.uid))
    image = reader.Execute()
    assert (SimpleITK.GetArrayFromImage(image) == volume.array).all()
    assert np.allclose(image.GetSpacing(), volume.geometry.spacing_mm)
    assert np.allclose(image.GetOrigin(), volume.geometry.origin_mm)
    assert (read_volume(folder / "02.dcm").array == volume.array).all()
