# SPDX-License-Identifier: Apache-2.0
"""The centerline of a mask: one voxel thin, with as many parts, loops and cavities as the mask has.

Border voxels are taken away from six sides in turn until none can be, as in Lee et al. 1994 (CVGIP 56:462). A voxel may
go when it is simple, that is when its removal changes no topology (Malandain & Bertrand 1992): its foreground neighbors
form one part (26-connected), and the background beside it too (6-connected, among the 18 nearest). The end of a line
stays. Voxels whose coordinates have the same parities are never neighbors, so each of those eight groups is judged at
once. (scikit-image 0.26's `skeletonize` deletes compact parts of even width altogether: of a 4x4x4 cube nothing stays.)
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.mask_pairs import Mask

_OFFSETS = np.array([o for o in itertools.product((-1, 0, 1), repeat=3) if any(o)])  # (26, 3)
_STEPS = np.abs(_OFFSETS).sum(1)  # 1: shares a face with the center, 2: an edge, 3: a corner
_APART = np.abs(_OFFSETS[:, None] - _OFFSETS[None])  # (26, 26, 3)
_FACE = _STEPS == 1
_WITHIN_18 = _STEPS <= 2
_TOUCH_26 = (_APART.max(2) <= 1).astype(np.float32)  # each touches itself
_TOUCH_6 = (_APART.sum(2) <= 1).astype(np.float32)
_BITS = 1 << np.arange(26)


def centerline(mask: Mask) -> Mask:
    """The skeleton of a bool array of two or three dimensions, of the same shape."""
    if mask.ndim not in (2, 3):
        raise InputError(f"a mask of {mask.ndim} dimensions has no centerline: give 2 or 3")
    volume = np.pad(mask.reshape((1,) * (3 - mask.ndim) + mask.shape), 1)
    flat = volume.reshape(-1)
    k, j, i = np.nonzero(volume)
    points = np.ravel_multi_index((k, j, i), volume.shape)
    group = (k % 2) * 4 + (j % 2) * 2 + i % 2
    strides = np.array([volume.shape[1] * volume.shape[2], volume.shape[2], 1])
    offsets = _OFFSETS @ strides
    count = -1
    while count != len(points):
        count = len(points)
        for side in offsets[_FACE]:
            at = np.flatnonzero(~flat[points + side])
            at = at[flat[points[at][:, None] + offsets].sum(1) > 1]  # ends are told before the sweep makes new ones
            for parity in range(8):
                candidates = points[at[group[at] == parity]]
                flat[candidates[_is_simple(flat[candidates[:, None] + offsets])]] = False
            left = flat[points]
            points, group = points[left], group[left]
    return volume[1:-1, 1:-1, 1:-1].reshape(mask.shape)


def _is_simple(neighbors: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Per row of `(n, 26)`: does the topology stay when the voxel in the middle goes?"""
    _, first, inverse = np.unique(neighbors @ _BITS, return_index=True, return_inverse=True)
    rows = neighbors[first]  # neighborhoods repeat: each is judged once
    outside = ~rows & _WITHIN_18
    simple = _is_one_part(rows, rows, _TOUCH_26) & _is_one_part(outside, outside & _FACE, _TOUCH_6)
    of_each: NDArray[np.bool_] = simple[inverse]
    return of_each


def _is_one_part(
    members: NDArray[np.bool_], needed: NDArray[np.bool_], touch: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Per row: are all `needed` (at least one) reached from the first of them by steps within `members`?"""
    reached: NDArray[np.bool_] = np.zeros_like(members)
    rows = np.arange(len(members))
    reached[rows, needed.argmax(1)] = needed.any(1)
    before = np.ones_like(reached)
    while not np.array_equal(before, reached):
        before = reached
        reached = (reached.astype(np.float32) @ touch > 0) & members
    count = needed.sum(1)
    one: NDArray[np.bool_] = (count > 0) & (count == (needed & reached).sum(1))
    return one
