# SPDX-License-Identifier: Apache-2.0
"""Labels in files onto the CT that they belong to: reordered where they lie on its points, refused where not."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.itk import write_itk
from liver_seg_ros.files.matching import on_grid_of
from liver_seg_ros.files.volumes import read_labels, read_volume, write_labels
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.orientation import Reorientation
from liver_seg_ros.volume import LabelVolume, Volume

EVERY = [Reorientation(a, f) for a, f in product(permutations(range(3)), product((False, True), repeat=3))]


@pytest.fixture
def labels(ct: Volume) -> np.ndarray:
    """`(K, J, I)` labels on the grid of `ct`, no two planes alike."""
    return np.random.default_rng(5).integers(0, 4, ct.array.shape).astype(np.uint8)


@settings(max_examples=48, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(EVERY), st.sampled_from(EVERY), st.sampled_from([".nii", ".nrrd", ".mha"]))
def test_both_stored_in_any_order(
    tmp_path: Path, ct: Volume, labels: np.ndarray, ct_order: Reorientation, order: Reorientation, suffix: str
) -> None:
    """Left-handed orders too, which reading turns; the CT's voxels say where each label belongs."""
    for name, array, stored in (("ct", ct.array, ct_order), ("labels", labels, order)):
        moved = np.ascontiguousarray(stored.apply(array))
        write_itk(tmp_path / f"{name}{suffix}", moved, stored.apply_to_geometry(ct.geometry))
    volume = read_volume(tmp_path / f"ct{suffix}")
    matched = on_grid_of(volume, read_labels(tmp_path / f"labels{suffix}"), "labels")
    assert matched.geometry == volume.geometry
    assert matched.uid == volume.uid
    assert matched.array.flags.c_contiguous
    k, j, i = np.indices(ct.array.shape).reshape(3, -1)
    there = np.rint(volume.geometry.lps_to_index(ct.geometry.index_to_lps(np.stack([i, j, k], 1)))).astype(int)
    assert (volume.array[there[:, 2], there[:, 1], there[:, 0]] == ct.array[k, j, i]).all()
    assert (matched.array[there[:, 2], there[:, 1], there[:, 0]] == labels[k, j, i]).all()


def test_rounded_positions_are_the_same_points(ct: Volume, labels: np.ndarray) -> None:
    rounded = tuple(round(mm, 1) for mm in ct.geometry.origin_mm)
    geometry = Geometry(ct.geometry.size, ct.geometry.spacing_mm, rounded, ct.geometry.direction)
    assert geometry != ct.geometry
    matched = on_grid_of(ct, LabelVolume(labels, geometry), "labels.nii.gz")
    assert matched.geometry == ct.geometry
    assert (matched.array == labels).all()


def test_other_points_are_refused_with_what_differs(tmp_path: Path, ct: Volume, labels: np.ndarray) -> None:
    i_mm, j_mm, k_mm = ct.geometry.spacing_mm
    geometry = Geometry(ct.geometry.size, (i_mm, j_mm, k_mm + 0.5), (-30.5, 12.25, 695.0), ct.geometry.direction)
    path = tmp_path / "labels.nii.gz"
    write_labels(path, LabelVolume(labels, geometry))
    with pytest.raises(InputError) as caught:
        on_grid_of(ct, read_labels(path), str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: its grid is not the CT's: ")
    assert "spacing 1.5x1.75x3.5 instead of 1.5x1.75x3 mm, origin off by (0.00, 0.00, -5.00) mm" in message
    assert "labels of this CT" in message
    assert "size" not in message
    assert "turned" not in message
