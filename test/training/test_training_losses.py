# SPDX-License-Identifier: Apache-2.0
"""The loss and the log's Dice against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from liver_seg_ros.evaluation.metrics import DiceCounter
from liver_seg_ros.training.common_losses import dice_and_cross_entropy


def test_a_perfect_and_certain_answer_costs_nothing() -> None:
    target = torch.randint(0, 3, (2, 8, 8, 8))
    logits = 50 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float()
    assert dice_and_cross_entropy(logits, target).item() == pytest.approx(0, abs=1e-5)


def test_an_undecided_answer_costs_what_the_equation_says() -> None:
    target = torch.zeros(1, 10, 10, 10, dtype=torch.int64)
    target[:, :5] = 1  # half of 1000 voxels
    # p = 1/2 everywhere: CE = ln 2; Dice = (2 * 250 + 20) / (500 + 500 + 20)
    expected = math.log(2) + 1 - 520 / 1020
    assert dice_and_cross_entropy(torch.zeros(1, 2, 10, 10, 10), target).item() == pytest.approx(expected, rel=1e-5)


def test_half_precision_logits_are_summed_in_single() -> None:
    target = torch.randint(0, 4, (1, 32, 32, 32))
    logits = torch.randn(1, 4, 32, 32, 32)
    half = dice_and_cross_entropy(logits.bfloat16(), target)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(dice_and_cross_entropy(logits, target).item(), rel=0.01)


def test_dice_counts_the_organ_with_what_lies_in_it() -> None:
    counter = DiceCounter({0: "background", 1: "liver", 2: "tumor", 3: "vessel"})
    counter.add(np.array([0, 1, 1, 2, 2, 0]), np.array([0, 1, 2, 2, 1, 1]))
    counter.add(np.array([1]), np.array([1]))
    scores = counter.scores()
    assert scores == {"liver": pytest.approx(2 * 5 / (5 + 6)), "tumor": pytest.approx(2 * 1 / (2 + 2))}
