"""What the training minimizes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot


def dice_and_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus one minus the mean soft Dice of the foreground classes (Isensee et al. 2021, nnU-Net).

        loss = CE(logits, target) + 1 - mean_c (2 sum_v p_cv y_cv + s) / (sum_v p_cv + sum_v y_cv + s)

    with p = softmax(logits), y the one-hot target, v all voxels of the batch together, c the classes behind the
    background. The smoothing s = 20 voxels is less than the smallest tumors have, and lets a class that a batch
    does not have cost little.

    Args:
        logits: `(B, C, D, H, W)`, any float type; computed in float32.
        target: `(B, D, H, W)` int64, 0 to C - 1.

    Returns:
        A scalar, 0 for a perfect and certain answer.
    """
    logits = logits.float()
    probability = torch.softmax(logits, dim=1)[:, 1:]
    truth = one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:].to(logits.dtype)  # (B, C - 1, D, H, W)
    voxels = (0, 2, 3, 4)
    smoothing = 20.0
    overlap = 2 * (probability * truth).sum(voxels) + smoothing
    sizes = probability.sum(voxels) + truth.sum(voxels) + smoothing
    return cross_entropy(logits, target) + 1 - (overlap / sizes).mean()
