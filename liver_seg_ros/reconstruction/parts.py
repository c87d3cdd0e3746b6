# SPDX-License-Identifier: Apache-2.0
"""The connected parts of a structure, of a tumor its lesions, and their voxels and surfaces as points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.reconstruction.components import Components, connected_components
from liver_seg_ros.reconstruction.masks import PAD, StructureMask, structure_mask
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume

#: Surfaces of more faces are thinned (`cell_edge`). The vessels of a liver at 0.75 mm have less than a million, its
#: capsule half a million; labels that are noise have hundreds of millions, and no memory holds them as points.
MOST_FACES = 2_000_000


@dataclass(frozen=True, eq=False)
class Parts:
    """The connected parts of a structure, most voxels first; counted at once, cut out one by one when asked for.

    Attributes:
        mask: of the structure.
        components: of its voxels.
        order: `(P,)` places of the parts among the components, the largest first.
    """

    mask: StructureMask
    components: Components
    order: NDArray[np.int64]

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> StructureMask:
        """The part at this place in its own box, with `PAD` layers of background."""
        # The mask has PAD layers of background, so that the part's box can grow by as much.
        component = self.order[place]
        box = self.components.box(component).padded((PAD, PAD, PAD), self.mask.geometry.size)
        array = self.components.numbers[box.slices] == component + 1
        return StructureMask(self.mask.structure, array, self.mask.geometry.crop(box))

    def __iter__(self) -> Iterator[StructureMask]:
        return (self[place] for place in range(len(self)))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """`(P, 3)`: voxels of each part's box along `(i, j, k)`."""
        return self.components.sizes[self.order]


def lesions(labels: LabelVolume) -> Parts:
    """The connected parts of the tumor, largest first: the order in which measurements and planning number them."""
    nothing = StructureMask(TUMOR, np.zeros((1, 1, 1), bool), Geometry((1, 1, 1)))
    return connected_parts(structure_mask(labels, TUMOR) or nothing)


def connected_parts(mask: StructureMask) -> Parts:
    """The connected parts of a structure, most voxels first."""
    components = connected_components(mask.array)
    return Parts(mask, components, np.argsort(-components.voxels, kind="stable"))


def voxel_points(mask: StructureMask) -> NDArray[np.float64]:
    """`(N, 3)` LPS mm: the centers of all voxels of `mask`."""
    return mask.geometry.index_to_lps(np.argwhere(mask.array)[:, ::-1])


def surface_points(mask: StructureMask, cell: int = 1) -> NDArray[np.float64]:
    """`(F, 3)` LPS mm: the centers of all faces between a voxel of `mask` and one that is not.

    Each lies on the surface of the voxels and within half a voxel's diagonal of the surface that they stand for.

    With a `cell` above 1, one point stands for all faces in a cube of so many voxels an edge: its middle, from which
    they are half of the cube's diagonal away at most.
    """
    if cell > 1:
        cells = np.argwhere(_cells_with_faces(mask.array, cell))
        return mask.geometry.index_to_lps(((cells + 0.5) * cell - 0.5)[:, ::-1])
    faces = []
    for axis in range(3):
        array = np.moveaxis(mask.array, axis, 0)
        low = np.argwhere(array[1:] != array[:-1]).astype(np.float64)
        low[:, 0] += 0.5
        faces.append(np.insert(low[:, 1:], axis, low[:, 0], axis=1))  # back to (k, j, i)
    return mask.geometry.index_to_lps(np.concatenate(faces)[:, ::-1])


def cell_edge(mask: StructureMask) -> int:
    """The `cell` with which `surface_points` gives at most about `MOST_FACES`: 1, which is exact, where it can be."""
    axes = (np.moveaxis(mask.array, axis, 0) for axis in range(3))
    faces = sum(np.count_nonzero(array[1:] != array[:-1]) for array in axes)
    return 1 if faces <= MOST_FACES else max(2, ceil((mask.array.size / MOST_FACES) ** (1 / 3)))


def _cells_with_faces(array: NDArray[np.bool_], cell: int) -> NDArray[np.bool_]:
    """Which cubes of `cell` voxels an edge hold a face that lies above one of their voxels, on any axis."""
    found = np.zeros([ceil(n / cell) for n in array.shape], bool)
    for axis in range(3):
        moved = np.moveaxis(array, axis, 0)
        faces = np.zeros_like(moved)
        faces[:-1] = moved[1:] != moved[:-1]
        faces = np.moveaxis(faces, 0, axis)
        for reduced in range(3):
            faces = np.logical_or.reduceat(faces, np.arange(0, faces.shape[reduced], cell), axis=reduced)
        found |= faces
    return found
