# SPDX-License-Identifier: Apache-2.0
"""Losses that are no one paper's own.

In all of them: z the logits `(B, C, *size)`, computed in float32; p = softmax(z); y the one-hot target; v a voxel of
the batch, all B images together; c a class; F the classes behind the background; `*size` is `(D, H, W)` or `(H, W)`.
They take target values for granted; a `losses.Loss` checks them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.losses.cldice import SoftclDiceLoss
from monai.losses.dice import DiceCELoss, DiceLoss
from monai.losses.tversky import TverskyLoss
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from liver_seg_ros.errors import InputError


def dice_and_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus one minus the mean soft Dice of the foreground classes (Isensee et al. 2021, nnU-Net).

        CE(z, target) + 1 - mean_{c in F} (2 sum_v p_cv y_cv + s) / (sum_v p_cv + sum_v y_cv + s)

    The smoothing s = 20 voxels is less than the smallest tumors have, and lets a class that a batch does not have cost
    little.

    Args:
        logits: `(B, C, *size)`, any float type; computed in float32.
        target: `(B, *size)` int64, 0 to C - 1.

    Returns:
        A scalar, 0 for a perfect and certain answer.
    """
    loss = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True, smooth_nr=20.0, smooth_dr=20.0
    )
    value: Tensor = loss(logits.float(), target.unsqueeze(1))
    return value


def soft_dice(logits: Tensor, target: Tensor, *, background: bool = False, smoothing: float = 1e-5) -> Tensor:
    """One minus the mean soft Dice of the classes (Milletari et al. 2016, arXiv:1606.04797, without their squares).

        1 - mean_{c in F} (2 sum_v p_cv y_cv + s) / (sum_v p_cv + sum_v y_cv + s)

    A class that a batch does not have costs 1 - s / (sum_v p_cv + s): with a small s nearly 1 for any answer, and with
    a gradient that is finite and nearly 0.

    Args:
        logits: `(B, C, *size)`.
        target: `(B, *size)` int64.
        background: its Dice counts too.
        smoothing: s, in voxels.
    """
    loss = DiceLoss(include_background=background, batch=True, smooth_nr=smoothing, smooth_dr=smoothing)
    value: Tensor = loss(probabilities(logits), one_hot_target(logits, target))
    return value


def deep_supervision(
    logits: Tensor,
    sides: Sequence[Tensor],
    target: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 0.5,
) -> Tensor:
    """The mean over a network's answer and its side outputs of Dice + CE / 2 (Zhou et al. 2018, section 3.2).

    For networks whose coarser or earlier nodes have answers of their own: UNet++ and UNet 3+.

    Args:
        logits: of the answer, `(B, C, *size)`.
        sides: of the other nodes, each of the same shape.
        target: `(B, *size)` int64.
        dice_weight: of `soft_dice`.
        cross_entropy_weight: of the cross-entropy.

    Raises:
        InputError: a side output of another shape.
    """
    for side in sides:
        if side.shape != logits.shape:
            raise InputError(f"a side output of shape {tuple(side.shape)} does not fit logits {tuple(logits.shape)}")
    each = [
        dice_weight * soft_dice(map_, target) + cross_entropy_weight * weighted_cross_entropy(map_, target)
        for map_ in (logits, *sides)
    ]
    return torch.stack(each).mean()


def weighted_cross_entropy(logits: Tensor, target: Tensor, *, class_weights: Sequence[float] | None = None) -> Tensor:
    """Cross-entropy, -sum_v w_c(v) log p_c(v)v / sum_v w_c(v) with c(v) the true class of voxel v.

    Args:
        logits: `(B, C, *size)`.
        target: `(B, *size)` int64.
        class_weights: w, one per class; all 1 if not given.
    """
    if class_weights is None:
        return cross_entropy(logits.float(), target)
    if len(class_weights) != logits.shape[1] or min(class_weights) < 0:
        raise InputError(f"class_weights must be {logits.shape[1]} numbers from 0 upward, not {tuple(class_weights)}")
    weights = torch.tensor(tuple(class_weights), dtype=torch.float32, device=logits.device)
    # A batch of nothing but classes of weight 0 has no loss; torch's mean would be 0/0.
    total = weights[target].sum().clamp(min=torch.finfo(torch.float32).tiny)
    return cross_entropy(logits.float(), target, weights, reduction="sum") / total


