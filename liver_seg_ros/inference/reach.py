# SPDX-License-Identifier: Apache-2.0
"""Which voxels lie further from an organ than a length.

A distance transform tells the distance of every voxel, of which only whether it exceeds a few millimetres is asked, and
of a few voxels at that. Looking around those, the nearest places first, takes a third of its time for 3 mm.
"""

from __future__ import annotations

from math import floor

import edt
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry

#: Looking at a voxel's neighbor takes about this many times as long as a distance transform takes for a voxel.
_LOOK_BY_TRANSFORM = 0.25


def further_than(
    organ: NDArray[np.bool_], candidates: NDArray[np.bool_], geometry: Geometry, reach_mm: float
) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: which of the `candidates` are more than `reach_mm` away from `organ`, center to center.

    Args:
        organ, candidates: `(K, J, I)` bool, no voxel in both.
        geometry: their grid.
        reach_mm: from 0 upward.
    """
    further = np.zeros_like(candidates)
    box = Box.around(candidates)
    if box is None:
        return further
    around = box.padded(geometry.voxels_over(reach_mm), geometry.size).slices
    near, asked = organ[around], candidates[around]
    spacing_mm = geometry.spacing_mm[::-1]
    offsets = _ball(spacing_mm, reach_mm)
    if len(offsets) * np.count_nonzero(asked) * _LOOK_BY_TRANSFORM > near.size:
        further[around] = asked & (edt.edt(~near, anisotropy=spacing_mm, parallel=0) > reach_mm)
        return further
    margin = np.abs(offsets).max(axis=0, initial=0)
    ends = [(n, n) for n in margin]
    padded = np.pad(near, ends)
    steps = offsets @ np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    left = np.flatnonzero(np.pad(asked, ends))  # of all axes at once it takes three times as long
    flat = padded.reshape(-1)
    for step in steps.tolist():
        left = left[~flat[left + step]]
    flat[...] = False
    flat[left] = True
    inner = tuple(slice(n, n + size) for n, size in zip(margin, near.shape, strict=True))
    further[around] = padded[inner]
    return further


def _ball(spacing_mm: tuple[float, ...], reach_mm: float) -> NDArray[np.int64]:
    """`(N, 3)`: offsets `(k, j, i)` in voxels at most `reach_mm` long, the shortest first, without zero."""
    axes = [np.arange(-floor(reach_mm / s), floor(reach_mm / s) + 1) for s in spacing_mm]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.linalg.norm(offsets * spacing_mm, axis=1).astype(np.float32)
    inside = (lengths <= np.float32(reach_mm)) & (lengths > 0)
    order = np.argsort(lengths[inside], kind="stable")
    found: NDArray[np.int64] = offsets[inside][order]
    return found
