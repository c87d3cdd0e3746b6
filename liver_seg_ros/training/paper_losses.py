# SPDX-License-Identifier: Apache-2.0
"""What each of the five papers minimizes, equation by equation.

Symbols as in `common_losses`. Sums over voxels in the papers' cross-entropies are means here, so that a weight does not
depend on the size of the patch. Paper 2 (UCA-Net, section 3.1) trains with plain Dice: `common_losses.soft_dice`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool2d, max_pool3d

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.common_losses import (
    class_balanced_cross_entropy,
    log_probabilities,
    one_hot_target,
    probabilities,
    soft_dice,
    tversky,
    weighted_cross_entropy,
)


def transfusionnet(
    logits: Tensor, target: Tensor, *, dice_weight: float = 1.0, cross_entropy_weight: float = 0.5
) -> Tensor:
    """Paper 1 (TransFusionNet), section II-E, equation 8: lambda1 Dice + lambda2 CE.

    The paper gives no lambdas; 1 and 0.5 are those of the authors' code, which has binary cross-entropy for CE.

    Args:
        logits: `(B, C, *size)`.
        target: `(B, *size)` int64.
        dice_weight: lambda1.
        cross_entropy_weight: lambda2.
    """
    return dice_weight * soft_dice(logits, target) + cross_entropy_weight * weighted_cross_entropy(logits, target)


def transfusionnet_edge(
    logits: Tensor,
    edge_logits: Tensor,
    target: Tensor,
    *,
    epoch: int = 0,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 0.5,
    edge_weight: float = 0.2,
    shape_weight: float = 0.1,
    shape_from_epoch: int = 100,
    structures: Sequence[int] | None = None,
) -> Tensor:
    """Paper 1 (TransFusionNet with the edge module), section II-E, equation 11, the sum of

        equation 8   lambda1 Dice + lambda2 CE, see `transfusionnet`
        equation 9   lambda3 BCE(e, edge_map(target)), e = sigmoid(edge_logits)
        equation 10  lambda4 ||(sum_{c in structures} p_c) e - e||, lambda4 = 0 before epoch 100

    The regularizer asks that an edge lie on a structure. Its "Sigmoid(+y)", y summed without the background, "outputs a
    label map containing the predicted region": the probability of being in any structure, which in the authors' code,
    with a sigmoid for each structure, is a sigmoid, and after a softmax is the sum of the structures' p. A sigmoid of
    that sum would lie between 1/2 and 0.73 and charge a perfect answer; one of summed logits depends on their common
    offset, which a softmax does not have. Open in the paper: the weights (lambda3 = 0.2 is that of the
    authors' code, which has no regularizer; 0.1 was chosen for lambda4) and the norm (here the mean of absolute values,
    which has a gradient everywhere).

    Args:
        logits: `(B, C, H, W)` or `(B, C, D, H, W)`.
        edge_logits: of the edge map, `(B, 1, *size)`.
        target: `(B, *size)` int64.
        epoch: of the training, from 0.
        dice_weight: lambda1.
        cross_entropy_weight: lambda2.
        edge_weight: lambda3.
        shape_weight: lambda4 from `shape_from_epoch` on.
        shape_from_epoch: see there.
        structures: classes whose edges count; all behind the background if not given. The paper's are tumor and vessel.

    Raises:
        InputError: an edge map of another shape, or a structure that is no class.
    """
    classes = tuple(range(1, logits.shape[1])) if structures is None else tuple(structures)
    if not classes or min(classes) < 1 or max(classes) >= logits.shape[1]:
        raise InputError(f"structures {classes} must be some of the classes 1 to {logits.shape[1] - 1}")
    expected = (logits.shape[0], 1, *logits.shape[2:])
    if edge_logits.shape != expected:
        raise InputError(
            f"an edge map of shape {tuple(edge_logits.shape)} does not fit these logits: it must be {expected}"
        )
    edge_logits = edge_logits.float()
    loss = transfusionnet(
        logits, target, dice_weight=dice_weight, cross_entropy_weight=cross_entropy_weight
    ) + edge_weight * binary_cross_entropy_with_logits(edge_logits, edge_map(target, classes))
    if epoch < shape_from_epoch:
        return loss
    e = torch.sigmoid(edge_logits)
    on_structure = probabilities(logits)[:, list(classes)].sum(1, keepdim=True)
    return loss + shape_weight * (on_structure * e - e).abs().mean()


def edge_map(target: Tensor, classes: Sequence[int]) -> Tensor:
    """1 on the voxels of each class that touch another label by face, edge or corner; the image's border is no label.

    `(B, *size)` int64 to `(B, 1, *size)` float32: paper 1's edge label (section II-C, figure 4d).
    """
    pool = max_pool2d if target.ndim == 3 else max_pool3d
    masks = torch.stack([target == c for c in classes], 1).float()  # (B, len(classes), *size)
    beside = pool(1 - masks, kernel_size=3, stride=1, padding=1)  # 1 where some neighbor is outside the mask
    return (masks * beside).amax(1, keepdim=True)


def unet_aspp(
    logits: Tensor,
    target: Tensor,
    *,
    dice_weight: float = 0.3,
    cross_entropy_weight: float = 0.7,
    class_weights: Sequence[float] | None = None,
) -> Tensor:
    """Paper 3 (UNet-ASPP and TransUNet with attention), section 5: 0.3 L_D + 0.7 L_E.

        L_D = 1/N sum_c (1 - (2 sum_v p_cv y_cv + s) / (sum_v p_cv + sum_v y_cv + s)), s = 0.00001
        L_E = -1/N sum_c y_c log p_c, of each voxel; its mean over the voxels

    with N classes, the background included. The authors' code weighs its classes (background, liver, tumor) 1, 2 and 4,
    which the paper does not say: `class_weights`; and its L_E lacks the 1/N.

    Args:
        logits: `(B, C, *size)`.
        target: `(B, *size)` int64.
        dice_weight: of L_D.
        cross_entropy_weight: of L_E.
        class_weights: of L_E, one per class; all 1 if not given.
    """
    entropy = weighted_cross_entropy(logits, target, class_weights=class_weights) / logits.shape[1]
    return dice_weight * soft_dice(logits, target, background=True) + cross_entropy_weight * entropy


def threedynet(logits: Tensor, target: Tensor, *, smoothing: float = 1e-5, as_printed: bool = False) -> Tensor:
    """Paper 4 (3DYNet), section 2.1, equation 3: L_DL + L_CE, with c the classes behind the background.

        equation 1  L_DL = 1 - (2 sum_v sum_c p_cv y_cv + s) / (sum_v sum_c (p_cv + y_cv) + s)
        equation 2  L_CE = -1/V sum_v sum_c [y_cv log p_cv + (1 - y_cv) log(1 - p_cv)]

    The classes share one Dice, in which the liver outweighs the tumor. Equation 1 is printed without the 2, so that a
    perfect answer still costs 1/2; the review it cites (Ma et al. 2021) has it. Equation 2's r_n is taken for y_n.

    Args:
        logits: `(B, C, *size)`.
        target: `(B, *size)` int64.
        smoothing: s, in voxels; the paper gives no value.
        as_printed: equation 1 without the 2.
    """
    p, y = probabilities(logits)[:, 1:], one_hot_target(logits, target)[:, 1:]
    factor = 1 if as_printed else 2
    dice = (factor * (p * y).sum() + smoothing) / ((p + y).sum() + smoothing)
    log_p, log_not_p = (part[:, 1:] for part in log_probabilities(logits))
    return 1 - dice - (y * log_p + (1 - y) * log_not_p).sum(1).mean()


def mpunet(
    logits: Tensor,
    scales: Sequence[Tensor],
    target: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    cross_entropy_weight: float = 1.0,
    balanced: bool = True,
) -> Tensor:
    """Paper 5 (MPU-Net), section 3.4, equation 19: Tversky of the fused map, and cross-entropy of each scale.

        tversky(P) - lambda sum_{m=0..3} 1/V sum_v sum_c [y_cv log p_cv^m + (1 - y_cv) log(1 - p_cv^m)]

    Open in the paper: alpha and beta (those of Salehi et al. 2017, whom it cites), lambda, and the class balance, which
    the text names and the equation lacks (the weights of `class_balanced_cross_entropy`; `balanced=False` is the
    equation as printed). Its log(1 - log P) is taken for log(1 - P). For more than two classes, each against the rest.

    Args:
        logits: of the fused map P, `(B, C, *size)`.
        scales: logits of each scale brought to the input's size, `(B, C, *size)` each.
        target: `(B, *size)` int64.
        alpha: weight of false positives.
        beta: weight of false negatives.
        cross_entropy_weight: lambda.
        balanced: weigh the classes of the cross-entropy by their rarity.

    Raises:
        InputError: a scale of another shape.
    """
    for scale in scales:
        if scale.shape != logits.shape:
            raise InputError(f"a scale of shape {tuple(scale.shape)} does not fit logits {tuple(logits.shape)}")
    entropy = class_balanced_cross_entropy if balanced else _binary_cross_entropies
    total = sum((entropy(scale, target) for scale in scales), start=logits.new_zeros((), dtype=torch.float32))
    return tversky(logits, target, alpha=alpha, beta=beta) + cross_entropy_weight * total


def _binary_cross_entropies(logits: Tensor, target: Tensor) -> Tensor:
    """-1/V sum_v sum_c [y log p + (1 - y) log(1 - p)], over all classes."""
    y = one_hot_target(logits, target)
    log_p, log_not_p = log_probabilities(logits)
    return -(y * log_p + (1 - y) * log_not_p).sum(1).mean()
