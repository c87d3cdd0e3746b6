# SPDX-License-Identifier: Apache-2.0
"""Labels that are noise are refused before surfaces are made of them.

Of noise no surface is small, closed and near to its voxels, and looking for one takes hours: each tunnel through a
structure keeps triangles, and each of its parts. Vessels of patients and phantoms have ten tunnels, by mistake; random
labels of 128 voxels an edge have 180 000.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import STRUCTURES, Structure
from liver_seg_ros.volume import LabelVolume

#: What is made of so much takes a minute or two.
MOST_TUNNELS = 3_000
MOST_PARTS = 10_000


def refuse_noise(labels: LabelVolume) -> None:
    """Raise `InputError` where the voxels of one structure have more than `MOST_TUNNELS` or `MOST_PARTS`."""
    there = [structure for structure in STRUCTURES if structure.value in labels.boxes]
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda structure: _refuse_noise_of(structure, labels), there):
            pass


def _refuse_noise_of(structure: Structure, labels: LabelVolume) -> None:
    mask = np.pad(labels.array[labels.boxes[structure.value]] == structure.value, 1)
    parts = _count(mask, 26)
    tunnels = 0 if parts > MOST_PARTS else parts + _count(~mask, 6) - 1 - euler_characteristic(mask)
    if parts > MOST_PARTS or tunnels > MOST_TUNNELS:
        found = f"{parts} parts" if parts > MOST_PARTS else f"{tunnels} tunnels through it"
        most = MOST_PARTS if parts > MOST_PARTS else MOST_TUNNELS
        raise InputError(
            f"the labels of {structure.title} are noise: {found}, and surfaces are made of up to {most}. Segment "
            "again, or smooth the labels."
        )


def euler_characteristic(mask: NDArray[np.bool_]) -> int:
    """Parts minus tunnels plus cavities of voxels that are connected over corners, as their vertices minus edges plus
    faces minus cubes.

    Args:
        mask: with a layer of background all around.
    """
    faces = [_joined(mask, axis) for axis in range(3)]  # between the two voxels along each axis
    edges = [_joined(faces[0], 1), _joined(faces[0], 2), _joined(faces[1], 2)]
    vertices = _joined(edges[0], 2)
    dimensions = ([vertices], edges, faces, [mask])
    counts = [sum(int(np.count_nonzero(cells)) for cells in of_dimension) for of_dimension in dimensions]
    return counts[0] - counts[1] + counts[2] - counts[3]


def _joined(cells: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Which borders between neighbors along an axis belong to one of them."""
    moved = np.moveaxis(cells, axis, 0)
    return np.moveaxis(moved[1:] | moved[:-1], 0, axis)


def _count(mask: NDArray[np.bool_], connectivity: int) -> int:
    return int(cc3d.connected_components(mask, connectivity=connectivity, return_N=True)[1])
