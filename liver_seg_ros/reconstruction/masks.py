# SPDX-License-Identifier: Apache-2.0
"""Which voxels a structure's surface and measurements are made of, cut out of the volume.

A tumor or a vessel is its own label. The liver is the *organ*, as LiTS counts it: the surgeon sees and the planner
needs a hull that encloses tumors and the vessels inside it, not a parenchyma with tunnels. Vessel voxels outside the
organ (the trunk of the portal vein, the vena cava) stay out of the hull.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import edt
import fill_voids
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Box, Geometry, Vector
from liver_seg_ros.labels import LIVER, LIVER_VESSELS, TUMOR, Structure
from liver_seg_ros.reconstruction.borders import at_borders
from liver_seg_ros.reconstruction.components import connected_components
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume

#: Background voxels around a mask: what touches the volume's border is closed there like anywhere else.
PAD = 1

#: How far around a vessel distances are taken first: most are thinner than this.
_REACH_MM = 10.0

#: Voxels that are looked for in trees at most. A liver at 0.75 mm has a million at its borders and in its vessels.
_MOST_IN_TREES = 4_000_000

_IS_VESSEL = np.isin(np.arange(256), [structure.value for structure in LIVER_VESSELS])  # by voxel value

#: What a voxel is to its neighbors, by its value.
_OUTSIDE_KIND, _ORGAN_KIND, _VESSEL_KIND = 0, 1, 2
_KIND = np.where(_IS_VESSEL, _VESSEL_KIND, np.isin(np.arange(256), (LIVER.value, TUMOR.value))).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class StructureMask:
    """The voxels of one structure in its own box.

    Attributes:
        structure: the row of the label table.
        array: `(K, J, I)` bool, with `PAD` layers of background on all sides.
        geometry: the grid of `array`; at the volume's border it reaches `PAD` voxels beyond the volume.
    """

    structure: Structure
    array: NDArray[np.bool_]
    geometry: Geometry

    __repr__ = short_repr

    @cached_property
    def filled(self) -> NDArray[np.bool_]:
        """`(K, J, I)` bool: the mask with its enclosed holes filled; kept, as surfaces and measurements take it."""
        return fill_voids.fill(self.array)

    @staticmethod
    def padded(structure: Structure, array: NDArray[np.bool_], geometry: Geometry) -> StructureMask:
        """The mask of voxels `array` on `geometry`, to which the layers of background are added here."""
        return StructureMask(structure, np.pad(array, PAD), geometry.padded((PAD, PAD, PAD)))


def labelled_box(labels: LabelVolume) -> LabelVolume:
    """The box of all labelled voxels, sharing memory; `labels` itself where there are none.

    Masks of several structures are taken from this, because most of a CT is background.
    """
    box = Box.around(labels.array)
    return labels if box is None else labels.crop(box)


def structure_mask(labels: LabelVolume, structure: Structure) -> StructureMask | None:
    """The voxels of `structure` (for the liver: of the organ, see the module); None where there are none."""
    if structure == LIVER:
        parenchyma = (labels.array == LIVER.value) | (labels.array == TUMOR.value)
        # Labels of tumors and vessels alone, as some data sets have, say nothing of the organ around them.
        box = Box.around(parenchyma) if (labels.array == LIVER.value).any() else None
        if box is None:
            return None
        crop = labels.array[box.slices]
        mask = parenchyma[box.slices] | _enclosed_vessel(crop, labels.geometry.spacing_mm)
    else:
        mask = labels.mask(structure.value)
        box = Box.around(mask)
        if box is None:
            return None
        mask = mask[box.slices]
    return StructureMask.padded(structure, mask, labels.geometry.crop(box))


def _enclosed_vessel(crop: NDArray[np.uint8], spacing_mm: Vector) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: vessel voxels to which liver or tumor is nearer than anything outside the organ.

    `crop` is the box of liver and tumor, so that everything beyond its border is outside. Distances are taken around
    each connected vessel where that is less than half of the box, and everywhere otherwise.
    """
    k, j, i = crop.shape
    everywhere = Box((0, 0, 0), (i, j, k))
    vessel = _IS_VESSEL[crop]
    vessels = connected_components(vessel)
    margin = np.ceil(_REACH_MM / np.array(spacing_mm)).astype(int)
    if (vessels.sizes + 2 * margin).prod(axis=1).sum() * 2 > crop.size:
        return vessel & _nearer_to_organ(crop, everywhere, everywhere, spacing_mm)[0]
    enclosed = np.zeros_like(vessel)
    for box in map(vessels.box, range(len(vessels))):
        window = box.padded(tuple(margin.tolist()), everywhere.size)
        nearer, known = _nearer_to_organ(crop, window, box, spacing_mm)
        if not known[vessel[box.slices]].all():  # thicker than the margin
            return vessel & _nearer_to_organ(crop, everywhere, everywhere, spacing_mm)[0]
        enclosed[box.slices] |= vessel[box.slices] & nearer
    return enclosed


