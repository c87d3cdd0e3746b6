# SPDX-License-Identifier: Apache-2.0
"""Labels under a Gaussian, structure by structure: y = G * argmax(o), equation 17 of Meng et al. (TransFusionNet).

The paper does not say how wide its filter is, nor what becomes of the classes under it. Here each structure that is
asked for is smoothed by itself, and what it loses goes to whatever surrounds it. A vessel of few voxels' width does not
survive a Gaussian of a voxel or more, so nothing is smoothed unless someone asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bundle import MAX_GAUSSIAN_MM
from liver_seg_ros.labels import BACKGROUND, LIVER, LIVER_VESSELS, SEGMENTED, TUMOR, VESSEL

#: Where the Gaussian is cut off, in standard deviations.
_REACH = 3.0

_IN_THE_LIVER = np.zeros(256, bool)
_IN_THE_LIVER[[LIVER.value, TUMOR.value, *(vessel.value for vessel in LIVER_VESSELS)]] = True


def parse_smoothing(wanted: Iterable[str]) -> dict[str, float]:
    """`tumor=1.5` and the like as {structure: mm}. Raises `InputError` where one is no such thing."""
    lengths = {}
    for text in wanted:
        name, _, value = text.partition("=")
        try:
            lengths[name] = float(value)
        except ValueError:
            lengths[name] = float("nan")
    return dict(check_smoothing(lengths))


def check_smoothing(gaussian_mm: Mapping[str, float]) -> Mapping[str, float]:
    """`gaussian_mm` itself. Raises `InputError` where it names what cannot be smoothed, or a length that is none."""
    names = [structure.name for structure in SEGMENTED]
    for name, length in gaussian_mm.items():
        if name not in names or not 0 <= length <= MAX_GAUSSIAN_MM:
            raise InputError(
                f"'{name}={length:g}' is no smoothing; give one of {', '.join(names)} and a length from 0 to "
                f"{MAX_GAUSSIAN_MM:g} mm, e.g. {TUMOR.name}=1"
            )
    return gaussian_mm


def smooth_labels(labels: NDArray[np.uint8], geometry: Geometry, gaussian_mm: Mapping[str, float]) -> NDArray[np.uint8]:
    """`labels` with the structures named in `gaussian_mm` smoothed; the same array where there are none.

    Smoothed is where a structure's mask under the Gaussian is above one half. "liver" is the organ with all that lies
    in it. A tumor lies over a vessel, a vessel over the liver. What a tumor or a vessel loses is liver where liver, and
    what lies in it, outweighs the background under the same Gaussian.

    Args:
        labels: `(K, J, I)` uint8, not changed.
        geometry: its grid.
        gaussian_mm: {structure: standard deviation}; 0 leaves it as it is.
    """
    smoothed = labels
    for structure in (LIVER, VESSEL, TUMOR):  # what lies over the others is the last
        sigma_mm = gaussian_mm.get(structure.name, 0.0)
        mask = _IN_THE_LIVER[labels] if structure is LIVER else labels == structure.value
        box = Box.around(mask) if sigma_mm > 0 else None
        if box is None:
            continue
        reach = [ceil(_REACH * sigma_mm / spacing_mm) + 1 for spacing_mm in geometry.spacing_mm]
        around = box.padded((reach[0], reach[1], reach[2]), geometry.size).slices
        if smoothed is labels:
            smoothed = labels.copy()
        sigma = [sigma_mm / spacing_mm for spacing_mm in reversed(geometry.spacing_mm)]
        _smooth_one(smoothed[around], labels[around], mask[around], structure.value, sigma)
    return smoothed


def _smooth_one(
    result: NDArray[np.uint8], labels: NDArray[np.uint8], mask: NDArray[np.bool_], value: int, sigma: list[float]
) -> None:
    """Write one structure, smoothed, into `result`; `labels` are those from before anything was smoothed."""
    inside = _under_gaussian(mask, sigma) > 0.5
    if value == LIVER.value:
        result[inside & (labels == BACKGROUND)] = value
        result[~inside & (labels == value)] = BACKGROUND
        return
    lost = mask & ~inside & (result == value)
    if lost.any():
        liver = _under_gaussian(_IN_THE_LIVER[labels] & ~mask, sigma)
        background = _under_gaussian(labels == BACKGROUND, sigma)
        result[lost] = np.where(liver[lost] > background[lost], LIVER.value, BACKGROUND)
    below = labels == BACKGROUND
    below |= _IN_THE_LIVER[labels] if value == TUMOR.value else labels == LIVER.value
    result[inside & below] = value


def _under_gaussian(mask: NDArray[np.bool_], sigma: list[float]) -> NDArray[np.float32]:
    """Beyond the border the outermost voxels go on: a structure that the CT cuts is not rounded there."""
    field: NDArray[np.float32] = gaussian_filter(mask.astype(np.float32), sigma, mode="nearest", truncate=_REACH)
    return field
