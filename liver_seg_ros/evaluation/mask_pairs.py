# SPDX-License-Identifier: Apache-2.0
"""What every metric asks of the two masks it compares."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError

Mask: TypeAlias = NDArray[np.bool_]


def checked_masks(answer: NDArray[Any], truth: NDArray[Any]) -> tuple[Mask, Mask]:
    """Both as bool arrays. Raises `InputError` where their shapes differ or one holds other values than 0 and 1."""
    if answer.shape != truth.shape:
        raise InputError(f"masks of shapes {answer.shape} and {truth.shape} do not lie on one grid")
    return _as_bool(answer, "answer"), _as_bool(truth, "truth")


def check_labels(array: NDArray[np.integer], classes: int) -> None:
    """Raise `InputError` naming the smallest value that is no label, where the labels are 0 to `classes` - 1."""
    if array.size and (array.min() < 0 or array.max() >= classes):
        wrong = np.unique(array[(array < 0) | (array >= classes)])
        raise InputError(f"label {wrong[0]} is not in the table, whose labels are 0 to {classes - 1}")


def _as_bool(mask: NDArray[Any], name: str) -> Mask:
    if mask.dtype == np.bool_:
        return mask
    as_bool = mask != 0
    if not np.array_equal(mask, as_bool):
        raise InputError(f"the mask `{name}` holds other values than 0 and 1: compare labels with one value first")
    return as_bool
