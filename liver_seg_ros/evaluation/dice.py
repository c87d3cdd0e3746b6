# SPDX-License-Identifier: Apache-2.0
"""How well labels agree with the truth, structure by structure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.grids import difference, reordering
from liver_seg_ros.labels import BACKGROUND, LIVER, SEGMENTED, Structure
from liver_seg_ros.volume import LabelVolume


def dice(labels: LabelVolume, truth: LabelVolume, structures: Iterable[Structure] = SEGMENTED) -> dict[str, float]:
    """Dice coefficient per structure name, 0.0 (apart) to 1.0 (equal).

    `liver` is the organ: every labelled voxel, the tumors and vessels in it included, as LiTS scores it. The others are
    their own voxels. A structure that neither has is left out, because there Dice has no value.

    Args:
        labels: what is judged.
        truth: what is right, on the same points, in whatever order of axes.
        structures: those that the truth speaks about; a mask of the liver alone says nothing about tumors.

    Raises:
        InputError: the two lie on different points.
    """
    order = reordering(labels.geometry, truth.geometry)
    if order is None:
        raise InputError(
            f"labels and truth are not on one grid: {difference(labels.geometry, truth.geometry)}. "
            "Dice needs both on the grid of one CT."
        )
    joint = _joint_histogram(order.apply(labels.array), truth.array)
    scores = {}
    for structure in structures:
        values = slice(BACKGROUND + 1, None) if structure is LIVER else slice(structure.value, structure.value + 1)
        both, sizes = joint[values, values].sum(), joint[values].sum() + joint[:, values].sum()
        if sizes > 0:
            scores[structure.name] = float(2 * both / sizes)
    return scores


def _joint_histogram(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(256, 256): voxels with value `row` in `a` and `column` in `b`; slice by slice, without a copy of the whole."""
    joint = np.zeros(256 * 256, np.int64)
    for slice_a, slice_b in zip(a, b, strict=True):
        pairs = slice_a.astype(np.uint16) * np.uint16(256) + slice_b
        joint += np.bincount(pairs.reshape(-1), minlength=joint.size)
    return joint.reshape(256, 256)
