# SPDX-License-Identifier: Apache-2.0
"""Dice against SimpleITK's overlap filter, and its conventions."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.volume import LabelVolume

GEOMETRY = Geometry(size=(9, 8, 7), spacing_mm=(1.0, 2.0, 3.0))


def _random_labels(seed: int) -> LabelVolume:
    return LabelVolume(np.random.default_rng(seed).integers(0, 4, GEOMETRY.shape, np.uint8), GEOMETRY)


def test_agrees_with_simpleitk() -> None:
    a, b = _random_labels(1), _random_labels(2)
    scores = dice(a, b)
    for structure in (TUMOR, VESSEL):
        assert scores[structure.name] == pytest.approx(
            _simpleitk_dice(a.mask(structure.value), b.mask(structure.value))
        )
    assert scores["liver"] == pytest.approx(_simpleitk_dice(a.array > 0, b.array > 0))


def _simpleitk_dice(a: np.ndarray, b: np.ndarray) -> float:
    images = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in (a, b)]
    overlap = SimpleITK.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    return float(overlap.GetDiceCoefficient(1))


def test_the_liver_is_the_organ_with_what_lies_in_it() -> None:
    array = np.zeros(GEOMETRY.shape, np.uint8)
    array[2:5] = LIVER.value
    truth = array.copy()
    truth[3] = TUMOR.value
    scores = dice(LabelVolume(array, GEOMETRY), LabelVolume(truth, GEOMETRY))
    assert scores == {"liver": 1.0, "tumor": 0.0}  # no vessel in either: no score


def test_only_what_the_truth_speaks_about() -> None:
    assert list(dice(_random_labels(1), _random_labels(2), (LIVER,))) == ["liver"]


def test_another_grid_is_refused() -> None:
    moved = Geometry(GEOMETRY.size, GEOMETRY.spacing_mm, origin_mm=(0.0, 0.0, 5.0))
    labels = _random_labels(1)
    with pytest.raises(InputError, match="grid"):
        dice(labels, LabelVolume(labels.array, moved))


def test_the_points_count_and_not_their_order_nor_how_they_were_rounded() -> None:
    """What `files.matching` takes for one grid is one here: the sum over places is the same."""
    truth = _random_labels(1)
    rounded = Geometry(GEOMETRY.size, (1.0, 2.0, 3.004), (0.04, 0.0, 0.0))
    assert dice(LabelVolume(truth.array, rounded), truth) == {"liver": 1.0, "tumor": 1.0, "vessel": 1.0}
    found = _random_labels(2)
    turned = LabelVolume(
        np.ascontiguousarray(found.array[::-1, ::-1]),
        found.geometry.flip(2).flip(1),  # still right-handed
    )
    assert dice(turned, truth) == dice(found, truth) == dice(truth, turned)
