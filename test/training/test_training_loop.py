# SPDX-License-Identifier: Apache-2.0
"""The loop: it learns, a killed training goes on as if nothing had been, and time shortens its schedule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from liver_seg_ros.errors import InputError
from liver_seg_ros.training import trainer
from liver_seg_ros.training.checkpoint import Checkpoint, build_network, load_checkpoint
from liver_seg_ros.training.distillation import Distillation
from liver_seg_ros.training.network_inputs import tensors_of
from liver_seg_ros.training.network_module import set_training_mode
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.provenance import protocol
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.schedules import learning_rate_factor
from liver_seg_ros.training.trainer import CHECKPOINT, Trainer


def train(recipe: Recipe, folder: Path, output: Path, max_minutes: float = float("inf")) -> Checkpoint:
    dataset = PhantomDataset(folder, range(3), recipe)
    output.mkdir(exist_ok=True)
    return Trainer(recipe, output, dataset, dataset.cases, max_minutes).run()


def steps(recipe: Recipe, count: int) -> Recipe:
    return replace(recipe, optimization=replace(recipe.optimization, steps=count))


def test_it_learns_to_tell_the_structures_apart(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    scores = train(steps(recipe, 120), folder, tmp_path / "out").scores
    assert scores["liver"] > 0.9
    assert scores["tumor"] > 0.7
    assert scores["vessel"] > 0.6


def test_a_killed_training_goes_on_as_if_nothing_had_been(
    recipe: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(recipe, folder, tmp_path / "whole")
    batch, drawn = PhantomDataset.batch, []

    def killed_at_the_fifth_step(self: PhantomDataset, rng: object, share: slice) -> object:
        drawn.append(rng)
        if len(drawn) == 5:
            raise KeyboardInterrupt
        return batch(self, rng, share)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(PhantomDataset, "batch", killed_at_the_fifth_step)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, folder, tmp_path / "killed")
    assert load_checkpoint(tmp_path / "killed" / CHECKPOINT).step == 3
    resumed = train(recipe, folder, tmp_path / "killed")
    assert resumed.step == whole.step == 6
    for name, weights in whole.weights.items():
        assert torch.equal(weights, resumed.weights[name]), name


def test_a_loss_gets_the_outputs_that_it_reads_and_the_epoch(
    recipe: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithScales(torch.nn.Conv3d):
        def outputs(self, image: torch.Tensor) -> Any:
            logits = self(image)
            return NamedTuple("Outputs", [("logits", Any), ("scales", Any)])(logits, [logits, 2 * logits])

    seen = []

    def loss(prediction: Any, target: torch.Tensor, epoch: int) -> torch.Tensor:
        seen.append((len(prediction.scales), epoch))
        return prediction.logits.mean()

    loss.outputs = ("logits", "scales")  # type: ignore[attr-defined]
    monkeypatch.setattr(trainer, "build_network", lambda _: WithScales(1, 4, 1))
    monkeypatch.setattr(trainer, "create_loss", lambda **_: loss)
    train(steps(recipe, 4), folder, tmp_path / "out")
    assert seen == [(2, 0), (2, 0), (2, 1), (2, 2)]  # 2 patches per step, 3 cases


def test_the_recipe_names_the_loss(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    for name in ("dice_ce", "tversky"):
        train(steps(replace(recipe, loss={"name": name}), 2), folder, tmp_path / name)
    one, other = (load_checkpoint(tmp_path / name / CHECKPOINT).weights for name in ("dice_ce", "tversky"))
    assert any(not torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(InputError, match="unknown loss 'dise'"):
        train(replace(recipe, loss={"name": "dise"}), folder, tmp_path / "out")


def test_the_recipe_may_say_how_many_classes_there_are(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    two = replace(recipe, stage="localize", network={"name": "unet3d", "widths": [4, 4], "classes": 2})
    assert build_network(two)(torch.zeros(1, 1, 8, 8, 8)).shape[1] == 2
    three = replace(
        recipe,
        data=replace(recipe.data, structures=("liver", "tumor")),
        network={**two.network, "classes": 3},
        optimization=replace(recipe.optimization, steps=1, focus={"tumor": 0.5}),
        loss={"name": "dice_cl_dice"},
    )
    assert train(three, folder, tmp_path).step == 1
    with pytest.raises(InputError, match=r"network.classes 3 does not fit: .* 2 classes, background, liver; leave"):
        build_network(replace(two, network={**two.network, "classes": 3}))


def test_a_teacher_adds_what_it_knows_to_the_loss(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    teacher = train(steps(recipe, 1), folder, tmp_path / "teacher")
    plain = replace(steps(recipe, 1), network={"name": "student", "widths": [8, 8]})
    taught = replace(plain, distillation={"teacher": str(tmp_path / "teacher"), "logits": 0.7, "features": 0.3})
    dataset = PhantomDataset(folder, range(3), recipe)
    batch = dataset.batch(np.random.default_rng(0))
    losses = []
    for name, each in (("plain", plain), ("taught", taught)):
        (tmp_path / name).mkdir()
        losses.append(Trainer(each, tmp_path / name, dataset, {}).module.loss_of(tensors_of(batch)).item())
    torch.manual_seed(plain.optimization.seed)
    student = build_network(taught).train()
    images = torch.from_numpy(batch.images)
    distillation = Distillation(teacher.network(), student, logits=0.7, features=0.3)
    assert losses[1] - losses[0] == pytest.approx(distillation(images, student(images)).item(), rel=1e-3)
    done = train(taught, folder, tmp_path / "taught")
    assert done.images == teacher.images
    assert done.source == f"{dataset.provenance.source}; taught by 'unet3d', which was trained on {teacher.source}"
    assert protocol(taught)["distillation"] == {"logits": 0.7, "features": 0.3}
    assert "distillation" not in protocol(plain)
    for wrong, said in (
        ({"weight": 1}, "no option weight; it has: teacher, logits"),
        ({"logits": "much"}, "cannot be"),
    ):
        with pytest.raises(InputError, match=said):
            train(replace(taught, distillation={**taught.distillation, **wrong}), folder, tmp_path / "wrong")


def test_one_value_per_channel_is_refused_in_one_line(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    """The network halves 2 x 2 x 2 voxels to one; a batch of two has a spread, a batch of one has none."""

    def train(batch: int, output: str) -> int:
        plan = replace(recipe.optimization, patch=(2, 2, 2), batch=batch, steps=1, validate_every=1)
        chosen = replace(recipe, optimization=plan)
        return Trainer(chosen, tmp_path / output, PhantomDataset(folder, range(3), chosen), {}).run().step

    with pytest.raises(
        InputError, match=r"'unet3d' brings an optimization.patch of 2 x 2 x 2 .*batch of 1 that .*; give"
    ):
        train(1, "one")
    assert train(2, "two") == 1


def test_a_network_of_slices_is_refused(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'transunet' takes slices.* feeds volumes; there are .*unet3d"):
        train(replace(recipe, network={"name": "transunet"}), folder, tmp_path / "out")


def test_another_recipe_does_not_continue_a_training(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    train(steps(recipe, 1), folder, tmp_path / "out")
    with pytest.raises(InputError, match=r"trained by another recipe; choose another --output"):
        train(steps(recipe, 2), folder, tmp_path / "out")


def test_time_ends_a_training_with_its_schedule(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    checkpoint = train(steps(recipe, 100_000), folder, tmp_path / "out", max_minutes=1 / 60)
    assert 1 < checkpoint.step < 1000
    assert 1 <= checkpoint.seconds < 10
    assert checkpoint.optimizer["param_groups"][0]["lr"] < 0.2 * recipe.optimization.learning_rate


def test_fixed_norms_compute_what_inference_computes_and_the_rest_still_learns(recipe: Recipe) -> None:
    network, image = build_network(recipe), torch.randn(2, 1, 16, 16, 16)
    set_training_mode(network, fixed_norm=False)
    network(image)  # gives the norms statistics of their own
    before = {name: values.clone() for name, values in network.state_dict().items()}
    set_training_mode(network, fixed_norm=True)
    training = network(image)
    training.sum().backward()
    assert torch.equal(training, network.eval()(image))
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    assert all(weights.grad is not None for weights in network.parameters())


def test_the_learning_rate_rises_and_falls(recipe: Recipe) -> None:
    factors = [learning_rate_factor(done / 100, recipe.optimization) for done in range(101)]
    assert factors[0] > 0
    assert max(factors) == pytest.approx(factors[5]) == pytest.approx(1)
    assert factors[:6] == sorted(factors[:6])
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert factors[-1] == pytest.approx(0, abs=1e-9)


def test_a_missing_or_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no checkpoint .*train first"):
        load_checkpoint(tmp_path / CHECKPOINT)
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="is not a readable checkpoint"):
        load_checkpoint(tmp_path / CHECKPOINT)
