"""DICOM series: read right, or refused in one line that names what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread
from pydicom.uid import (
    EnhancedCTImageStorage,
    MRImageStorage,
    RLELossless,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume

MakeSeries = Callable[..., "DicomSeries"]  # noqa: F821 - see conftest.py


def refused(path: Path, *words: str, **options: str) -> None:
    with pytest.raises(InputError) as caught:
        read_volume(path, **options)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_series_comes_back(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    volume = read_volume(series.save(tmp_path))
    assert (volume.array == series.hu).all()
    assert volume.uid == series.uid
    assert np.allclose(volume.geometry.spacing_mm, series.spacing_mm)
    assert np.allclose(volume.geometry.index_to_lps((1, 2, 3)), (-20 + 1.5, -30 + 2 * 1.25, 100 + 3 * 2.5))


def test_one_file_stands_for_its_series(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    series.save(tmp_path)
    make_series().save(tmp_path)
    renamed = tmp_path / "without_suffix"
    shutil.move(next(iter(sorted(tmp_path.glob(f"{series.uid[-6:]}*")))), renamed)
    assert (read_volume(renamed).array == series.hu).all()


def test_files_in_any_order_and_subfolders_beside_others(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    series.save(tmp_path / "deep" / "er", order=[3, 0, 4, 2, 1])
    (tmp_path / "readme.txt").write_text("not DICOM")
    (tmp_path / "photo.dcm").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
    assert (read_volume(tmp_path).array == series.hu).all()


def test_slices_against_the_normal_and_mirrored_columns(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):  # columns to anterior: the normal points to inferior
        dataset.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]
        dataset.ImagePositionPatient = [0, 0, 10.0 * k]
    volume = read_volume(series.save(tmp_path))
    assert volume.geometry.is_right_handed
    for k in range(5):
        index = np.rint(volume.geometry.lps_to_index((3 * 1.5, -2 * 1.25, 10.0 * k))).astype(int)
        assert volume.array[tuple(index[::-1])] == series.hu[k, 2, 3]


def test_oblique_series(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    row, column = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
    normal = np.cross(row, column)
    for k, dataset in enumerate(series.slices):
        dataset.ImageOrientationPatient = [*row, *column]
        dataset.ImagePositionPatient = [round(v, 6) for v in normal * 2.5 * k]
    volume = read_volume(series.save(tmp_path))
    place = normal * 2.5 * 3 + row * 1.5 * 4 + column * 1.25 * 5
    assert np.allclose(volume.geometry.lps_to_index(place), (4, 5, 3), atol=1e-4)
    assert (volume.array == series.hu).all()


def test_slope_that_changes_from_slice_to_slice(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        slope, intercept = 0.5 + 0.25 * k, -1100 + k
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.PixelData = np.rint((series.hu[k] - intercept) / slope).astype(np.int16).tobytes()
    volume = read_volume(series.save(tmp_path))
    assert np.abs(volume.array.astype(int) - series.hu).max() <= 1


def test_unsigned_twelve_bits(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
        dataset.PixelData = (series.hu[k] + 1024).astype(np.uint16).tobytes()
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_monochrome1_changes_the_display_only(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.PhotometricInterpretation = "MONOCHROME1"
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_run_length_encoding(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.compress(RLELossless)
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def compress(path: Path, kind: str) -> None:
    """Compress one slice losslessly with GDCM, keeping its attributes."""
    dataset = dcmread(path)
    image = SimpleITK.GetImageFromArray(dataset.pixel_array[None])
    writer = SimpleITK.ImageFileWriter()
    writer.SetFileName(str(path.with_suffix(".compressed.dcm")))
    writer.UseCompressionOn()
    writer.SetCompressor(kind)
    writer.Execute(image)
    encoded = dcmread(path.with_suffix(".compressed.dcm"))
    path.with_suffix(".compressed.dcm").unlink()
    assert encoded.file_meta.TransferSyntaxUID.is_encapsulated
    dataset.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
    dataset.PixelData = encoded.PixelData
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)


@pytest.mark.parametrize("kind", ["JPEG2000", "JPEG"])
def test_jpeg_compression(tmp_path: Path, make_series: MakeSeries, kind: str) -> None:
    series = make_series()
    series.save(tmp_path)
    for path in tmp_path.iterdir():
        compress(path, kind)
    assert (read_volume(tmp_path).array == series.hu).all()


def test_compression_that_cannot_be_decoded(tmp_path: Path, make_series: MakeSeries, capfd) -> None:
    make_series().save(tmp_path)
    path = sorted(tmp_path.iterdir())[2]
    compress(path, "JPEG2000")
    dataset = dcmread(path)
    dataset.PixelData = dataset.PixelData[:60] + bytes(len(dataset.PixelData) - 60)
    dataset.save_as(path)
    refused(tmp_path, path.name, "decoded")
    assert capfd.readouterr() == ("", "")


def test_several_series_are_named_and_one_is_chosen(tmp_path: Path, make_series: MakeSeries) -> None:
    first, second = make_series(), make_series(hu=make_series().hu[:4] // 2)
    for dataset in second.slices:
        dataset.SeriesDescription = "Portal venous"
    first.save(tmp_path)
    second.save(tmp_path)
    refused(tmp_path, first.uid, second.uid, "Portal venous, 4 slices", "Abdomen, 5 slices")
    assert (read_volume(tmp_path, series_uid=second.uid).array == second.hu).all()
    refused(tmp_path, "1.2.3", first.uid, series_uid="1.2.3")


def other_object(series: DicomSeries, sop_class: str, modality: str):  # noqa: F821
    dataset = series.slices[0].copy()
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SeriesInstanceUID = generate_uid()
    return dataset


def test_other_objects_in_the_folder_are_left_alone(tmp_path: Path, make_series: MakeSeries) -> None:
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
def test_folder_without_ct(tmp_path: Path, make_series: MakeSeries, sop_class: str, modality: str, words: str) -> None:
    other_object(make_series(), sop_class, modality).save_as(tmp_path / "a.dcm")
    refused(tmp_path, words)
    refused(tmp_path / "a.dcm", words)


def test_empty_folder_and_jpeg_renamed(tmp_path: Path) -> None:
    refused(tmp_path, "no DICOM files")
    (tmp_path / "photo.dcm").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
    refused(tmp_path, "no DICOM files")
    refused(tmp_path / "photo.dcm", "is no DICOM")


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_missing_slice(tmp_path: Path, make_series: MakeSeries, missing: int) -> None:
    series = make_series()
    del series.slices[missing]
    series.save(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    refused(tmp_path, names[missing - 1], names[missing], "5.00 mm apart", "2.50 mm")


def test_positions_rounded_by_the_scanner_are_no_gap(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series(spacing_mm=(1.5, 1.25, 0.625))
    for k, dataset in enumerate(series.slices):
        dataset.ImagePositionPatient = [-20.0, -30.0, round(100 + 0.625 * k, 1)]
    assert np.isclose(read_volume(series.save(tmp_path)).geometry.spacing_mm[2], 0.625)


def test_the_same_slice_twice_counts_once(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    twin = series.slices[2].copy()
    twin.SOPInstanceUID = generate_uid()
    twin.save_as(tmp_path / "twin.dcm")
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_two_slices_at_one_place(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    twin = deepcopy(series.slices[2])
    twin.PixelData = series.slices[3].PixelData
    twin.save_as(tmp_path / "twin.dcm")
    refused(series.save(tmp_path), "twin.dcm", "same place")


@pytest.mark.parametrize("degrees", [12.0, -20.0])
def test_gantry_tilt_is_straightened(tmp_path: Path, make_series: MakeSeries, degrees: float) -> None:
    """A body that is a linear ramp in the patient's frame comes back as that ramp, so places are right."""
    k, j, i = np.indices((9, 30, 24))
    tangent = np.tan(np.deg2rad(degrees))
    series = make_series(hu=np.zeros((9, 30, 24), np.int16))
    for number, dataset in enumerate(series.slices):
        # The table moves along z; slices are upright in the file but each begins further along y.
        position = np.array([-20.0, -30.0 + 2.5 * number * tangent, 100.0 + 2.5 * number])
        places = position + np.stack([i[0] * 1.5, j[0] * 1.25, 0 * i[0]], axis=-1)
        hu = np.rint(4 * places @ [1.0, 2.0, 0.5])
        dataset.ImagePositionPatient = [round(v, 6) for v in position]
        dataset.PixelData = (hu + 1024).astype(np.int16).tobytes()
    volume = read_volume(series.save(tmp_path))
    assert volume.geometry.direction_matrix.tolist() == np.eye(3).tolist()
    k, j, i = np.indices(volume.array.shape).reshape(3, -1)
    places = volume.geometry.index_to_lps(np.stack([i, j, k], axis=1))
    start = -30.0 + tangent * (places[:, 2] - 100)  # where each slice begins along y
    covered = (places[:, 1] > start) & (places[:, 1] < start + 29 * 1.25)
    assert covered.mean() > 0.5
    error = volume.array[k, j, i] - 4 * places @ [1.0, 2.0, 0.5]
    assert np.abs(error[covered]).max() <= 1.01
    outside = (places[:, 1] < start - 1.25) | (places[:, 1] > start + 30 * 1.25)
    assert (volume.array[k, j, i][outside] == -1024).all()


