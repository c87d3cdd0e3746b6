# SPDX-License-Identifier: Apache-2.0
"""A training from begin to end: what is built, what Lightning is told, and what comes of it."""

from __future__ import annotations

import logging
import math
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from lightning import pytorch as lightning
from lightning.pytorch.loggers import TensorBoardLogger

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.beginning import Beginning, began_with
from liver_seg_ros.training.callbacks.averaging import Averaging
from liver_seg_ros.training.callbacks.checkpoints import Checkpoints
from liver_seg_ros.training.callbacks.clock import Clock
from liver_seg_ros.training.callbacks.log_lines import LogLines
from liver_seg_ros.training.callbacks.refreshing import Refreshing
from liver_seg_ros.training.callbacks.validation import Validation
from liver_seg_ros.training.cases import Case
from liver_seg_ros.training.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    build_network,
    load_checkpoint,
    save_checkpoint,
)
from liver_seg_ros.training.data_module import Batches
from liver_seg_ros.training.distillation import Distillation, distillation_of
from liver_seg_ros.training.hardware import Hardware
from liver_seg_ros.training.losses import create_loss
from liver_seg_ros.training.network_inputs import check_fits
from liver_seg_ros.training.network_module import NetworkModule, lay_out
from liver_seg_ros.training.origins import is_of, origins_of
from liver_seg_ros.training.patch_source import PatchSource
from liver_seg_ros.training.provenance import together
from liver_seg_ros.training.recipe import Recipe

#: Folder of the curves for TensorBoard, in that of the training.
CURVES = "curves"

_log = logging.getLogger(__name__)


class Trainer:
    """Trains the network of a recipe and keeps its checkpoint in a folder; goes on where an earlier run ended.

    Args:
        recipe: what to train.
        output: the folder of `checkpoint.pt`, the last, and `best.pt`.
        training: where the patches come from.
        validation: cases whose Dice is logged; may be empty.
        max_minutes: the training ends after this time, earlier runs included, even where the recipe has more steps.
        hardware: what it runs on.

    Raises:
        InputError: the network or loss of the recipe cannot be built, its initial weights are none of it, `output`
            holds a training by another recipe, or the hardware cannot do what is asked for.
    """

    def __init__(
        self,
        recipe: Recipe,
        output: Path,
        training: PatchSource,
        validation: Mapping[int, Case],
        max_minutes: float = math.inf,
        hardware: Hardware | None = None,
    ) -> None:
        self._recipe, self._output, self._training = recipe, output, training
        self._hardware = hardware or Hardware()
        plan = recipe.optimization
        check_fits(recipe)
        torch.manual_seed(plan.seed)
        network = build_network(recipe)
        lay_out(network)
        loss = create_loss(**recipe.loss)
        self._resumed = _earlier(output / CHECKPOINT, recipe)
        images = training.provenance.images
        self._origins = origins_of(recipe) if self._resumed is None else self._resumed.origins
        if self._resumed is None:
            self._beginning = began_with(network, recipe.initial, images)
        else:
            network.load_state_dict(self._resumed.training_weights or self._resumed.weights)
            self._beginning = Beginning.of(self._resumed, images)
        self._taught_by = ""
        distillation = None if recipe.distillation is None else self._teaching(network, recipe.distillation)
        self.module = NetworkModule(recipe, network, loss, lambda: len(training), distillation, max_minutes * 60)
        averaged = self._resumed.weights if self._resumed and self._resumed.training_weights else None
        self._averaging = None if plan.ema is None else Averaging(network, plan.ema, averaged)
        self._judged = network if self._averaging is None else self._averaging.network
        resumed = self._resumed
        scores, history, best = (resumed.scores, resumed.history, resumed.best) if resumed else ({}, [], None)
        self._validation = Validation(self._judged, validation, history, scores)
        self._checkpoints = Checkpoints(output, self._state, best)
        if resumed is not None:
            self.module.first_step, self.module.seconds = resumed.step, resumed.seconds
            self.module.cpu_seconds, self.module.optimizer_state = resumed.cpu_seconds, resumed.optimizer
            _log.info("resumed at step %d", resumed.step)
        self._max_seconds = max_minutes * 60

    def run(self) -> Checkpoint:
        """Train to the end, or to the end of the time, and return the last checkpoint, which is on disk as well."""
        earlier, plan = self._resumed, self._recipe.optimization
        if earlier is not None and (earlier.step >= plan.steps or earlier.seconds >= self._max_seconds):
            return self._said_whose(earlier)
        averaging = [] if self._averaging is None else [self._averaging]
        logger = TensorBoardLogger(self._output, name=CURVES, version="") if self._hardware.tensorboard else False
        with _quiet(), _interrupts_as_ever():
            trainer = lightning.Trainer(
                **self._hardware.options(plan.precision),
                max_epochs=1,
                accumulate_grad_batches=plan.accumulate,
                gradient_clip_val=plan.clip_norm,
                callbacks=[
                    Clock(),
                    *averaging,
                    LogLines(),
                    Refreshing(self._training),
                    self._validation,
                    self._checkpoints,
                ],
                logger=logger,
                default_root_dir=self._output,
                enable_checkpointing=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
            batches = Batches(self._recipe, self._training, self.module.first_step, self._hardware.workers)
            trainer.fit(self.module, datamodule=batches)
        last = self._checkpoints.last
        if last is None:
            raise RuntimeError("the training ended before its first checkpoint")
        return last

    def _said_whose(self, earlier: Checkpoint) -> Checkpoint:
        """A checkpoint from before it was written down whose images these are says it from now on."""
        if earlier.source:
            return earlier
        provenance = self._training.provenance
        source = f"{provenance.source}{self._taught_by}"
        told = replace(earlier, images=self._beginning.images, source=source, data=dict(provenance.data))
        save_checkpoint(self._output / CHECKPOINT, told)
        return told

    def _teaching(self, network: torch.nn.Module, options: Mapping[str, object]) -> Distillation:
        teacher = load_checkpoint(Path(str(options["teacher"])) / CHECKPOINT)
        self._beginning = Beginning(self._beginning.with_weights_of, together(self._beginning.images, teacher.images))
        images = teacher.source or "images that nobody wrote down"
        self._taught_by = f"; taught by '{teacher.recipe.network['name']}', which was trained on {images}"
        return distillation_of(options, teacher.network(), network)

    def _state(self, module: NetworkModule) -> Checkpoint:
        provenance = self._training.provenance
        return Checkpoint(
            self._recipe,
            self._judged.state_dict(),
            module.trainer.optimizers[0].state_dict(),
            module.step,
            module.seconds,
            len(self._training),
            self._validation.scores,
            self._beginning.with_weights_of,
            self._beginning.images,
            f"{provenance.source}{self._taught_by}",
            dict(provenance.data),
            {} if self._averaging is None else module.network.state_dict(),
            cpu_seconds=module.cpu_seconds,
            history=list(self._validation.history),
            origins=self._origins,
        )


def _earlier(path: Path, recipe: Recipe) -> Checkpoint | None:
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    if not is_of(checkpoint, recipe):
        raise InputError(f"{path} was trained by another recipe; choose another --output or remove it")
    return checkpoint


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's own lines on devices and workers are left out: they are no warnings of this training."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        # What the newest PyTorch has in place of its differentiable collectives, the oldest that is asked for has not.
        warnings.filterwarnings("ignore", category=FutureWarning, module="liver_seg_ros.training.gathering")
        yield


@contextmanager
def _interrupts_as_ever() -> Iterator[None]:
    """Lightning makes a `KeyboardInterrupt` an exit and ignores further ones: undone, for whoever calls this."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise end.__context__ from None
