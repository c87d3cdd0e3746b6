# SPDX-License-Identifier: Apache-2.0
"""Labels as an octree of occupied cells, in the bytes that OctoMap reads: for planners that keep clear of a map.

The layout is OctoMap's binary format (Hornung et al., Autonomous Robots 2013, its class OccupancyOcTreeBase): inner
nodes in depth-first order, two bytes each, of which two bits say what each of the eight children is.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.volume import LabelVolume

#: Levels of the tree below its root; the cell at the origin has the key `_MIDDLE` along each axis.
_DEPTH = 16
_MIDDLE = 1 << (_DEPTH - 1)
#: What two bits say: a leaf that is occupied, a child that has children.
_OCCUPIED, _INNER = 2, 3
_ALL_OCCUPIED = sum(_OCCUPIED << 2 * child for child in range(8))


def occupied_cells(labels: LabelVolume, values: NDArray[np.uint8], resolution_m: float) -> NDArray[np.int64]:
    """The cells in which there are parts of voxels with these values: `(N, 3)` of whole numbers, each once.

    Cell (x, y, z) reaches from x to x + 1 times the resolution along the axes of LPS. Voxels that are larger than a
    cell are divided, so that there are no gaps between their cells.
    """
    parts = [math.ceil(mm / MM_PER_M / resolution_m) for mm in labels.geometry.spacing_mm]
    offsets = np.array(list(product(*((np.arange(n) + 0.5) / n - 0.5 for n in parts))))  # (P, 3) along i, j, k
    wanted = np.zeros(256, bool)
    wanted[values] = True
    found = [np.zeros((0, 3), np.int64)]
    for k, plane in enumerate(labels.array):
        j, i = np.nonzero(wanted[plane])
        if not len(i):
            continue
        index = np.stack([i, j, np.full(len(i), k)], axis=1)
        places_m = labels.geometry.index_to_ros((index[:, None] + offsets).reshape(-1, 3))
        found.append(np.unique(np.floor(places_m / resolution_m).astype(np.int64), axis=0))
    return np.unique(np.concatenate(found), axis=0)


def octree_bytes(cells: NDArray[np.int64]) -> bytes:
    """The tree of these cells `(N, 3)`, as OctoMap's `writeBinaryData` has it: eight occupied children become one leaf.

    Raises `InputError` for cells that are too far from the origin.
    """
    keys = cells + _MIDDLE
    if keys.size and not (keys.min() >= 0 and keys.max() < 2 * _MIDDLE):
        raise InputError(f"an octree reaches {_MIDDLE} cells from the origin; take a coarser resolution")
    occupied, inner = np.unique(_interleaved(keys)), np.zeros(0, np.int64)
    codes, depths, records = [], [], []
    for depth in range(_DEPTH - 1, -1, -1):
        children = np.concatenate([occupied, inner])
        kind = np.repeat([_OCCUPIED, _INNER], [len(occupied), len(inner)])
        nodes, of_child = np.unique(children >> 3, return_inverse=True)
        record = np.zeros(len(nodes), np.int64)
        np.add.at(record, of_child, kind << 2 * (children & 7))
        whole = (record == _ALL_OCCUPIED) & (depth > 0)
        occupied, inner = nodes[whole], nodes[~whole]
        codes.append(inner << 3 * (_DEPTH - depth))
        depths.append(np.full(len(inner), depth))
        records.append(record[~whole])
    depth_first = np.lexsort([np.concatenate(depths), np.concatenate(codes)])
    tree = np.concatenate(records)[depth_first]
    return (tree if len(tree) else np.zeros(1, np.int64)).astype("<u2").tobytes()  # an empty tree is a root alone


def _interleaved(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bits of x, y and z in turn, x lowest: what is a child's number at each level, the root's highest."""
    code = np.zeros(len(keys), np.int64)
    for bit in range(_DEPTH):
        for axis in range(3):
            code |= ((keys[:, axis] >> bit) & 1) << (3 * bit + axis)
    return code
