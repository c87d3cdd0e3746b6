# SPDX-License-Identifier: Apache-2.0
"""Calibration: the temperature by which logits are too large, and the threshold that leaves one false lesion a scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from liver_seg_ros.deploy.confidence import JudgedPhantom, calibrate, main
from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.confidence import probabilities

MODELS = Path(__file__).parents[2] / "models"
TOO_SURE = 3.0
#: Of cubes of so many voxels along an edge: the probability of tumor, and whether it is one.
CUBES = [(4, 0.9, True), (3, 0.8, False), (3, 0.7, False), (2, 0.6, False), (1, 0.95, False)]


@pytest.fixture(scope="module")
def phantom() -> JudgedPhantom:
    rng = np.random.default_rng(0)
    fair = rng.normal(0, 2, (4, 40_000))
    truth = (rng.random(fair.shape[1]) > np.cumsum(probabilities(fair), axis=0)).sum(axis=0)
    scores, is_tumor = np.zeros((4, 6, 6, 40), np.float16), np.zeros((6, 6, 40), bool)
    scores[1] = 30  # liver all around
    for number, (edge, tumor, right) in enumerate(CUBES):
        at = (slice(1, 1 + edge), slice(1, 1 + edge), slice(1 + 8 * number, 1 + 8 * number + edge))
        rest = np.log((1 - tumor) / 3)
        scores[(slice(None), *at)] = (TOO_SURE * np.array([rest, rest, np.log(tumor), rest]))[:, None, None, None]
        is_tumor[at] = right
    return JudgedPhantom((TOO_SURE * fair).astype(np.float32), truth.astype(np.uint8), scores, is_tumor, 8.0)


def test_temperature_threshold_and_errors(phantom: JudgedPhantom) -> None:
    lesions = phantom.lesions(TOO_SURE)
    expected = [(tumor, right) for edge, tumor, right in CUBES if edge**3 >= 8]  # smaller ones are no lesions
    for (confidence, is_one), (tumor, right) in zip(lesions, expected, strict=True):
        assert (confidence, is_one) == (pytest.approx(tumor, abs=0.01), right)
    found = calibrate([phantom], "a phantom")
    assert found.temperature == pytest.approx(TOO_SURE, rel=0.04)
    assert found.error < 0.01 < found.error_before
    assert found.least_lesion == pytest.approx(0.7, abs=0.02)  # above it there is one false lesion, of 0.8
    kept = [right for sure, right in phantom.lesions(found.temperature) if sure >= found.least_lesion]
    assert kept == [True, False]


def test_what_cannot_be_calibrated_is_told() -> None:
    with pytest.raises(InputError, match="no phantom"):
        calibrate([], "nothing")
    with pytest.raises(InputError, match="gives logits of background, liver; only logits of background, liver, tumor"):
        main(["--bundle", str(MODELS / "localizer")])
