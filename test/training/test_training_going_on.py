# SPDX-License-Identifier: Apache-2.0
"""What stays of a training on disk: enough to go on to the same weights, whatever ended it, and the best beside it."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from liver_seg_ros.errors import WriteError
from liver_seg_ros.training.callbacks import checkpoints
from liver_seg_ros.training.callbacks.validation import Validation
from liver_seg_ros.training.checkpoint import BEST, CHECKPOINT, Checkpoint, load_checkpoint
from liver_seg_ros.training.hardware import Hardware
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.small_maps import compute_small_maps_in_float32
from liver_seg_ros.training.trainer import CURVES, Trainer


@pytest.fixture
def drops(recipe: Recipe) -> Recipe:
    """A network that drops units at random, in steps of two batches, with an average of its weights."""
    small = {"resnet_width": 8, "resnet_units": [1, 1, 1], "hidden": 12, "layers": 1, "heads": 3}
    network = {"name": "transunet", "widths": [16, 16, 12, 8, 8], **small}
    plan = replace(recipe.optimization, patch=(32, 32, 1), steps=5, validate_every=2, accumulate=2, ema=0.7)
    return replace(recipe, network=network, optimization=plan)


def trainer(recipe: Recipe, folder: Path, output: Path, hardware: Hardware | None = None) -> Trainer:
    dataset = PhantomDataset(folder, range(3), recipe)
    output.mkdir(exist_ok=True)
    return Trainer(recipe, output, dataset, {0: dataset.cases[0]}, hardware=hardware)


def test_killed_anywhere_it_goes_on_to_the_same_weights(
    drops: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, save, made = PhantomDataset.batch, checkpoints.save_checkpoint, []

    def killed_at(number: int) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            made.append(arguments)
            if len(made) == number:
                raise KeyboardInterrupt
            return batch(*arguments)

        return call

    def killed_behind_the_best(path: Path, checkpoint: Checkpoint) -> None:
        if path.name == CHECKPOINT and checkpoint.step == 4:
            raise KeyboardInterrupt
        save(path, checkpoint)

    whole = trainer(drops, folder, tmp_path / "whole").run()
    for target, name, killing in (
        (PhantomDataset, "batch", killed_at(3)),  # before the first checkpoint
        (PhantomDataset, "batch", killed_at(8)),  # between the two batches of step 4
        (checkpoints, "save_checkpoint", killed_behind_the_best),
    ):
        made.clear()
        with monkeypatch.context() as patch:
            patch.setattr(target, name, killing)
            with pytest.raises(KeyboardInterrupt):
                trainer(drops, folder, tmp_path / "killed").run()
    resumed = trainer(drops, folder, tmp_path / "killed").run()
    assert resumed.step == whole.step == 5 and resumed.scores == whole.scores and resumed.best == whole.best
    for kept in ("weights", "training_weights"):
        for name, weights in getattr(whole, kept).items():
            assert torch.equal(weights, getattr(resumed, kept)[name]), (kept, name)
    for number, state in whole.optimizer["state"].items():
        assert all(torch.equal(value, resumed.optimizer["state"][number][key]) for key, value in state.items())


def test_in_bfloat16_a_killed_training_goes_on_to_the_same_weights(
    recipe: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MPU-Net's coarsest maps are of 2 x 2 x 2 voxels here."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True})  # also where it is emulated
    network = {"name": "mpunet", "widths": [4, 6, 8, 10, 16], "attention_weight": 0.1}
    plan = replace(recipe.optimization, precision="bfloat16", batch=1, steps=2, validate_every=1)
    recipe = replace(recipe, network=network, optimization=plan)
    batch, made = PhantomDataset.batch, []

    def killed_at(number: int, *arguments: Any) -> Any:
        litter(float(len(made)))  # nothing may depend on what lies in memory
        made.append(arguments)
        if len(made) == number:
            raise KeyboardInterrupt
        return batch(*arguments)

    monkeypatch.setattr(PhantomDataset, "batch", lambda *arguments: killed_at(4, *arguments))
    whole = trainer(recipe, folder, tmp_path / "whole").run()
    with pytest.raises(KeyboardInterrupt):
        trainer(recipe, folder, tmp_path / "killed").run()
    resumed = trainer(recipe, folder, tmp_path / "killed").run()
    assert (whole.step, resumed.step, len(made)) == (2, 2, 5)
    for name, weights in whole.weights.items():
        assert torch.equal(weights, resumed.weights[name]), name


def litter(value: float) -> None:
    """Leave this times 1e30 in memory that is free again."""
    junk = [torch.full((count,), value * 1e30) for count in (*range(500, 5000, 100), 10000, 20000)]
    del junk


@pytest.mark.parametrize("shape", [(2, 6, 6), (2, 2, 2), (1, 3, 3)])
def test_small_maps_have_the_gradients_of_float32(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(8, 16, 3, padding=1), nn.ConvTranspose3d(16, 8, 3, padding=1))
    network.to(memory_format=torch.channels_last_3d)
    image = torch.randn(2, 8, *shape).contiguous(memory_format=torch.channels_last_3d)
    wanted = torch.randn(2, 8, *shape)
    gradients = []
    for half in (False, True):
        if half:
            compute_small_maps_in_float32(network)
            litter(1.0)  # what an unwritten part of a gradient would hold
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            found = network(image)
        assert found.dtype == (torch.bfloat16 if half else torch.float32)
        (found.float() * wanted).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for full, half in zip(*gradients, strict=True):
        assert (full - half).abs().max() < 0.02 * full.abs().max()


def test_what_is_kept_for_use_is_the_average_of_the_weights(
    recipe: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def watched(path: Path, checkpoint: Checkpoint) -> None:
        if path.name == CHECKPOINT:
            seen.append({name: weights.clone() for name, weights in checkpoint.training_weights.items()})

    monkeypatch.setattr(checkpoints, "save_checkpoint", watched)
    plan = replace(recipe.optimization, steps=3, validate_every=1, ema=0.75)
    done = trainer(replace(recipe, optimization=plan), folder, tmp_path / "out").run()
    for name, _ in done.network().named_parameters():
        average = 0.75 * (0.75 * seen[0][name] + 0.25 * seen[1][name]) + 0.25 * seen[2][name]
        torch.testing.assert_close(done.weights[name], average)
        assert not torch.equal(seen[2][name], average)


def test_the_best_stays_beside_the_last(
    recipe: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = iter((0.5, 0.9, 0.7, 0.8))

    def measured(self: Validation, *arguments: Any) -> None:
        if arguments[1].is_milestone(arguments[-1]):
            self.scores = {"liver": next(dice), "tumor": 0.1}

    monkeypatch.setattr(Validation, "on_train_batch_end", measured)
    plan = replace(recipe.optimization, steps=4, validate_every=1, best_by="liver")
    last = trainer(replace(recipe, optimization=plan), folder, tmp_path / "out").run()
    best = load_checkpoint(tmp_path / "out" / BEST)
    assert (last.step, last.scores["liver"], last.best) == (4, 0.8, 0.9)
    assert (best.step, best.scores["liver"]) == (2, 0.9)


def test_a_full_disk_leaves_the_last_checkpoint_whole(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    plan = replace(recipe.optimization, steps=2, validate_every=1)
    recipe = replace(recipe, optimization=plan)
    running = trainer(recipe, folder, tmp_path / "out")
    validate, before = running._validation.on_train_batch_end, resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(lightning: Any, module: Any, *rest: Any) -> None:
        validate(lightning, module, *rest)
        if module.step == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))

    running._validation.on_train_batch_end = fill  # type: ignore[method-assign]
    try:
        with pytest.raises(WriteError, match=r"no space|[Ff]ile too large"):
            running.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    kept: Checkpoint = load_checkpoint(tmp_path / "out" / CHECKPOINT)
    assert kept.step == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted((CHECKPOINT, BEST))
    assert trainer(recipe, folder, tmp_path / "out").run().step == 2


def test_curves_are_written_where_asked(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    plan = replace(recipe.optimization, steps=1)
    trainer(replace(recipe, optimization=plan), folder, tmp_path / "out", Hardware(tensorboard=True)).run()
    assert list((tmp_path / "out" / CURVES).glob("events.*"))
