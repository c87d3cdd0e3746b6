# SPDX-License-Identifier: Apache-2.0
"""Precision over recall, against counting at each threshold and against the definition on ranked voxels."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.precision_recall import PrecisionRecallCounter


def test_each_point_is_what_its_threshold_gives_and_the_area_is_that_of_the_ranking() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((4, 5, 6)) < 0.3
    probability = np.clip(0.3 * truth + rng.random(truth.shape) * 0.7, 0, 1)
    probability.flat[:2] = 0.0, 1.0
    counter = PrecisionRecallCounter(bins=10**6)  # so many tell all of these voxels apart
    for part in (slice(0, 1), slice(1, 4)):  # cases come one by one
        counter.add(probability[part], truth[part])
    curve = counter.curve
    for threshold, precision, recall in zip(curve.threshold, curve.precision, curve.recall, strict=True):
        answer = probability >= threshold
        assert precision == pytest.approx((answer & truth).sum() / answer.sum())
        assert recall == pytest.approx((answer & truth).sum() / truth.sum())
    ranked = truth.ravel()[np.argsort(-probability.ravel())]
    by_definition = np.mean([ranked[: place + 1].mean() for place in np.flatnonzero(ranked)])
    assert curve.average_precision == pytest.approx(by_definition)
    assert curve.recall[-1] == 1 and curve.threshold[-1] == 0


def test_without_a_truth_there_is_no_curve_and_no_area() -> None:
    assert isnan(PrecisionRecallCounter().curve.average_precision)
    counter = PrecisionRecallCounter()
    counter.add(np.array([0.2, 0.9]), np.zeros(2, bool))
    assert isnan(counter.curve.average_precision) and not counter.curve.precision.any()


@pytest.mark.parametrize(
    ("probability", "truth", "bins"),
    [
        (np.zeros(2), np.zeros(3, bool), 9),
        (np.array([1.5]), np.ones(1, bool), 9),
        (np.array([np.nan]), np.ones(1, bool), 9),
        (np.zeros(1), np.ones(1, bool), 0),
    ],
)
def test_what_is_no_probability_is_refused(probability: np.ndarray, truth: np.ndarray, bins: int) -> None:
    with pytest.raises(InputError):
        PrecisionRecallCounter(bins).add(probability, truth)
