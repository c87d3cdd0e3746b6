# SPDX-License-Identifier: Apache-2.0
"""What a network in training says of a whole case, in one piece or by windows of the size that it is made for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from liver_seg_ros.inference.canny import canny_map
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.training.case_dataset import cut
from liver_seg_ros.training.network_inputs import EDGES, inputs_of
from liver_seg_ros.training.recipe import PICTURE, Recipe
from liver_seg_ros.training.slices import is_of_slices, with_neighbors

_SLICES_AT_ONCE = 8
_OVERLAP = 0.25


def predict_classes(network: nn.Module, image: NDArray[np.int16], recipe: Recipe) -> NDArray[np.int64]:
    """The likeliest class of each voxel of a case, `(K, J, I)` int64; see `logits_of`."""
    return np.concatenate([logits.argmax(dim=0).cpu().numpy() for logits in logits_of(network, image, recipe)])


@torch.no_grad()
def logits_of(network: nn.Module, image: NDArray[np.int16], recipe: Recipe) -> Iterator[Tensor]:
    """What the network gives for a case, from its first slices to its last.

    Args:
        network: on any device; is put into evaluation mode.
        image: of a `cases.Case`, `(K, J, I)` in HU, or `(3, J, I)` of a picture, which is one slice.
        recipe: what the network was trained by. Where it has `optimization.window`, or the network takes one size
            alone, windows slide over the case and are blended; else it is taken whole, slice by slice or as a volume.

    Yields:
        `(C, slices, J, I)`: of a network of slices some of them, else all.
    """
    network.eval()
    device = next(network.parameters()).device
    window = window_of(network, recipe)
    multiple = 1 if window else int(getattr(network, "size_multiple", 1))  # windows are filled as they need it
    # Some networks need two of their multiples along each axis, which a patch then has.
    least = [min(edge, 2 * multiple) for edge in recipe.optimization.patch[::-1]]
    size = [max(edge, -(-n // multiple) * multiple) for n, edge in zip(image.shape, least, strict=True)]
    k, j, i = image.shape
    if is_of_slices(recipe):
        size[0] = k
    volume = normalize(cut(image, (0, 0, 0), size), recipe.data.window)
    inputs = torch.from_numpy(_inputs(volume, recipe))  # (B, C, *size)
    channels = inputs.shape[1] - (len(inputs_of(recipe)) - 1)

    def run(part: Tensor) -> Tensor:
        layout = torch.channels_last if part.ndim == 4 else torch.channels_last_3d
        image, *edges = part.contiguous(memory_format=layout).split([channels, *[1] * (part.shape[1] - channels)], 1)
        logits: Tensor = network(image, *edges)
        return logits

    for part in inputs.split(_SLICES_AT_ONCE):
        logits = _logits(run, part.to(device), window)
        by_class = logits.transpose(0, 1) if is_of_slices(recipe) else logits[0]
        yield by_class[:, :k, :j, :i]


def window_of(network: nn.Module, recipe: Recipe) -> tuple[int, ...] | None:
    """Size of the windows that a case is taken by, `(D, H, W)` or `(H, W)`; None takes it whole."""
    fixed: tuple[int, ...] | None = getattr(network, "image_size", None)
    chosen = recipe.optimization.window
    if fixed is not None or chosen is None:
        return fixed
    return chosen[:2][::-1] if is_of_slices(recipe) else chosen[::-1]


def _inputs(volume: NDArray[np.float32], recipe: Recipe) -> NDArray[np.float32]:
    """`(B, C, *size)`: slices with their neighbors, one volume or one picture; edges are the last channel."""
    if recipe.stage == PICTURE:
        return volume[None]
    takes_edges = EDGES in inputs_of(recipe)
    if not is_of_slices(recipe):
        return np.stack([volume, canny_map(volume)] if takes_edges else [volume])[None]
    stacks = with_neighbors(volume, recipe.data.neighbors)
    return np.concatenate([stacks, canny_map(volume)[:, None]], axis=1) if takes_edges else np.array(stacks)


def _logits(run: Callable[[Tensor], Tensor], inputs: Tensor, window: tuple[int, ...] | None) -> Tensor:
    if window is None:
        return run(inputs)
    from monai.inferers.utils import sliding_window_inference

    logits = sliding_window_inference(
        inputs, window, 1, run, overlap=_OVERLAP, mode="gaussian", padding_mode="replicate"
    )
    return torch.as_tensor(logits)
