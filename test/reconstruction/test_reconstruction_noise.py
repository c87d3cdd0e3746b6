# SPDX-License-Identifier: Apache-2.0
"""Labels that are noise are refused in a line, at once; all else is not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.reconstruction import noise
from liver_seg_ros.reconstruction.noise import euler_characteristic, refuse_noise
from liver_seg_ros.reconstruction.pipeline import reconstruct
from liver_seg_ros.volume import LabelVolume


def labels_of(array: NDArray[np.integer]) -> LabelVolume:
    return LabelVolume(array.astype(np.uint8), Geometry(array.shape[::-1]))


def lattice(cells: int) -> NDArray[np.bool_]:
    """A flat grid of bars with `cells` x `cells` holes."""
    _, j, i = np.indices((1, 2 * cells + 1, 2 * cells + 1))
    return (j % 2 == 0) | (i % 2 == 0)


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.05, 0.95))
def test_vertices_edges_faces_and_cubes_are_those_of_the_voxels(seed: int, share: float) -> None:
    """Each cell is named by twice its middle: odd along the axes in which it extends."""
    mask = np.pad(np.random.default_rng(seed).random((4, 3, 5)) < share, 1)
    cells = {
        tuple(2 * n + 1 + step for n, step in zip(voxel, steps, strict=True))
        for voxel in np.argwhere(mask).tolist()
        for steps in product((-1, 0, 1), repeat=3)
    }
    assert euler_characteristic(mask) == sum((-1) ** sum(n % 2 for n in cell) for cell in cells)


@pytest.mark.parametrize("structure", [LIVER, TUMOR, VESSEL])
def test_tunnels_count_and_cavities_do_not(structure: object, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.zeros((9, 30, 30), np.uint8)
    array[1, 1:24, 1:24] = lattice(11)[0]
    array[3:9, :9, :9] = 1
    array[5, 4, 4] = array[5, 2, 2] = 0  # cavities
    labels = labels_of(array * np.uint8(structure.value))
    monkeypatch.setattr(noise, "MOST_TUNNELS", 121)
    refuse_noise(labels)
    monkeypatch.setattr(noise, "MOST_TUNNELS", 120)
    line = f"the labels of {structure.title} are noise: 121 tunnels through it, and surfaces are made of up to 120. "
    with pytest.raises(InputError) as caught:
        refuse_noise(labels)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


def test_parts_count(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.zeros((5, 9, 9), np.uint8)
    array[::2, ::2, ::2] = TUMOR.value  # 3 x 5 x 5 specks
    monkeypatch.setattr(noise, "MOST_PARTS", 75)
    refuse_noise(labels_of(array))
    monkeypatch.setattr(noise, "MOST_PARTS", 74)
    with pytest.raises(InputError, match="tumor are noise: 75 parts, and surfaces are made of up to 74"):
        refuse_noise(labels_of(array))


def test_random_labels_are_refused_before_any_surface_is_made() -> None:
    """It took hours."""
    assert (noise.MOST_TUNNELS, noise.MOST_PARTS) == (3_000, 10_000)
    labels = labels_of(np.random.default_rng(1).integers(0, 4, (128, 128, 128)))
    told: list[str] = []
    with pytest.raises(InputError, match=r"are noise: \d+ tunnels through it"):
        reconstruct(labels, progress=lambda stage, _: told.append(stage))
    assert told == []


def test_nothing_and_a_structure_without_voxels_are_no_noise() -> None:
    refuse_noise(labels_of(np.zeros((3, 3, 3))))
    refuse_noise(labels_of(np.full((3, 3, 3), VESSEL.value)))
