# SPDX-License-Identifier: Apache-2.0
"""A phantom that tells what surrounds its liver tells the truth, and is otherwise the phantom that it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from liver_seg_ros.evaluation.overlap import overlap
from liver_seg_ros.inference.surroundings import load_surroundings_mapper
from liver_seg_ros.labels import (
    AORTA,
    BONE,
    DUODENUM,
    GALLBLADDER,
    KIDNEY,
    LIVER,
    LUNG,
    PANCREAS,
    SPLEEN,
    STOMACH,
    SURROUNDINGS,
    VENA_CAVA,
    Structure,
)
from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom
from liver_seg_ros.phantom.surroundings import value_of
from liver_seg_ros.phantom.tissue import SAME_AS, TISSUES
from liver_seg_ros.planning.nearest_labels import labels_at

ARTERIAL = PhantomOptions(
    size=(84, 68, 60), spacing_mm=(4.0, 4.0, 5.0), phase="arterial", noise_hu=5, tumor_count=1, surroundings=True
)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return generate_phantom(9104, ARTERIAL)


@pytest.fixture(scope="module")
def without() -> Phantom:
    return generate_phantom(9104, replace(ARTERIAL, surroundings=False))


def mask(phantom: Phantom, structure: Structure) -> np.ndarray:
    assert phantom.surroundings is not None
    return phantom.surroundings.array == structure.value


def test_every_organ_of_the_table_is_told(phantom: Phantom) -> None:
    voxel_ml = phantom.ct.geometry.voxel_volume_mm3 / 1000
    volumes = {s: mask(phantom, s).sum() * voxel_ml for s in SURROUNDINGS}
    assert all(ml > 5 for ml in volumes.values()), volumes
    assert volumes[KIDNEY] > volumes[AORTA] > volumes[GALLBLADDER]


def test_the_liver_and_what_is_in_it_are_those_of_the_labels(phantom: Phantom) -> None:
    assert phantom.surroundings is not None
    organ = phantom.labels.array > 0
    assert organ.any() and np.array_equal(phantom.surroundings.array[organ], phantom.labels.array[organ])
    assert not mask(phantom, LIVER)[~organ].any()


def test_organs_lie_where_their_tissue_is_seen(phantom: Phantom) -> None:
    hu = {
        structure: float(np.median(phantom.ct.array[binary_erosion(mask(phantom, structure))]))
        for structure in (LUNG, GALLBLADDER, SPLEEN, AORTA, VENA_CAVA)
    }
    assert hu[LUNG] < -700
    assert -10 < hu[GALLBLADDER] < 40
    assert 80 < hu[SPLEEN] < 160
    assert hu[AORTA] > 220 > 120 > hu[VENA_CAVA]  # arterial phase
    assert np.mean(phantom.ct.array[mask(phantom, BONE)] > 70) > 0.8


def test_the_duodenum_leads_from_the_stomach_around_the_pancreas(phantom: Phantom) -> None:
    around = binary_dilation(mask(phantom, DUODENUM), iterations=2)
    assert (around & mask(phantom, STOMACH)).any() and (around & mask(phantom, PANCREAS)).any()


def test_what_else_is_painted_stays_what_it_was(phantom: Phantom, without: Phantom) -> None:
    assert without.surroundings is None
    assert np.array_equal(phantom.labels.array, without.labels.array)
    changed = phantom.ct.array != without.ct.array
    added = binary_dilation(mask(phantom, DUODENUM) | mask(phantom, STOMACH), iterations=2)
    assert changed.sum() > 100 and (changed & ~added).sum() < 0.01 * changed.sum()  # what shines through an edge


def test_what_is_painted_has_a_value_and_gas_is_part_of_what_holds_it() -> None:
    assert set(SAME_AS.values()) <= TISSUES.keys() and not SAME_AS.keys() & TISSUES.keys()
    assert value_of("gas") is None and value_of("visceral_fat") == 0
    named = {value_of(name) for name in (*TISSUES, *SAME_AS)} - {None, 0}
    assert named == {structure.value for structure in SURROUNDINGS} - {LIVER.value}


def test_the_shipped_network_recognizes_the_organs_of_a_phantom_that_it_has_not_seen(phantom: Phantom) -> None:
    pytest.importorskip("onnxruntime")
    found = load_surroundings_mapper(runtime="onnxruntime", precision="fp32").find(phantom.ct)
    truth = labels_at(phantom.surroundings, found.labels.geometry)
    for structure in (LIVER, AORTA, SPLEEN, LUNG, BONE):
        there = np.isin(truth, (1, 2, 3)) if structure is LIVER else truth == structure.value
        assert overlap(found.labels.array == structure.value, there).dice > 0.75, structure