def test_slices_that_jump_sideways(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    series.slices[2].ImagePositionPatient = [-15.0, -30.0, 105.0]
    refused(series.save(tmp_path), "straight line")


@pytest.mark.parametrize(
    ("name", "value"),
    [("PixelSpacing", [1.4, 1.5]), ("ImageOrientationPatient", [0.8, 0.6, 0, -0.6, 0.8, 0]), ("Rows", 10)],
)
def test_slices_that_differ(tmp_path: Path, make_series: MakeSeries, name: str, value: object) -> None:
    series = make_series()
    setattr(series.slices[3], name, value)
    refused(series.save(tmp_path), f"differ in {name}")


@pytest.mark.parametrize("name", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows"])
def test_missing_attribute(tmp_path: Path, make_series: MakeSeries, name: str) -> None:
    series = make_series()
    delattr(series.slices[1], name)
    refused(series.save(tmp_path), f"_001.dcm: has no {name}")


def test_one_slice(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    del series.slices[1:]
    refused(series.save(tmp_path), "one slice")


def test_color(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    refused(series.save(tmp_path), "color")


def test_values_that_are_not_hu(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.RescaleType = "Z_EFF"
    refused(series.save(tmp_path), "Z_EFF, not HU")


def test_rescale_that_was_lost(tmp_path: Path, make_series: MakeSeries) -> None:
    series = make_series()
    for dataset in series.slices:
        del dataset.RescaleIntercept
    refused(series.save(tmp_path), "intercept was not applied")


def test_file_cut_off_anywhere(tmp_path: Path, make_series: MakeSeries, capfd) -> None:
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
