# SPDX-License-Identifier: Apache-2.0
"""The weights that a training begins with: random ones, a bundle's, or what fits of another training's."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.lineage import told_once
from liver_seg_ros.training.checkpoint import Checkpoint, load_checkpoint
from liver_seg_ros.training.provenance import together
from liver_seg_ros.training.recipe import CHECKPOINT_SUFFIX

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beginning:
    """What a training begins with.

    Attributes:
        with_weights_of: in words, and what that was trained on; empty for random weights.
        images: whose images were seen then or are seen now, one of `TRAINING_DATA`.
    """

    with_weights_of: str
    images: str

    @staticmethod
    def of(checkpoint: Checkpoint, images: str) -> Beginning:
        """That of a training which goes on; one from before it was written down is of the same recipe."""
        is_known = bool(checkpoint.source or checkpoint.began_with)
        return Beginning(checkpoint.began_with, checkpoint.images if is_known else images)


def began_with(network: nn.Module, initial: str | None, images: str, level: int = logging.INFO) -> Beginning:
    """Put the weights of a recipe's `initial` into `network`.

    Args:
        network: its weights are replaced.
        initial: as in the recipe; None leaves the weights random.
        images: what else it is trained on.
        level: at which the log tells what was taken; what is missing of it is told as a warning from INFO on.

    Raises:
        InputError: a bundle of another network, or a checkpoint of which nothing fits.
    """
    if initial is None:
        return Beginning("", images)
    if initial.endswith(CHECKPOINT_SUFFIX):
        return _from_checkpoint(network, Path(initial), images, level)
    from liver_seg_ros.training.initial_weights import load_initial_weights  # needs ONNX

    bundle = load_bundle(Path(initial))
    error = load_initial_weights(network, bundle)
    spec = bundle.spec
    _log.log(level, "took the weights of %s %s (logits differ by %.1g)", spec.name, spec.version, error)
    words = f"{spec.name} {spec.version} ({told_once(spec.trained_on.rstrip('.'))})"
    return Beginning(words, together(images, spec.training_data))


def _from_checkpoint(network: nn.Module, path: Path, images: str, level: int) -> Beginning:
    """Take what has the same name and shape; the rest (a head of another size) stays random, and is told."""
    checkpoint, own = load_checkpoint(path), network.state_dict()
    fitting = {n: w for n, w in checkpoint.weights.items() if n in own and own[n].shape == w.shape}
    learned = {name for name, _ in network.named_parameters()}
    if not learned & {*fitting}:
        raise InputError(
            f"{path} holds the weights of '{checkpoint.recipe.network['name']}', and none of them fits this network"
        )
    with torch.no_grad():
        network.load_state_dict(fitting, strict=False)
    left_out = sorted(learned - {*fitting})
    if left_out:
        level = level if level < logging.INFO else logging.WARNING
        _log.log(level, "begins with random weights, for %s has none that fit: %s", path, ", ".join(left_out))
    rest = f", without {', '.join(left_out)}" if left_out else ""
    source = checkpoint.source or "images that nobody wrote down"
    words = f"'{checkpoint.recipe.network['name']}' after {checkpoint.step} steps ({source}{rest})"
    return Beginning(words, together(images, checkpoint.images))
