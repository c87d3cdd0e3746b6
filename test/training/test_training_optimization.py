# SPDX-License-Identifier: Apache-2.0
"""Optimizer, schedule, clipping, steps of several batches and the weights to begin with are those of the recipe."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.checkpoint import CHECKPOINT, build_network, load_checkpoint
from liver_seg_ros.training.optimization_recipe import OptimizationRecipe
from liver_seg_ros.training.optimizers import create_optimizer
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.schedules import learning_rate_factor
from liver_seg_ros.training.trainer import Trainer


def plan(**options: Any) -> OptimizationRecipe:
    return OptimizationRecipe(patch=(16, 16, 16), batch=2, steps=600, learning_rate=0.1, **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"weight_decay": 0.5, "optimizer": "adamw"}, 2 * (1 - 0.1 * 0.5) - 0.1),  # decay beside the step of Adam
        ({"weight_decay": 0.5, "optimizer": "adam"}, 2 - 0.1),  # a part of the gradient, whose size Adam forgets
        ({"weight_decay": 0.5, "optimizer": "sgd", "momentum": 0.0}, 2 - 0.1 * (3 + 0.5 * 2)),
    ],
)
def test_a_step_is_that_of_the_optimizer(options: dict[str, Any], expected: float) -> None:
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = create_optimizer([weight], plan(**options))
    weight.grad = torch.tensor([3.0])
    optimizer.step()
    assert weight.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("nesterov", "second"), [(False, 0.9 * 3 + 3), (True, 3 + 0.9 * (0.9 * 3 + 3))])
def test_momentum_goes_on_and_nesterov_looks_ahead(nesterov: bool, second: float) -> None:
    weight = nn.Parameter(torch.tensor([0.0]))
    optimizer = create_optimizer([weight], plan(optimizer="sgd", nesterov=nesterov, weight_decay=0))
    for _ in range(2):
        before = weight.item()
        weight.grad = torch.tensor([3.0])
        optimizer.step()
    assert before - weight.item() == pytest.approx(0.1 * second, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"schedule": "cosine"}, [1, 0.8536, 0.5, 0]),
        ({"schedule": "poly", "power": 0.9}, [1, 0.75**0.9, 0.5**0.9, 0]),
        ({"schedule": "step", "step_length": 100}, [1, 0.5, 0.125, 1 / 64]),  # paper 5: halved every 100 of 600
        ({"schedule": "constant"}, [1, 1, 1, 1]),
    ],
)
def test_without_warm_up_the_rate_begins_at_its_peak_and_falls(options: dict[str, Any], expected: list[float]) -> None:
    chosen = plan(warm_up=0, **options)
    assert [learning_rate_factor(done, chosen) for done in (0, 0.25, 0.5, 1)] == pytest.approx(expected, abs=1e-4)


def test_what_does_not_go_together_is_refused() -> None:
    for options, message in (
        ({"schedule": "step"}, "step_length belongs to the schedule 'step'"),
        ({"step_length": 5}, "step_length belongs to the schedule 'step', and this is 'cosine'"),
        ({"nesterov": True}, "nesterov belongs to the optimizer 'sgd'"),
        ({"optimizer": "lion"}, "must be one of adamw, adam, sgd"),
    ):
        with pytest.raises(InputError, match=message):
            plan(**options)


def trained(recipe: Recipe, folder: Path, output: Path, **options: Any) -> dict[str, torch.Tensor]:
    """Weights after one step of plain SGD, whose length is that of the gradient."""
    output.mkdir()
    chosen = replace(
        recipe.optimization,
        **{"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "warm_up": 0.0, "learning_rate": 1.0, **options},
    )
    recipe = replace(recipe, optimization=replace(chosen, steps=1, schedule="constant"))
    return Trainer(recipe, output, PhantomDataset(folder, range(3), recipe), {}).run().weights


def test_gradients_are_clipped_where_the_recipe_says_so(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(recipe.optimization.seed)
    begun = dict(build_network(recipe).named_parameters())
    lengths = []
    for clip in (None, 1e-3):
        weights = trained(recipe, folder, tmp_path / str(clip), clip_norm=clip)
        moved = [(weights[name] - begun[name].detach()).square().sum() for name in begun]
        lengths.append(float(torch.stack(moved).sum().sqrt()))
    assert lengths[0] > 0.01 and lengths[1] == pytest.approx(1e-3, rel=1e-2)


def test_a_step_of_two_batches_takes_the_mean_of_their_gradients(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    recipe = replace(recipe, optimization=replace(recipe.optimization, fixed_norm_from=0.0, clip_norm=None))
    torch.manual_seed(recipe.optimization.seed)
    begun = {name: weights.detach().clone() for name, weights in build_network(recipe).named_parameters()}
    both = trained(recipe, folder, tmp_path / "both", accumulate=2)
    batch, each = PhantomDataset.batch, []
    for part in range(2):  # the batches of step 0, each by itself

        def other(self: PhantomDataset, rng: Any, share: slice, part: int = part) -> Any:
            return batch(self, np.random.default_rng((recipe.optimization.seed, 0, part)), share)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PhantomDataset, "batch", other)
            each.append(trained(recipe, folder, tmp_path / str(part)))
    for name, weights in begun.items():
        expected = weights + ((each[0][name] - weights) + (each[1][name] - weights)) / 2
        torch.testing.assert_close(both[name], expected, rtol=1e-4, atol=1e-6)


def test_it_begins_with_what_fits_of_another_training(
    recipe: Recipe, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained(recipe, folder, tmp_path / "first")
    first = load_checkpoint(tmp_path / "first" / CHECKPOINT)
    liver = replace(
        recipe,
        stage="localize",
        initial=str(tmp_path / "first" / CHECKPOINT),
        optimization=replace(recipe.optimization, focus={}, steps=1, learning_rate=0.0, weight_decay=0.0),
    )
    with caplog.at_level(logging.WARNING):
        (tmp_path / "second").mkdir()
        second = Trainer(liver, tmp_path / "second", PhantomDataset(folder, range(3), liver), {}).run()
    learned = [name for name, _ in second.network().named_parameters()]
    kept = [name for name in learned if torch.equal(second.weights[name], first.weights[name])]
    assert kept and {*first.weights} - {*kept} >= {"head.weight", "head.bias"}
    assert "head.bias, head.weight" in caplog.text and "without head.bias, head.weight" in second.began_with
    assert second.images == first.images
    other = replace(liver, network={"name": "student", "widths": [8, 8]})
    with pytest.raises(InputError, match=r"weights of 'unet3d', and none of them fits this network"):
        Trainer(other, tmp_path, PhantomDataset(folder, range(3), other), {})