def _nearer_to_organ(
    crop: NDArray[np.uint8], window: Box, box: Box, spacing_mm: Vector
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of the vessel voxels in `box`: whether liver or tumor is nearer than what is outside, and where that is certain.

    Only what lies in `window` around the box is looked at, and its border taken for the outside: that is certain for
    voxels which have one of the two no further away than the border is. Elsewhere both are False.

    What is nearest to a vessel voxel has a neighbor of another kind on the way to it. So these voxels alone are put
    into trees and asked for; noise has too many, for which distances are transformed everywhere.
    """
    kinds = _KIND[crop[window.slices]]
    inner = tuple(
        slice(own.start - around.start, own.stop - around.start)
        for own, around in zip(box.slices, window.slices, strict=True)
    )
    borders = np.flatnonzero(at_borders(kinds))
    asked = np.flatnonzero(kinds[inner] == _VESSEL_KIND)
    if len(borders) + len(asked) > _MOST_IN_TREES:
        k_j_i_mm = spacing_mm[::-1]
        inside, organ_or_outside = kinds != _OUTSIDE_KIND, kinds != _ORGAN_KIND
        to_outside = edt.edt(inside, anisotropy=k_j_i_mm, black_border=True, parallel=2)[inner].reshape(-1)[asked]
        to_organ = edt.edt(organ_or_outside, anisotropy=k_j_i_mm, black_border=False, parallel=2)
        to_organ = to_organ[inner].reshape(-1)[asked]
    else:
        of_kind = kinds.reshape(-1)[borders]
        places = np.stack(np.unravel_index(asked, kinds[inner].shape), axis=1) + [s.start for s in inner]  # (N, 3)
        to_organ = _distances_mm(borders[of_kind == _ORGAN_KIND], places, kinds.shape, spacing_mm, np.inf)
        furthest_mm = float(to_organ.max(initial=0.0)) * 1.001  # no outside is looked for beyond that
        outside = borders[of_kind == _OUTSIDE_KIND]
        to_outside = _distances_mm(outside, places, kinds.shape, spacing_mm, furthest_mm)
        to_border = np.minimum(places + 1, np.array(kinds.shape) - places) * spacing_mm[::-1]
        to_outside = np.minimum(to_outside, to_border.min(axis=1))
    nearer, known = np.zeros((2, *kinds[inner].shape), bool)
    nearer.reshape(-1)[asked] = to_organ <= to_outside * (1 + 1e-6)  # equal ones are rounded either way
    known.reshape(-1)[asked] = np.minimum(to_organ, to_outside) <= _REACH_MM
    return nearer, known


def _distances_mm(
    voxels: NDArray[np.intp], places: NDArray[np.intp], shape: tuple[int, ...], spacing_mm: Vector, most_mm: float
) -> NDArray[np.float64]:
    """`(N,)` from `places` `(N, 3)` to the nearest of `voxels` `(V,)`, flat places; infinite beyond `most_mm`."""
    if not len(voxels):
        return np.full(len(places), np.inf)
    k_j_i_mm = spacing_mm[::-1]
    points_mm = np.stack(np.unravel_index(voxels, shape), axis=1) * k_j_i_mm
    tree = cKDTree(points_mm, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(places * k_j_i_mm, distance_upper_bound=most_mm)[0], np.float64)
