# SPDX-License-Identifier: Apache-2.0
"""Volumes through files: what is written comes back at the same places, and what is no CT is refused in one line."""

from __future__ import annotations

import gzip
from itertools import permutations
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.itk import write_itk
from liver_seg_ros.files.volumes import read_labels, read_volume, write_labels, write_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.volume import LabelVolume, Volume

SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".mha"]
few_examples = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def value_at(array: np.ndarray, geometry: Geometry, place_mm: np.ndarray) -> int:
    """The voxel value at an LPS place, by the geometry alone."""
    i, j, k = np.rint(geometry.lps_to_index(place_mm)).astype(int)
    return int(array[k, j, i])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_volume_comes_back(tmp_path: Path, ct: Volume, suffix: str) -> None:
    path = tmp_path / f"ct{suffix}"
    write_volume(path, ct)
    read = read_volume(path)
    assert read.array.dtype == np.int16
    assert (read.array == ct.array).all()
    assert read.geometry.is_same_grid(ct.geometry, 1e-3)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".seg.nrrd"])
def test_labels_come_back(tmp_path: Path, ct: Volume, suffix: str) -> None:
    array = np.random.default_rng(1).integers(0, 4, ct.array.shape).astype(np.uint8)
    path = tmp_path / f"labels{suffix}"
    write_labels(path, LabelVolume(array, ct.geometry))
    read = read_labels(path)
    assert (read.array == array).all()
    assert read.geometry.is_same_grid(ct.geometry, 1e-3)


