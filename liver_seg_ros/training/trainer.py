# SPDX-License-Identifier: Apache-2.0
"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.metrics import DiceCounter
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.networks import NETWORKS
from liver_seg_ros.training.case_dataset import cut
from liver_seg_ros.training.cases import Case, class_of_values
from liver_seg_ros.training.checkpoint import Checkpoint, build_network, load_checkpoint, save_checkpoint
from liver_seg_ros.training.distillation import Distillation, distillation_of
from liver_seg_ros.training.initial_weights import load_initial_weights
from liver_seg_ros.training.losses import create_loss
from liver_seg_ros.training.patch_source import Batch, PatchSource
from liver_seg_ros.training.provenance import together
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.slices import ONE_SLICE, is_of_slices, with_neighbors

CHECKPOINT = "checkpoint.pt"

_LOG_EVERY = 20
_REFRESH_EVERY = 100
_SLICES_AT_ONCE = 8
_WARM_UP = 0.05  # share of the training in which the learning rate rises

_log = logging.getLogger(__name__)


class Trainer:
    """Trains the network of a recipe and keeps its checkpoint in a folder; goes on where an earlier run ended.

    Args:
        recipe: what to train.
        output: the folder of `checkpoint.pt`.
        training: where the patches come from.
        validation: cases whose Dice is logged; may be empty.
        max_minutes: the training ends after this time, earlier runs included, even where the recipe has more steps.

    Raises:
        InputError: the network or loss of the recipe cannot be built, its initial weights are none of it, or `output`
            holds a training by another recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        output: Path,
        training: PatchSource,
        validation: Mapping[int, Case],
        max_minutes: float = math.inf,
    ) -> None:
        self._recipe, self._plan = recipe, recipe.optimization
        _check_fits(recipe)
        self._path = output / CHECKPOINT
        self._training, self._validation = training, validation
        self._max_seconds = max_minutes * 60
        torch.manual_seed(self._plan.seed)
        self._layout = torch.channels_last if is_of_slices(recipe) else torch.channels_last_3d
        self._network = build_network(recipe).to(memory_format=self._layout)  # type: ignore[call-overload]
        self._loss = create_loss(**recipe.loss)
        self._optimizer = torch.optim.AdamW(self._network.parameters(), weight_decay=self._plan.weight_decay)
        self._step, self._seconds = 0, 0.0
        self._scores: dict[str, float] = {}
        self._began_with, self._images = "", training.provenance.images
        if self._path.exists():
            self._resume(load_checkpoint(self._path))
        elif recipe.initial is not None:
            initial = load_bundle(Path(recipe.initial))
            load_initial_weights(self._network, initial)
            self._images = together(self._images, initial.spec.training_data)
            self._began_with = f"{initial.spec.name} {initial.spec.version} ({initial.spec.trained_on.rstrip('.')})"
        self._distillation: Distillation | None = None
        self._taught_by = ""
        if recipe.distillation is not None:
            teacher = load_checkpoint(Path(recipe.distillation["teacher"]) / CHECKPOINT)
            self._distillation = distillation_of(recipe.distillation, teacher.network(), self._network)
            self._images = together(self._images, teacher.images)
            images = teacher.source or "images that nobody wrote down"
            self._taught_by = f"; taught by '{teacher.recipe.network['name']}', which was trained on {images}"

    def run(self) -> Checkpoint:
        """Train to the end, or to the end of the time, and return the last checkpoint, which is on disk as well."""
        before, started = self._seconds, time.monotonic()
        losses: list[float] = []
        while self._done() < 1:
            losses.append(self._train_step())
            self._step += 1
            self._seconds = before + time.monotonic() - started
            if self._step % _LOG_EVERY == 0:
                self._report(float(np.mean(losses)))
                losses.clear()
            if self._step % _REFRESH_EVERY == 0:
                self._training.refresh()
            if self._step % self._plan.validate_every == 0 and self._done() < 1:
                self._validate_and_save()
        return self._validate_and_save()

    def _train_step(self) -> float:
        # The step's own random state: a resumed training draws what an uninterrupted one would have drawn.
        batch = self._training.batch(np.random.default_rng((self._plan.seed, self._step)))
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.learning_rate * learning_rate_factor(self._done())
        set_training_mode(self._network, fixed_norm=self._done() >= self._plan.fixed_norm_from)
        loss = self._loss_of(batch)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), max_norm=5.0)
        self._optimizer.step()
        return float(loss.item())

    def _loss_of(self, batch: Batch) -> Tensor:
        # A loss that reads more than logits (scales, edges) gets all that the network gives.
        needs_more = self._loss.outputs != ("logits",) and hasattr(self._network, "outputs")
        network = self._network.outputs if needs_more else self._network
        prediction = self._run(network, torch.from_numpy(batch.images))
        epoch = self._step * self._plan.batch // len(self._training)  # a patch per case is an epoch
        loss = self._loss(prediction, torch.from_numpy(batch.labels), epoch)
        if self._distillation is None:
            return loss
        logits = prediction if isinstance(prediction, Tensor) else prediction.logits
        return loss + self._distillation(torch.from_numpy(batch.images), logits)

    def _run(self, network: Callable[[Tensor], Any], images: Tensor) -> Any:
        """`(B, 1, K, J, I)` float32 to logits `(B, C, K, J, I)`, or to the network's outputs; of slices without K."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self._plan.precision == "bfloat16"):
            return network(images.contiguous(memory_format=self._layout))

    def _validate_and_save(self) -> Checkpoint:
        if self._validation:
            self._scores = self._validate()
            _log.info("step %d: Dice %s", self._step, ", ".join(f"{n} {s:.3f}" for n, s in self._scores.items()))
        provenance = self._training.provenance
        checkpoint = Checkpoint(
            self._recipe,
            self._network.state_dict(),
            self._optimizer.state_dict(),
            self._step,
            self._seconds,
            len(self._training),
            self._scores,
            self._began_with,
            self._images,
            f"{provenance.source}{self._taught_by}",
            dict(provenance.data),
        )
        save_checkpoint(self._path, checkpoint)
        return checkpoint

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Dice per structure over whole cases, each run in one window or slice by slice."""
        self._network.eval()
        counter, class_of = DiceCounter(self._recipe.labels), class_of_values(self._recipe)
        for case in self._validation.values():
            k, j, i = case.labels.shape
            counter.add(self._classes(case)[:k, :j, :i], class_of[case.labels])
        return counter.scores()

    def _classes(self, case: Case) -> NDArray[np.int64]:
        """`(K, J, I)` the likeliest class of a case's voxels, and of those that fill it up to the network's sizes."""
        multiple = int(getattr(self._network, "size_multiple", 1))
        size = [-(-n // multiple) * multiple for n in case.image.shape]
        if not is_of_slices(self._recipe):
            image = normalize(cut(case.image, (0, 0, 0), size), self._recipe.data.hu_window)
            return self._run(self._network, torch.from_numpy(image)[None, None]).argmax(dim=1)[0].numpy()
        image = normalize(cut(case.image, (0, 0, 0), (len(case.image), *size[1:])), self._recipe.data.hu_window)
        stacks = np.ascontiguousarray(with_neighbors(image, self._recipe.data.neighbors))
        parts = torch.from_numpy(stacks).split(_SLICES_AT_ONCE)
        return np.concatenate([self._run(self._network, part).argmax(dim=1).numpy() for part in parts])

    def _done(self) -> float:
        """How much of the training is done, 0.0 to 1.0, by steps or by time, whichever is further."""
        return max(self._step / self._plan.steps, self._seconds / self._max_seconds)

    def _report(self, loss: float) -> None:
        per_step, done = self._seconds / self._step, 100 * min(1.0, self._done())
        _log.info(
            "step %d: loss %.4f, %.0f %% done, %.0f s, %.2f s per step, %d cases",
            *(self._step, loss, done, self._seconds, per_step, len(self._training)),
        )

    def _resume(self, checkpoint: Checkpoint) -> None:
        if asdict(checkpoint.recipe) != asdict(self._recipe):
            raise InputError(f"{self._path} was trained by another recipe; choose another --output or remove it")
        self._network.load_state_dict(checkpoint.weights)
        self._optimizer.load_state_dict(checkpoint.optimizer)
        self._step, self._seconds, self._scores = checkpoint.step, checkpoint.seconds, checkpoint.scores
        self._began_with = checkpoint.began_with
        if checkpoint.source or checkpoint.began_with:  # else from before it was written down: of the same recipe
            self._images = checkpoint.images
        _log.info("resumed at step %d", self._step)


def _check_fits(recipe: Recipe) -> None:
    """Raise `InputError` where the network takes other inputs than this training feeds it."""
    name = recipe.network["name"]
    spec = NETWORKS.get(name)
    if spec is None:
        return  # said where it is built
    if spec.inputs != ("image",):
        raise InputError(f"network '{name}' takes {' and '.join(spec.inputs)}, and this training feeds images alone")
    if len(spec.size) == 2 and not is_of_slices(recipe):
        volumetric = ", ".join(sorted(other for other, row in NETWORKS.items() if len(row.size) == 3))
        raise InputError(
            f"network '{name}' takes slices, and this training feeds volumes; there are {volumetric}; for slices give "
            f"optimization.patch: [i, j, {ONE_SLICE}]"
        )
    if len(spec.size) == 3 and is_of_slices(recipe):
        raise InputError(f"network '{name}' takes volumes; give an optimization.patch of more than {ONE_SLICE} slice")


def set_training_mode(network: nn.Module, fixed_norm: bool) -> None:
    """Put `network` into training mode; with `fixed_norm` its batch norms go on using the statistics they have."""
    network.train()
    if fixed_norm:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def learning_rate_factor(done: float) -> float:
    """Share of the peak learning rate when `done` (0 to 1) of the training is: a linear rise, then half a cosine."""
    if done < _WARM_UP:
        return (done + 0.001) / (_WARM_UP + 0.001)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - _WARM_UP) / (1 - _WARM_UP))))
