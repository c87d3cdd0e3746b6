# SPDX-License-Identifier: Apache-2.0
"""Confidence: what was made too sure by a known factor is found so, and thresholds for lesions keep their promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.confidence import (
    entropy,
    fit_temperature,
    least_confidence,
    lesion_confidences,
    probabilities,
    reliability,
)


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Logits (4, N), and classes drawn with just the probabilities that they give."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4, 40_000))
    weights = np.exp(logits) / np.exp(logits).sum(axis=0)
    truth = (rng.random(logits.shape[1]) > np.cumsum(weights, axis=0)).sum(axis=0)
    return logits, truth


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_is_by_how_much_logits_are_too_large(
    drawn: tuple[np.ndarray, np.ndarray], factor: float
) -> None:
    logits, truth = drawn
    assert fit_temperature(factor * logits, truth) == pytest.approx(factor, rel=0.04)


def test_calibrated_probabilities_are_reliable_and_change_no_label(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    logits, truth = drawn
    too_sure = 3 * logits
    before = reliability(too_sure, truth)
    after = reliability(too_sure, truth, fit_temperature(too_sure, truth))
    assert before.expected_calibration_error > 0.12 and after.expected_calibration_error < 0.012
    assert np.array_equal(probabilities(too_sure, 3).argmax(axis=0), too_sure.argmax(axis=0))
    full = after.voxels > 500
    np.testing.assert_allclose(after.confidence[full], after.accuracy[full], atol=0.05)


def test_the_calibration_error_of_four_voxels_by_hand() -> None:
    share = np.array([0.95, 0.95, 0.65, 0.55])  # of class 1
    logits = np.stack([np.zeros(4), np.log(share / (1 - share))])
    found = reliability(logits, np.array([1, 0, 1, 0]), bins=10)
    assert found.voxels.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 2]
    assert found.expected_calibration_error == pytest.approx((2 * abs(0.95 - 0.5) + 0.35 + 0.55) / 4)


def test_entropy_is_that_of_the_classes() -> None:
    assert entropy(np.full((4, 2), 0.25)) == pytest.approx([1, 1])
    assert entropy(np.array([[1.0], [0.0], [0.0]])) == pytest.approx([0])
    assert entropy(np.array([0.5, 0.5, 0.0, 0.0])) == pytest.approx(0.5)


def test_a_lesions_confidence_is_its_mean_the_largest_lesion_first() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random((12, 20, 20)).astype(np.float32)
    tumor = np.zeros(probability.shape, bool)
    tumor[1:3, 2:4, 2:4] = True
    tumor[3, 4, 4] = True  # touches at a corner
    tumor[6:10, 8:16, 8:16] = True
    parts, count = ndimage.label(tumor, np.ones((3, 3, 3)))
    means = ndimage.mean(probability, parts, range(1, count + 1))
    assert lesion_confidences(tumor, probability) == pytest.approx([means[1], means[0]])
    assert lesion_confidences(np.zeros_like(tumor), probability).size == 0


@given(
    scans=st.lists(
        st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans())), min_size=1, max_size=6
    ),
    most_false=st.integers(0, 4).map(lambda n: n / 2),
)
def test_the_threshold_is_the_lowest_that_keeps_false_lesions_few(
    scans: list[list[tuple[float, bool]]], most_false: float
) -> None:
    def false_a_scan(threshold: float) -> float:
        return sum(not right and sure >= threshold for scan in scans for sure, right in scan) / len(scans)

    threshold = least_confidence(scans, most_false)
    assert false_a_scan(threshold) <= most_false
    assert all(false_a_scan(n / 20) > most_false for n in range(21) if n / 20 < threshold)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"give \(C, N\) and \(N,\)"):
        fit_temperature(np.zeros((4, 3)), np.zeros(2, int))
    with pytest.raises(InputError, match="classes 0 to 7 of 4"):
        reliability(np.zeros((4, 2)), np.array([0, 7]))
    with pytest.raises(InputError, match="temperature 0: give a number above 0"):
        probabilities(np.zeros((4, 2)), 0)
    with pytest.raises(InputError, match="0 scans"):
        least_confidence([])