@few_examples
@given(
    quaternion=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    spacing=st.tuples(*[st.floats(1.2, 6.0)] * 3),
    origin=st.tuples(*[st.floats(-800, 800)] * 3),
    mirrored=st.booleans(),
    suffix=st.sampled_from(SUFFIXES),
)
def test_every_voxel_comes_back_at_its_place(
    tmp_path: Path, ct: Volume, quaternion: tuple, spacing: tuple, origin: tuple, mirrored: bool, suffix: str
) -> None:
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    direction = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    if mirrored:
        direction[:, 1] *= -1
    geometry = Geometry(ct.geometry.size, spacing, origin, direction)
    path = tmp_path / f"oblique{suffix}"
    write_itk(path, ct.array, geometry)
    read = read_volume(path)
    assert read.geometry.is_right_handed
    assert read.array.flags.c_contiguous
    for index in [(0, 0, 0), (19, 17, 11), (3, 5, 7), (19, 4, 2)]:
        place = geometry.index_to_lps(index)
        assert value_at(read.array, read.geometry, place) == ct.array[index[2], index[1], index[0]]


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_rotated_flipped_permuted_files(
    tmp_path: Path, ct: Volume, axes: tuple[int, int, int], flips: tuple[int, int, int], suffix: str
) -> None:
    geometry, array = ct.geometry, ct.array
    for axis, sign in enumerate(flips):
        if sign < 0:
            geometry, array = geometry.flip(axis), np.flip(array, 2 - axis)
    geometry = geometry.permute(axes)
    array = array.transpose([2 - axes[2 - n] for n in range(3)])
    path = tmp_path / f"ct{suffix}"
    write_itk(path, np.ascontiguousarray(array), geometry)
    read = read_volume(path)
    k, j, i = np.indices(ct.array.shape).reshape(3, -1)
    there = np.rint(read.geometry.lps_to_index(ct.geometry.index_to_lps(np.stack([i, j, k], 1)))).astype(int)
    assert (read.array[there[:, 2], there[:, 1], there[:, 0]] == ct.array[k, j, i]).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_readers_see_the_same(tmp_path: Path, ct: Volume, suffix: str) -> None:
    path = tmp_path / f"ct{suffix}"
    write_volume(path, ct)
    image = SimpleITK.ReadImage(str(path))
    assert np.allclose(image.TransformIndexToPhysicalPoint((3, 5, 7)), ct.geometry.index_to_lps((3, 5, 7)), atol=1e-3)
    assert image.GetPixel(3, 5, 7) == ct.array[7, 5, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_other_types_become_hu(tmp_path: Path, ct: Volume, dtype: type, suffix: str) -> None:
    path = tmp_path / f"ct{suffix}"
    array = ct.array.astype(dtype)
    if np.issubdtype(dtype, np.floating):
        array += 0.4  # rounds back
    write_itk(path, array, ct.geometry)
    assert (read_volume(path).array == ct.array).all()


def test_nifti_last_dimension_of_one_is_dropped(tmp_path: Path, ct: Volume) -> None:
    nibabel.save(nibabel.Nifti1Image(ct.array.T[..., None], np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / "ct.nii")
    assert (read_volume(tmp_path / "ct.nii").array == ct.array).all()


def test_nifti_in_metres(tmp_path: Path, ct: Volume) -> None:
    image = nibabel.Nifti1Image(ct.array.T, np.diag([0.002, 0.002, 0.003, 1.0]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "ct.nii")
    assert np.allclose(read_volume(tmp_path / "ct.nii").geometry.spacing_mm, (2, 2, 3))


def test_nifti_sform_holds_where_both_forms_are_coded(tmp_path: Path, ct: Volume) -> None:
    image = nibabel.Nifti1Image(ct.array.T, np.eye(4))
    sform = np.array([[0, -2.0, 0, 5], [2.0, 0, 0, 6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    image.set_sform(sform, code=2)
    image.set_qform(np.diag([1.0, 1.0, 1.0, 1.0]), code=1)
    nibabel.save(image, tmp_path / "ct.nii")
    geometry = read_volume(tmp_path / "ct.nii").geometry
    for index in [(0, 0, 0), (4, 3, 2)]:
        ras = (sform @ [*index, 1])[:3]
        assert np.allclose(geometry.index_to_lps(index), ras * [-1, -1, 1])


def test_nifti_qform_alone(tmp_path: Path, ct: Volume) -> None:
    image = nibabel.Nifti1Image(ct.array.T, np.eye(4))
    image.set_sform(None, code=0)
    image.set_qform(np.diag([-2.0, -2.0, 3.0, 1.0]), code=1)
    nibabel.save(image, tmp_path / "ct.nii")
    assert np.allclose(read_volume(tmp_path / "ct.nii").geometry.affine, np.diag([2.0, 2.0, 3.0, 1.0]))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_suffixes_in_capitals(tmp_path: Path, ct: Volume, suffix: str) -> None:
    write_volume(tmp_path / f"ct{suffix}", ct)
    path = (tmp_path / f"ct{suffix}").rename(tmp_path / f"CT{suffix.upper()}")
    assert (read_volume(path).array == ct.array).all()


def refused(path: Path, *words: str, read=read_volume) -> None:
    """Reading `path` fails with one line that names it and says `words`."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 400
    for word in words:
        assert word in message


def test_sheared_sform_is_refused(tmp_path: Path, ct: Volume) -> None:
    affine = np.eye(4)
    affine[0, 2] = 0.3
    nibabel.save(nibabel.Nifti1Image(ct.array.T, affine), tmp_path / "ct.nii")
    refused(tmp_path / "ct.nii", "sform", "orthonormal")


def test_nan_in_the_sform_is_refused(tmp_path: Path, ct: Volume) -> None:
    image = nibabel.Nifti1Image(ct.array.T, np.eye(4))
    image.header["srow_x"][0] = np.nan
    image.header["sform_code"] = 2
    image.to_filename(tmp_path / "ct.nii")
    data = bytearray((tmp_path / "ct.nii").read_bytes())
    data[280:284] = np.float32(np.nan).tobytes()  # srow_x[0]
    (tmp_path / "ct.nii").write_bytes(data)
    refused(tmp_path / "ct.nii", "sform")


def test_nifti_without_orientation_is_refused(tmp_path: Path, ct: Volume) -> None:
    nibabel.save(nibabel.Nifti1Image(ct.array.T, None), tmp_path / "ct.nii")
    refused(tmp_path / "ct.nii", "sform", "qform")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_truncated_file_is_refused(tmp_path: Path, ct: Volume, suffix: str, share: float, capfd) -> None:
    path = tmp_path / f"ct{suffix}"
    write_volume(path, ct)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["ct.mhd", "ct.nhdr", "ct.nrrd", "ct.mha"])
def test_truncated_raw_data_is_refused(tmp_path: Path, ct: Volume, name: str, capfd) -> None:
    image = SimpleITK.GetImageFromArray(ct.array)
    SimpleITK.WriteImage(image, str(tmp_path / name), useCompression=False)
    assert (read_volume(tmp_path / name).array == ct.array).all()
    data = tmp_path / "ct.raw" if (tmp_path / "ct.raw").exists() else tmp_path / name
    data.write_bytes(data.read_bytes()[:-100])
    refused(tmp_path / name)
    data.unlink()
    refused(tmp_path / name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_damaged_bytes_are_refused(tmp_path: Path, ct: Volume, suffix: str, capfd) -> None:
    path = tmp_path / f"ct{suffix}"
    write_volume(path, ct)
    data = bytearray(path.read_bytes())
    for offset in range(len(data) // 2, len(data) // 2 + 200):
        data[offset] ^= 0xFF
    path.write_bytes(data)
    refused(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"no image at all\n" * 40, b"\xff\xd8\xff\xe0" + bytes(500)])
def test_files_of_another_kind_are_refused(tmp_path: Path, suffix: str, content: bytes, capfd) -> None:
    path = tmp_path / f"ct{suffix}"
    path.write_bytes(content)
    refused(path)
    assert capfd.readouterr() == ("", "")


@few_examples
@given(position=st.integers(0, 347), byte=st.integers(0, 255))
def test_a_damaged_nifti_header_never_escapes(tmp_path: Path, ct: Volume, position: int, byte: int) -> None:
    path = tmp_path / "ct.nii"
    write_volume(path, ct)
    data = bytearray(path.read_bytes())
    data[position] = byte
    path.write_bytes(data)
    try:
        assert read_volume(path).geometry.is_right_handed
    except InputError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        *((kind, suffix) for kind in ("4-D", "2-D", "color") for suffix in (".nii.gz", ".nrrd", ".mha")),
        ("complex", ".nii.gz"),
        ("complex", ".nrrd"),
    ],
)
def test_not_one_number_per_voxel_of_a_3d_volume(tmp_path: Path, ct: Volume, kind: str, suffix: str) -> None:
    image = {
        "4-D": lambda: SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(ct.array)] * 2),
        "2-D": lambda: SimpleITK.GetImageFromArray(ct.array[0]),
        "color": lambda: SimpleITK.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True),
        "complex": lambda: SimpleITK.GetImageFromArray(ct.array.astype(np.complex64)),
    }[kind]()
    path = tmp_path / f"ct{suffix}"
    SimpleITK.WriteImage(image, str(path))
    refused(path, "this needs one")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_nan_is_refused(tmp_path: Path, ct: Volume, suffix: str, value: float) -> None:
    array = ct.array.astype(np.float32)
    array[2, 3, :2] = value
    write_itk(tmp_path / f"ct{suffix}", array, ct.geometry)
    refused(tmp_path / f"ct{suffix}", f"2 of {array.size} voxels are NaN")


def test_missing_paths_and_unknown_suffixes(tmp_path: Path, ct: Volume) -> None:
    refused(tmp_path / "none.nii.gz", "no such file")
    refused(tmp_path / "none.nii.gz", "no such file", read=read_labels)
    (tmp_path / "ct.txt").write_text("text")
    refused(tmp_path / "ct.txt", "NIfTI, NRRD")
    refused(tmp_path / "ct.txt", "NIfTI, NRRD", read=read_labels)
    with pytest.raises(InputError, match="cannot write this format"):
        write_volume(tmp_path / "ct.jpg", ct)


def test_series_uid_with_a_single_file_is_refused(tmp_path: Path, ct: Volume) -> None:
    write_volume(tmp_path / "ct.nrrd", ct)
    with pytest.raises(InputError, match="Leave it out"):
        read_volume(tmp_path / "ct.nrrd", series_uid="1.2.3")


@pytest.mark.parametrize(
    ("values", "words"),
    [([0, 77], "77"), ([0, 0.5], "fractions"), ([0, 300], "300"), ([-1, 0], "-1"), ([0, np.nan], "NaN")],
)
def test_labels_that_the_table_does_not_have(tmp_path: Path, values: list, words: str) -> None:
    array = np.zeros((3, 4, 5), np.float32)
    array[:, :, :2] = values
    write_itk(tmp_path / "labels.nrrd", array, Geometry((5, 4, 3)))
    refused(tmp_path / "labels.nrrd", words, read=read_labels)


def test_gzip_in_several_members_is_read(tmp_path: Path, ct: Volume) -> None:
    write_volume(tmp_path / "ct.nii", ct)
    data = (tmp_path / "ct.nii").read_bytes()
    (tmp_path / "ct.nii.gz").write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    assert (read_volume(tmp_path / "ct.nii.gz").array == ct.array).all()


def test_real_ct(shared_data: Path) -> None:
    ct = read_volume(shared_data / "ct_torso_3mm" / "ct.nii.gz")
    liver = read_labels(shared_data / "ct_torso_3mm" / "liver.nii.gz")
    assert ct.geometry.is_same_grid(liver.geometry)
    assert 20 < np.median(ct.array[liver.mask(1)]) < 90  # liver without contrast
    i, j, k = (axis.mean() for axis in np.nonzero(liver.mask(1))[::-1])
    center = ct.geometry.index_to_lps((i, j, k))
    middle = ct.geometry.index_to_lps((np.array(ct.geometry.size) - 1) / 2)
    assert center[0] < middle[0]  # the liver lies on the patient's right: smaller x in LPS
