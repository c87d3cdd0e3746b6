# SPDX-License-Identifier: Apache-2.0
"""A CT and its labels in blocks of voxels: coarse enough to look at a whole patient, fine enough for a rib."""

from __future__ import annotations

from dataclasses import dataclass

import edt
import fill_voids
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry, to_vector
from liver_seg_ros.grids import difference, reordering
from liver_seg_ros.labels import LIVER, LIVER_VESSELS, TUMOR
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.planning.air import Mask
from liver_seg_ros.planning.body import Body
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume, Volume
from liver_seg_ros.voxel_blocks import Scalar, Step, in_blocks

#: Edge of a block, about.
BLOCK_MM = 2.0

#: Markers and wires on the skin, and the air in its folds, are nothing in the body.
UNDER_SKIN_MM = 3.0

#: Enough to know how bright the liver is.
MOST_LIVER_VOXELS = 100_000

_IS_ORGAN = np.isin(np.arange(256), [structure.value for structure in (LIVER, TUMOR, *LIVER_VESSELS)])  # by value


@dataclass(frozen=True, eq=False)
class CoarseCt:
    """Blocks of a CT, in the order left, posterior, superior. Arrays are `(K, J, I)`.

    Attributes:
        geometry: the blocks' centers.
        brightest: int16, the largest HU in a block. The cortex of a rib is thinner than a block: means would lose it.
        mean: float32, HU.
        label: uint8, of the first voxel in a block.
        labelled: bool, blocks that hold any labelled voxel, and holes in the liver.
        depth_mm: float32, below the skin; 0 outside of the body.
        liver_hu: `(N,)` int16, of voxels with the liver's own label, at most about `MOST_LIVER_VOXELS` of them.
    """

    geometry: Geometry
    brightest: NDArray[np.int16]
    mean: NDArray[np.float32]
    label: NDArray[np.uint8]
    labelled: Mask
    depth_mm: NDArray[np.float32]
    liver_hu: NDArray[np.int16]

    __repr__ = short_repr

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """In the order of the arrays' axes."""
        return self.geometry.spacing_mm[::-1]

    def volume_mm3(self, parts: NDArray[np.integer], where: Mask | None = None) -> NDArray[np.float64]:
        """`(P,)` of each part, numbered from 0, or of what of it is `where`."""
        voxels = np.bincount(parts.ravel() if where is None else parts[where], minlength=int(parts.max()) + 1)
        return np.asarray(voxels * self.geometry.voxel_volume_mm3)


def coarse_ct(ct: Volume, labels: LabelVolume, body: Body) -> CoarseCt:
    """The blocks of a CT.

    Args:
        ct: in any orientation.
        labels: on the points of the CT, in any order.
        body: what `find_body` found in this CT.

    Raises:
        InputError: the labels are on other points.
    """
    reorder = reordering(labels.geometry, ct.geometry)
    if reorder is None:
        raise InputError(
            f"labels {labels.uid} are not on the grid of the CT {ct.uid}: {difference(labels.geometry, ct.geometry)}. "
            "Give the labels of this CT, or resample them to it."
        )
    value = reorder.apply(labels.array)
    i, j, k = (max(1, round(BLOCK_MM / mm)) for mm in ct.geometry.spacing_mm)
    step = (k, j, i)
    axes = to_canonical(ct.geometry)
    blocks = ct.geometry.strided((i, j, k))
    first_mm = ct.geometry.index_to_lps([(n - 1) / 2 for n in (i, j, k)])
    geometry = axes.apply_to_geometry(
        Geometry(blocks.size, blocks.spacing_mm, to_vector(first_mm), blocks.direction),
    )

    def canonical(array: NDArray[Scalar]) -> NDArray[Scalar]:
        return np.ascontiguousarray(axes.apply(array))

    return CoarseCt(
        geometry,
        canonical(in_blocks(ct.array, step, np.maximum)),
        canonical(_means(ct.array, step)),
        canonical(value[::k, ::j, ::i]),
        canonical(_labelled(value, step)),
        _depth_mm(body, geometry),
        _liver_hu(ct.array, value),
    )


def _means(hu: NDArray[np.int16], step: Step) -> NDArray[np.float32]:
    """`(K, J, I)` float32 of blocks."""
    means = in_blocks(hu, step, np.add, np.int32).astype(np.float32)
    for axis, (count, size) in enumerate(zip(step, hu.shape, strict=True)):
        voxels = np.full(means.shape[axis], count, np.float32)
        voxels[-1] = size - count * (len(voxels) - 1)
        means /= voxels.reshape([-1 if a == axis else 1 for a in range(3)])
    return means


def _labelled(value: NDArray[np.uint8], step: Step) -> Mask:
    """`(K, J, I)` bool of blocks."""
    layers = [value[first : first + step[0]] for first in range(0, len(value), step[0])]
    labelled = np.stack([in_blocks(layer, step, np.maximum)[0] > 0 for layer in layers])
    organ = np.zeros_like(labelled)
    for n in np.flatnonzero(labelled.any(axis=(1, 2))):
        organ[n] = in_blocks(_IS_ORGAN[layers[n]], step, np.logical_or)[0]
    box = Box.around(organ)
    if box is not None:
        organ[box.slices] = fill_voids.fill(organ[box.slices])
    return np.asarray(organ | labelled)


def _liver_hu(hu: NDArray[np.int16], value: NDArray[np.uint8]) -> NDArray[np.int16]:
    box = Box.around(value)
    if box is None:
        return np.empty(0, np.int16)
    is_liver = value[box.slices] == LIVER.value
    every = 1 + np.count_nonzero(is_liver) // MOST_LIVER_VOXELS
    return hu[box.slices][is_liver][::every]


def _depth_mm(body: Body, geometry: Geometry) -> NDArray[np.float32]:
    """`(K, J, I)` at the places of `geometry`, whose axes are those of the body's grid."""
    depth = edt.edt(body.inside, anisotropy=body.geometry.spacing_mm[::-1], black_border=False, parallel=2)
    ends = body.geometry.lps_to_index(geometry.index_to_lps(geometry.corners[[0, -1]]))
    nearest = [
        np.rint(np.linspace(first, last, count)).clip(0, there - 1).astype(np.intp)
        for first, last, count, there in zip(*ends, geometry.size, body.geometry.size, strict=True)
    ]
    at_skin_mm = min(body.geometry.spacing_mm) / 2  # of the outermost voxel's center, whose distance is to the next one
    return np.asarray((depth[np.ix_(*reversed(nearest))] - at_skin_mm).clip(min=0))