def class_balanced_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of each class against the rest, the rarer side weighing more (Xie & Tu 2015, equation 2).

        -1/V sum_c sum_v [b_c y_cv log p_cv + (1 - b_c) (1 - y_cv) log(1 - p_cv)],  b_c = 1 - sum_v y_cv / V

    with V voxels in the batch. A class that the batch does not have, or that fills it, costs nothing: patches of
    background alone teach nothing.

    Args:
        logits: `(B, C, *size)`.
        target: `(B, *size)` int64.
    """
    truth = one_hot_target(logits, target)
    voxels = (0, *range(2, logits.ndim))
    rarity = 1 - truth.mean(voxels, keepdim=True)  # (1, C, 1, ...)
    log_p, log_not_p = log_probabilities(logits)
    likelihood = rarity * truth * log_p + (1 - rarity) * (1 - truth) * log_not_p
    return -likelihood.sum(1).mean()


def tversky(
    logits: Tensor, target: Tensor, *, alpha: float = 0.3, beta: float = 0.7, smoothing: float = 1e-5
) -> Tensor:
    """One minus the mean Tversky index of the classes (Salehi et al. 2017, arXiv:1706.05721, equation 3).

        1 - mean_{c in F} (TP + s) / (TP + alpha FP + beta FN + s)
        TP = sum_v p_cv y_cv    FP = sum_v p_cv (1 - y_cv)    FN = sum_v (1 - p_cv) y_cv

    alpha = beta = 1/2 is soft Dice; beta > alpha favors recall.

    Args:
        logits: `(B, C, *size)`.
        target: `(B, *size)` int64.
        alpha: weight of false positives.
        beta: weight of false negatives.
        smoothing: s, in voxels.
    """
    loss = TverskyLoss(
        include_background=False, alpha=alpha, beta=beta, batch=True, smooth_nr=smoothing, smooth_dr=smoothing
    )
    value: Tensor = loss(probabilities(logits), one_hot_target(logits, target))
    return value


def soft_cl_dice(logits: Tensor, target: Tensor, *, vessel: int | None = None, iterations: int = 3) -> Tensor:
    """One minus the soft centerline Dice of the vessels (Shit et al. 2021, arXiv:2003.07311, algorithm 2).

        1 - 2 Tprec Tsens / (Tprec + Tsens)
        Tprec = (sum_v s(p)_v y_v + 1) / (sum_v s(p)_v + 1)    Tsens = (sum_v s(y)_v p_v + 1) / (sum_v s(y)_v + 1)

    with s the soft skeleton, erosions and openings of the map by minimum and maximum filters (algorithm 1), and p, y
    the vessel's maps; the mean over the images of the batch.

    Args:
        logits: `(B, C, *size)`.
        target: `(B, *size)` int64.
        vessel: class of the vessels; the last if not given, as in every recipe that has them.
        iterations: erosions; at least the radius of the thickest vessel, in voxels.

    Raises:
        InputError: there is no such class.
    """
    vessel = logits.shape[1] - 1 if vessel is None else vessel
    if not (isinstance(vessel, int) and 0 < vessel < logits.shape[1]):
        raise InputError(
            f"vessel {vessel} is no structure: the classes behind the background are 1 to {logits.shape[1] - 1}"
        )
    p = probabilities(logits)[:, vessel : vessel + 1]
    y = (target == vessel).unsqueeze(1).to(p.dtype)
    value: Tensor = SoftclDiceLoss(iter_=iterations)(p, y)
    return value


def dice_and_cl_dice(
    logits: Tensor, target: Tensor, *, weight: float = 0.5, vessel: int | None = None, iterations: int = 3
) -> Tensor:
    """(1 - w) `soft_dice` + w `soft_cl_dice` (Shit et al. 2021, equation 3); they found w from 0.1 to 0.5 to work.

    Args:
        logits: `(B, C, *size)`.
        target: `(B, *size)` int64.
        weight: w, 0 to 1.
        vessel: class of the vessels; the last if not given, as in every recipe that has them.
        iterations: see `soft_cl_dice`.

    Raises:
        InputError: w above 1, or no such class.
    """
    if weight > 1:
        raise InputError(f"weight {weight} must be from 0 to 1")
    lines = soft_cl_dice(logits, target, vessel=vessel, iterations=iterations)
    return (1 - weight) * soft_dice(logits, target) + weight * lines


def probabilities(logits: Tensor) -> Tensor:
    """p, in float32."""
    return torch.softmax(logits.float(), dim=1)


def one_hot_target(logits: Tensor, target: Tensor) -> Tensor:
    """y, `(B, C, *size)` float32."""
    return one_hot(target, logits.shape[1]).movedim(-1, 1).float()


def log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log(1 - p), `(B, C, *size)` float32 each, finite for any finite logits.

    log(1 - p_c) is taken from the other classes' logits: 1 - p itself is 0 in float32 once p is certain.
    """
    z = logits.float()
    total = z.logsumexp(1, keepdim=True)
    others = [torch.cat([z[:, :c], z[:, c + 1 :]], 1).logsumexp(1, keepdim=True) for c in range(z.shape[1])]
    return z - total, torch.cat(others, 1) - total
