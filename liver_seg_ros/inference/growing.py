# SPDX-License-Identifier: Apache-2.0
"""The organ after a little more of the CT counts, without looking at all of it again."""

from __future__ import annotations

from collections.abc import Iterator

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box
from liver_seg_ros.inference.bodies import ANY_NEIGHBOR
from liver_seg_ros.inference.bundle import Postprocessing
from liver_seg_ros.inference.postprocessing import Organ
from liver_seg_ros.inference.region import Region
from liver_seg_ros.labels import LIVER, TUMOR


def grown_organ(organ: Organ, seen: NDArray[np.uint8], added: Region, options: Postprocessing) -> Organ | None:
    """What `find_organ` finds where the voxels of `added` count too, if that can be told from what is around them.

    A body of liver grows by what of `added` touches it. That is all where no tumor is there, whose contact with the
    liver would have to be measured anew; where it touches no other body; and where it has more than half of all liver,
    so that no other can be larger.

    Args:
        organ: of what counted before; not changed.
        seen: `(K, J, I)` the labels of its box, also where they do not count.
        added: what counts from now on, in the same box.
        options: as `find_organ` had them.

    Returns:
        None where all has to be looked at.
    """
    if not organ.mask.any():
        return None
    grown = Organ(organ.labels.copy(), organ.mask.copy())
    whole = "one_liver" not in options.steps
    for crop, inside in _places(added):
        if (seen[crop] == TUMOR.value).any():
            return None
        labels, mask = grown.labels[crop], grown.mask[crop]  # views
        labels += seen[crop] * inside
        liver = labels == LIVER.value
        bodies, count = cc3d.connected_components(liver, connectivity=ANY_NEIGHBOR, return_N=True)
        joined = np.full(count + 1, whole)
        joined[bodies[mask]] = True
        joined[0] = False
        larger = joined[bodies]
        if (larger & ~mask & ~inside).any():
            return None
        mask |= larger
    liver = grown.labels == LIVER.value
    if not whole and 2 * np.count_nonzero(grown.mask & liver) <= np.count_nonzero(liver):
        return None
    return grown


def _places(region: Region) -> Iterator[tuple[tuple[slice, slice, slice], NDArray[np.bool_]]]:
    """Each part of a region that hangs together: where in its box, with a voxel around it, and its voxels there."""
    parts, count = cc3d.connected_components(region.mask, connectivity=ANY_NEIGHBOR, return_N=True)
    of_voxel = [region.coarse_index(axis) for axis in (2, 1, 0)]  # rising
    for part in range(1, count + 1):
        coarse = Box.around(parts == part)
        assert coarse is not None  # each part has a voxel
        first, last = coarse.start[::-1], coarse.stop[::-1]
        crop = []
        for index, start, stop in zip(of_voxel, first, last, strict=True):
            begin, end = np.searchsorted(index, (start, stop)).tolist()
            crop.append(slice(max(0, begin - 1), min(len(index), end + 1)))
        k, j, i = crop
        inside = parts[np.ix_(of_voxel[0][k], of_voxel[1][j], of_voxel[2][i])] == part
        if inside.any():
            yield (k, j, i), inside
