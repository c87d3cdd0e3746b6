"""What is no CT in HU and mm, or no labels of one, is refused in one line; CTs of every shape and crop pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.checks import check_ct, check_labels
from liver_seg_ros.files.volumes import read_labels, read_volume, write_labels
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.volume import LabelVolume, Volume


def with_values(ct: Volume, array: np.ndarray) -> Volume:
    return Volume(np.rint(array).astype(np.int16), ct.geometry)


def patches(shape: tuple[int, ...]) -> np.ndarray:
    """As labels are: 1 in a box, 0 elsewhere."""
    array = np.zeros(shape)
    array[2:6, 3:9, 4:12] = 1
    return array


def with_spacing(ct: Volume, factor: float) -> Volume:
    geometry = ct.geometry
    i, j, k = (s * factor for s in geometry.spacing_mm)
    return Volume(ct.array, Geometry(geometry.size, (i, j, k), geometry.origin_mm, geometry.direction))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ct: with_values(ct, ct.array * 0), "all voxels are 0 HU"),
        (lambda ct: with_values(ct, ct.array * 0 - 1000), "all voxels are -1000 HU"),
        (lambda ct: with_values(ct, (ct.array + 1000) / 2000), "0..1"),
        (lambda ct: with_values(ct, ct.array > 0), "label file"),
        (lambda ct: with_values(ct, patches(ct.array.shape) * 63 + 1), "even patches of values from 1 to 64"),
        (lambda ct: with_values(ct, np.clip((ct.array + 160.0) * 255 / 400, 0, 255)), "8-bit"),
        (lambda ct: with_values(ct, ct.array + 1000), "intercept was not applied"),
        (lambda ct: with_values(ct, ct.array + 1024), "intercept was not applied"),
        (lambda ct: with_values(ct, np.where(ct.array == -1000, -2000, ct.array + 1024)), "intercept was not applied"),
        (lambda ct: with_values(ct, np.minimum(ct.array, 100) - 1024), "subtracted twice"),
        (lambda ct: with_values(ct, ct.array * 0 - 1000 + np.arange(20)), "subtracted twice|label file"),
        (lambda ct: with_values(ct, np.random.default_rng(0).integers(0, 30000, ct.array.shape)), "denser than bone"),
        (lambda ct: with_spacing(ct, 0.001), "in metres"),
        (lambda ct: with_spacing(ct, 1000), "not in mm"),
        (lambda ct: with_spacing(ct, 0.1), "no patient"),
        (lambda ct: ct.crop(Box((0, 0, 3), (20, 18, 4))), "one slice"),
        (lambda ct: ct.crop(Box((3, 0, 0), (4, 18, 12))), "one slice"),
    ],
)
def test_no_ct(ct: Volume, change, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check_ct(change(ct), "somewhere/ct.nii.gz")
    assert str(caught.value).startswith("somewhere/ct.nii.gz: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ct: with_spacing(ct, 0.001), "in metres"),
        (lambda ct: with_spacing(ct, 1000), "not in mm"),
        (lambda ct: with_spacing(ct, 0.1), "no patient"),
        (lambda ct: ct.crop(Box((0, 0, 3), (20, 18, 4))), "one slice"),
        (lambda ct: ct.crop(Box((3, 0, 0), (4, 18, 12))), "one slice"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_labels_of_no_ct(tmp_path: Path, ct: Volume, change, words: str, suffix: str) -> None:
    geometry = change(ct).geometry
    labels = LabelVolume(np.ones(geometry.shape, np.uint8), geometry)
    with pytest.raises(InputError, match=words) as caught:
        check_labels(labels, "somewhere/labels.nii.gz")
    assert str(caught.value).startswith("somewhere/labels.nii.gz: ")
    path = tmp_path / f"labels{suffix}"
    write_labels(path, labels)
    with pytest.raises(InputError, match=words):
        read_labels(path)


def test_labels_of_a_ct(ct: Volume) -> None:
    check_labels(LabelVolume(np.zeros(ct.geometry.shape, np.uint8), ct.geometry), "labels")


@pytest.mark.parametrize(
    ("spacing_mm", "size", "refused"),
    [
        ((0.05, 1, 1), (9, 30, 9), False),
        ((0.0499, 1, 1), (9, 30, 9), True),
        ((1, 20, 1), (9, 9, 9), False),
        ((1, 20.1, 1), (9, 9, 9), True),
        ((1, 1, 2), (9, 9, 10), False),  # 20 mm
        ((1, 1, 1.99), (9, 9, 10), True),
        ((1, 1, 20), (2, 2, 150), False),  # 3 m
        ((1, 1, 20), (2, 2, 151), True),
        ((20, 1, 1), (2, 2, 2), False),
        ((20, 1, 1), (1, 2, 2), True),
    ],
)
def test_the_limits_of_a_grid(spacing_mm: tuple, size: tuple, refused: bool) -> None:
    geometry = Geometry(size, spacing_mm)
    hu = np.random.default_rng(0).integers(-100, 100, geometry.shape).astype(np.int16)
    for check, volume in ((check_ct, Volume(hu, geometry)), (check_labels, LabelVolume(hu.astype(np.uint8), geometry))):
        if refused:
            with pytest.raises(InputError):
                check(volume, "file")
        else:
            check(volume, "file")


def test_volume_beyond_any_patient(ct: Volume) -> None:
    array = np.tile(ct.array, (16, 1, 1))
    with pytest.raises(InputError, match="no patient"):
        check_ct(Volume(array, Geometry(array.shape[::-1], (1.5, 1.5, 19.0))), "ct")


@pytest.mark.parametrize(
    "change",
    [
        lambda ct: ct,
        lambda ct: ct.crop(Box((0, 0, 0), (20, 18, 2))),
        lambda ct: ct.crop(Box((2, 4, 0), (16, 14, 12))),  # inside soft tissue only
        lambda ct: with_values(ct, np.where(ct.array == -1000, -3024, ct.array)),  # padding outside the field of view
        lambda ct: with_values(ct, np.where(ct.array == -1000, -32768, ct.array)),
        lambda ct: with_values(ct, np.where(ct.array > 395, 30000, ct.array)),  # metal
        lambda ct: with_values(ct, np.maximum(ct.array, 0)),
        lambda ct: with_values(ct, patches(ct.array.shape) * 63 - 1),  # even, but below 0
        lambda ct: with_values(ct, np.random.default_rng(1).integers(0, 100, ct.array.shape)),  # few values, but uneven
        lambda ct: with_values(ct, np.arange(ct.array.size).reshape(ct.array.shape) // 10),  # even, but many values
    ],
)
def test_ct(ct: Volume, change) -> None:
    check_ct(change(ct), "ct")


def test_real_ct_and_its_crops(shared_data: Path) -> None:
    ct = read_volume(shared_data / "ct_torso_3mm" / "ct.nii.gz")
    for organ in ("liver", "spleen", "aorta", "gallbladder", "portal_vein_and_splenic_vein", "stomach"):
        mask = read_labels(shared_data / "ct_torso_3mm" / f"{organ}.nii.gz").mask(1)
        box = Box.around(mask)
        assert box is not None
        check_ct(ct.crop(box), organ)
    rng = np.random.default_rng(3)
    for _ in range(200):  # crops of 24 to 90 mm anywhere in the body's middle
        size = rng.integers(8, 30, 3)
        start = [int(rng.integers(n // 4, 3 * n // 4 - s // 2)) for n, s in zip(ct.geometry.size, size, strict=True)]
        stop = [min(int(a + s), n) for a, s, n in zip(start, size, ct.geometry.size, strict=True)]
        check_ct(ct.crop(Box(tuple(start), tuple(stop))), f"crop from {start} to {stop}")
