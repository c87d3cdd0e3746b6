# SPDX-License-Identifier: Apache-2.0
"""What is no CT in HU and mm, or no labels of one, is refused in one line; CTs of every shape and crop pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.files import checks
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
        ((20, 1, 20), (75, 2, 150), False),  # 1.5 m across
        ((20, 1, 20), (150, 2, 76), True),
        ((1, 20, 20), (2, 150, 76), True),
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


def test_promised_limits() -> None:
    assert checks.SPACING_MM == (0.05, 20.0)
    assert checks.EXTENT_MM == (20.0, 3000.0)
    assert checks.ACROSS_MM == 1500.0
    assert checks.FEWEST_SLICES == 2
    assert checks.AIR_HU == -1100
    assert checks.SOFT_TISSUE_HU == (-200, 300)
    assert checks.WATER_STORED == (850, 1250)
    assert checks.DENSEST_BONE_HU == 3100
    assert checks.MOST_LABELS == 250
    assert checks.LIKE_NEIGHBOR == 0.9


def shares(*parts: tuple[int, int]) -> Volume:
    """A CT of 10 000 voxels: so many of each value, (count, HU); the rest is air."""
    values = np.full(10_000, -1000, np.int16)
    filled = np.concatenate([np.full(count, hu, np.int16) for count, hu in parts])
    values[: len(filled)] = filled
    return Volume(values.reshape(20, 20, 25), Geometry((25, 20, 20)))


@pytest.mark.parametrize(
    ("ct", "words"),
    [
        (shares((9, -199)), "denser than -200 HU"),
        (shares((10, -199)), ""),
        (shares((500, -200)), "denser than -200 HU"),
        (shares((5000, -1101), (4, -199)), "denser than"),  # of what is no padding, 0.8 in a thousand
        (shares((5000, -1101), (5, -199)), ""),
        (shares((5000, -1100), (9, -199)), "denser than"),  # -1100 is still air
        (shares((10_000, -2000)), "all voxels are -2000"),
        (shares((5000, -2000), (5000, -2020)), "denser than"),  # nothing but padding
        (shares((1001, 850)), "intercept was not applied"),
        (shares((1000, 850)), ""),
        (shares((2000, 849)), ""),
        (shares((2000, 1250)), "intercept was not applied"),
        (shares((2000, 1251)), ""),
        (shares((2000, 1000), (2000, 300)), ""),
        (shares((2000, 1000), (1999, 300)), "intercept was not applied"),
        (shares((2000, 1000), (2000, 301)), "intercept was not applied"),
        (shares((2000, 1000), (2000, -200)), ""),
        (shares((2000, 1000), (2000, -201)), "intercept was not applied"),
        (shares((2001, 3101), (2000, 0)), "20% of the voxels are above 3100 HU"),
        (shares((2001, 3101), (2000, 3100)), "20% of the voxels are above 3100 HU"),
        (shares((2000, 3101), (2000, 0)), ""),
        (shares((5000, 3100), (2000, 0)), ""),
        (shares((9999, 20), (1, 39)), "between 20 and 39|between -1000"),
    ],
)
def test_shares_of_what_a_ct_holds(ct: Volume, words: str) -> None:
    if not words:
        check_ct(ct, "ct")
        return
    with pytest.raises(InputError, match=words):
        check_ct(ct, "ct")


@pytest.mark.parametrize(
    ("values", "row", "refused"),
    [
        (250, "AAAAAAAAAABBBBBBBBBBBBBBB", True),
        (251, "AAAAAAAAAABBBBBBBBBBBBBBB", False),
        (60, "AAAAAAAAAABBBBBBBBBBCCCCC", False),  # 22 of 25 voxels are as the one beside them
        (60, "AAAAAAAAAABBBBBBBBBB", False),  # 18 of 20, which is just nine tenths
        (60, "AAAAAAAAAAAAAAAAAAAA", True),
    ],
)
@pytest.mark.parametrize("lowest", [-1, 0, 1])
def test_even_patches_of_few_values_are_labels(values: int, row: str, refused: bool, lowest: int) -> None:
    """Two values at most in each slice, and others in the next."""
    letters = np.array([ord(letter) - ord("A") for letter in row])
    hu = np.stack([np.tile((k + letters) % values, (20, 1)) for k in range(values)]).astype(np.int16) + lowest
    volume = Volume(hu, Geometry(hu.shape[::-1], (1, 1, 0.1)))
    if not refused or lowest < 0:
        check_ct(volume, "ct")
        return
    with pytest.raises(InputError, match="even patches of values"):
        check_ct(volume, "ct")


@pytest.mark.parametrize(("high", "refused"), [(9, True), (10, False)])
def test_a_range_of_twenty_hu(high: int, refused: bool) -> None:
    hu = np.full((20, 20, 25), -10, np.int16)
    hu[0, 0, 0] = high
    volume = Volume(hu, Geometry((25, 20, 20)))
    if not refused:
        check_ct(volume, "ct")
        return
    with pytest.raises(InputError, match="all voxels are between -10 and 9"):
        check_ct(volume, "ct")


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        (Geometry((9, 8, 1)), r"one slice \(9x8x1 voxels\)"),
        (Geometry((9, 8, 7), (0.01, 0.02, 0.049)), "voxels of 0.01x0.02x0.049 mm; the spacing is in metres"),
        (Geometry((9, 8, 7), (0.01, 1, 1)), "voxels of 0.01x1x1 mm; the spacing is not in mm"),
        (Geometry((9, 8, 7), (0.05, 0.01, 0.01)), "the spacing is not in mm"),
        (Geometry((9, 8, 7), (1, 1.5, 2)), "measures 9x12x14 mm; no patient"),
        (Geometry((9, 8, 7), (19, 19, 20.5)), "voxels of 19x19x20.5 mm; the spacing is not in mm"),
    ],
)
def test_what_is_wrong_with_a_grid(geometry: Geometry, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_labels(LabelVolume(np.zeros(geometry.shape, np.uint8), geometry), "labels")


def test_only_a_lattice_of_a_large_ct_is_looked_at() -> None:
    """Every second voxel on each axis: what lies between them is not asked."""
    for first, refused in ((1, False), (0, True)):
        hu = np.full((256, 256, 256), 50, np.int16)
        hu[first::2] = 1000
        hu[:2, 0, 0] = -100  # or it would be a label file
        volume = Volume(hu, Geometry((256, 256, 256)))
        if not refused:
            check_ct(volume, "ct")
            continue
        with pytest.raises(InputError, match="intercept"):
            check_ct(volume, "ct")


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
