# SPDX-License-Identifier: Apache-2.0
"""Bodies of voxels that hang together: the one that holds the most of something, holes in them, and small ones.

Components are found once per question; their sizes are counted at the voxels that are asked about, which are few, and
not in the whole array.
"""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box

#: Voxels that touch by a face, an edge or a corner hang together; vessels one voxel wide often meet only so.
ANY_NEIGHBOR = 26
#: What touches by a face alone. A lesion is counted so (`evaluation.lesions`, as LiTS does): a voxel at the corner of a
#: tumor would be a lesion of its own.
FACES = 6

#: Every so many voxels along each axis are asked first which body they belong to.
_SAMPLED = 4


def body_with_most(mask: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: the body of `mask` with the most voxels of `counted`, which lie in it; all False if none is."""
    bodies, count = cc3d.connected_components(mask, connectivity=ANY_NEIGHBOR, return_N=True)
    if count <= 1:
        return mask if count and counted.any() else np.zeros_like(mask)
    # Mostly one body holds more than half of all, and a sample tells which.
    sample = (slice(None, None, _SAMPLED),) * mask.ndim
    sampled = np.bincount(bodies[sample][counted[sample]], minlength=2)
    likely: NDArray[np.bool_] = bodies == np.argmax(sampled)
    if sampled.any() and 2 * np.count_nonzero(likely & counted) > np.count_nonzero(counted):
        return likely
    voxels = np.bincount(bodies[counted], minlength=2)
    return bodies == np.argmax(voxels) if voxels.any() else np.zeros_like(mask)


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: `mask` and its holes, which no way by faces leads out of to the array's border."""
    spaces, count = cc3d.connected_components(~mask, connectivity=FACES, return_N=True)
    is_open = np.zeros(count + 1, bool)
    for axis in range(mask.ndim):
        for face in (0, -1):
            is_open[spaces.take(face, axis=axis)] = True
    is_open[0] = False
    if is_open[1:].all():
        return mask
    if np.count_nonzero(is_open) == 1:
        inside: NDArray[np.bool_] = spaces != np.argmax(is_open)
        return inside
    return ~is_open[spaces]


def small_bodies(mask: NDArray[np.bool_], least_voxels: int, connectivity: int) -> NDArray[np.intp]:
    """`(N,)`: where in the flat array the voxels are of bodies of `mask` that have fewer than `least_voxels`."""
    nothing = np.empty(0, np.intp)
    box = Box.around(mask)
    if box is None or least_voxels <= 1:
        return nothing
    inner = mask[box.slices]
    bodies = cc3d.connected_components(inner, connectivity=connectivity)
    places = np.flatnonzero(inner)
    body_of = bodies.reshape(-1)[places]
    small = places[(np.bincount(body_of) < least_voxels)[body_of]]
    if not small.size:
        return nothing
    index = np.unravel_index(small, inner.shape)
    return np.ravel_multi_index(tuple(n + s.start for n, s in zip(index, box.slices, strict=True)), mask.shape)
