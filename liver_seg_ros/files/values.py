# SPDX-License-Identifier: Apache-2.0
"""From the numbers in a file to the numbers of a `Volume` or `LabelVolume`, refusing what would not survive it."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError

_log = logging.getLogger(__name__)

INT16 = np.iinfo(np.int16)
LARGEST_LABEL = np.iinfo(np.uint16).max  # tools number up to some hundreds

# More of a CT than this share beyond the range of int16, and the file does not hold HU.
FEW_OUTSIDE = 0.01

# A label that was stored as a scaled integer or a rounded float may be this far from the whole number that it means.
LABEL_ROUNDING = 1e-3


def scaled(array: NDArray[np.generic], slope: float, intercept: float) -> NDArray[np.generic]:
    """`slope * array + intercept`: what the numbers stored in a file mean; `array` itself where that changes nothing.

    Single precision where it holds every number of the stored type, else double.
    """
    if slope == 1 and intercept == 0:
        return array
    with np.errstate(over="ignore", invalid="ignore"):  # infinity and NaN are refused with the voxels, not here
        result = np.multiply(array, slope, dtype=np.result_type(array.dtype, np.float32))
        result += intercept
    return result


def check_finite(array: NDArray[np.generic], where: str) -> None:
    """Raise `InputError` where a float `array` `(K, J, I)` holds NaN or infinity, saying how many voxels do."""
    if not np.issubdtype(array.dtype, np.floating):
        return
    bad = sum(part.size - int(np.count_nonzero(np.isfinite(part))) for part in array)
    if bad:
        raise InputError(f"{where}: {bad} of {array.size} voxels are NaN or infinite. Export the file again.")


class HuConversion:
    """Makes int16 HU of the parts of one CT, and judges in the end whether the whole was in HU.

    Args:
        where: the file or folder; starts messages.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._voxels = self._outside = 0
        self._low, self._high = np.inf, -np.inf

    def convert(self, part: NDArray[np.generic]) -> NDArray[np.int16]:
        """Finite values of any real type and shape, floats rounded to the nearest, clipped to int16."""
        rounded: NDArray[Any] = np.rint(part) if np.issubdtype(part.dtype, np.floating) else part
        low, high = float(rounded.min()), float(rounded.max())
        self._voxels += part.size
        self._low, self._high = min(self._low, low), max(self._high, high)
        if low < INT16.min or high > INT16.max:
            self._outside += int(np.count_nonzero((rounded < INT16.min) | (rounded > INT16.max)))
            rounded = np.clip(rounded, INT16.min, INT16.max)
        return rounded.astype(np.int16)

    def judge(self) -> None:
        """Say on the log that a few values were clipped; `InputError` where they were many."""
        found = (
            f"{self._outside} of {self._voxels} voxels are no Hounsfield units "
            f"(values from {self._low:g} to {self._high:g})"
        )
        if self._outside > FEW_OUTSIDE * self._voxels:
            raise InputError(f"{self._where}: {found}. Export it as CT in HU (rescale slope and intercept applied).")
        if self._outside:
            _log.warning("%s: %s and were set to %d or %d.", self._where, found, INT16.min, INT16.max)


def to_hu(array: NDArray[np.generic], where: str) -> NDArray[np.int16]:
    """`array` `(K, J, I)` of any real type as C-contiguous int16, floats rounded to the nearest.

    Returns `array` itself where it is so already. Works slice by slice, since a float CT beside its rounded copy
    would need twice 600 MB. A few values beyond int16, as metal and resampling leave them, are clipped with a warning.

    Raises:
        InputError: NaN, infinity, or too many values that are far from any Hounsfield unit.
    """
    if array.dtype == np.int16:
        return np.ascontiguousarray(array)
    check_finite(array, where)
    conversion = HuConversion(where)
    hu = np.empty(array.shape, np.int16)
    for target, part in zip(hu, array, strict=True):
        target[...] = conversion.convert(part)
    conversion.judge()
    return hu


def to_whole_numbers(array: NDArray[np.generic], where: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """`array` `(K, J, I)` of any real type as C-contiguous label values, in bytes where these are enough.

    Returns `array` itself where it is so already.

    Args:
        array: the values in the file, scaled as it says; floats that are whole but for rounding are labels too.
        where: the file; starts the message.

    Raises:
        InputError: NaN, fractions, or values that are no labels of any tool.
    """
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    check_finite(array, where)
    low, high = round(float(array.min())), round(float(array.max()))
    if low < 0 or high > LARGEST_LABEL:
        raise InputError(f"{where}: values from {low:g} to {high:g} are no labels. Give a label file.")
    labels = np.empty(array.shape, np.uint8 if high <= 255 else np.uint16)
    is_float = np.issubdtype(array.dtype, np.floating)
    for target, part in zip(labels, array, strict=True):
        target[...] = np.rint(part) if is_float else part
        if is_float and np.abs(target - part).max() > LABEL_ROUNDING:
            raise InputError(f"{where}: holds fractions, not labels. Threshold it first.")
    return labels
