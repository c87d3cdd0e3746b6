"""The connected parts of a structure, of a tumor its lesions, and their voxels and surfaces as points.

Parts are connected through faces, edges and corners of voxels (26-neighborhood).
"""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.reconstruction.masks import PAD, StructureMask, structure_mask
from liver_seg_ros.volume import LabelVolume


def lesions(labels: LabelVolume) -> tuple[StructureMask, ...]:
    """The connected parts of the tumor, largest first: the order in which measurements and planning number them."""
    tumor = structure_mask(labels, TUMOR)
    return () if tumor is None else connected_parts(tumor)


def connected_parts(mask: StructureMask) -> tuple[StructureMask, ...]:
    """Each connected part of a structure in its own box, most voxels first."""
    parts = cc3d.connected_components(mask.array, connectivity=26)
    statistics = cc3d.statistics(parts)
    voxels = statistics["voxel_counts"][1:].astype(np.int64)
    cut = []
    for number in np.argsort(-voxels, kind="stable"):
        k, j, i = (s.indices(n) for s, n in zip(statistics["bounding_boxes"][number + 1], parts.shape, strict=True))
        # The mask has PAD layers of background, so that the part's box can grow by as much.
        box = Box((i[0], j[0], k[0]), (i[1], j[1], k[1])).padded((PAD, PAD, PAD), mask.geometry.size)
        cut.append(StructureMask(mask.structure, parts[box.slices] == number + 1, mask.geometry.crop(box)))
    return tuple(cut)


def voxel_points(mask: StructureMask) -> NDArray[np.float64]:
    """`(N, 3)` LPS mm: the centers of all voxels of `mask`."""
    return mask.geometry.index_to_lps(np.argwhere(mask.array)[:, ::-1])


def surface_points(mask: StructureMask) -> NDArray[np.float64]:
    """`(F, 3)` LPS mm: the centers of all faces between a voxel of `mask` and one that is not.

    Each lies on the surface of the voxels and within half a voxel's diagonal of the surface that they stand for.
    """
    faces = []
    for axis in range(3):
        array = np.moveaxis(mask.array, axis, 0)
        low = np.argwhere(array[1:] != array[:-1]).astype(np.float64)
        low[:, 0] += 0.5
        faces.append(np.insert(low[:, 1:], axis, low[:, 0], axis=1))  # back to (k, j, i)
    return mask.geometry.index_to_lps(np.concatenate(faces)[:, ::-1])
