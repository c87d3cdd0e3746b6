"""What of a network's labels is anatomy: one liver without holes, and tumors and vessels that belong to it."""

from __future__ import annotations

from math import ceil

import cc3d
import edt
import fill_voids
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bundle import Postprocessing
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL

#: Voxels that touch by a face, an edge or a corner hang together; vessels one voxel wide often meet only so.
_ANY_NEIGHBOR = 26


#: A tumor lies in the liver: at least this share of its surface borders on liver or vessel. What a network takes for a
#: tumor in stomach, gallbladder or bowel leans against the liver with less.
_LEAST_LIVER_CONTACT = 0.5


def largest_liver(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: the connected body of liver and tumor that holds the most liver; all False where none is.

    Tumors count because a large one may cut a lobe off. Vessels do not: a vessel labeled all the way to the spleen
    would join what was mistaken for liver there.
    """
    bodies = cc3d.connected_components((labels == LIVER.value) | (labels == TUMOR.value), connectivity=_ANY_NEIGHBOR)
    liver_voxels = np.bincount(bodies[labels == LIVER.value], minlength=1)
    if liver_voxels.size < 2:
        return np.zeros(labels.shape, bool)
    largest: NDArray[np.bool_] = bodies == 1 + np.argmax(liver_voxels[1:])
    return largest


def drop_tumors_outside(labels: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """`labels` `(K, J, I)` without the tumors that hardly border on liver; the voxels become background."""
    box = Box.around(labels == TUMOR.value)
    if box is None:
        return labels
    box = box.padded((1, 1, 1), geometry.size)
    around = labels[box.slices]
    bodies, count = cc3d.connected_components(
        around == TUMOR.value, connectivity=_ANY_NEIGHBOR, return_N=True, out_dtype=np.uint32
    )
    liver, outside = count + 1, count + 2
    bodies[(around == LIVER.value) | (around == VESSEL.value)] = liver
    bodies[around == BACKGROUND] = outside
    area_mm2 = cc3d.contacts(bodies, connectivity=6, anisotropy=geometry.spacing_mm[::-1])
    is_outside = np.zeros(count + 3, bool)
    for body in range(1, count + 1):
        on_liver, on_outside = area_mm2.get((body, liver), 0.0), area_mm2.get((body, outside), 0.0)
        is_outside[body] = on_liver < _LEAST_LIVER_CONTACT * (on_liver + on_outside)
    kept = labels.copy()
    kept[box.slices][is_outside[bodies]] = BACKGROUND
    return kept


def clean_labels(labels: NDArray[np.uint8], geometry: Geometry, options: Postprocessing) -> NDArray[np.uint8]:
    """The anatomically plausible part of `labels`.

    Of what `drop_tumors_outside` leaves, kept are `largest_liver`, the tumors and vessels inside it or within
    `options.margin_mm` of it, and of these the components of at least their `options.min_volume_mm3`; a smaller one
    inside the liver becomes liver. Holes become liver too.

    Args:
        labels: `(K, J, I)` uint8, not changed.
        geometry: the grid of `labels`.
        options: as in the bundle of stage "segment".

    Returns:
        `(K, J, I)` uint8; all background where the liver is smaller than its least volume.
    """
    cleaned = np.zeros_like(labels)
    labels = drop_tumors_outside(labels, geometry)
    organ = largest_liver(labels)
    box = Box.around(organ)
    least_liver_mm3 = options.min_volume_mm3.get(LIVER.name, 0.0)
    if box is None or np.count_nonzero(organ) * geometry.voxel_volume_mm3 < least_liver_mm3:
        return cleaned
    # Nothing beyond the margin is kept, so the costly steps see only the voxels within it.
    i, j, k = (ceil(options.margin_mm / spacing_mm) for spacing_mm in geometry.spacing_mm)
    box = box.padded((i, j, k), geometry.size)
    cleaned[box.slices] = _clean_around(organ[box.slices], labels[box.slices], geometry, options)
    return cleaned


def _clean_around(
    organ: NDArray[np.bool_], labels: NDArray[np.uint8], geometry: Geometry, options: Postprocessing
) -> NDArray[np.uint8]:
    """The part of `labels` that belongs to `organ`, both `(K, J, I)`."""
    near = _within(organ, geometry, options.margin_mm)
    inside = fill_voids.fill(organ)
    kept = np.where(near | inside, labels, BACKGROUND)
    kept[(labels == LIVER.value) & ~inside] = BACKGROUND  # another, smaller liver nearby
    # Vessels that leave the liver open tunnels into it; filled along with the liver, they close over holes beside them.
    filled = fill_voids.fill(organ | (kept == VESSEL.value))
    kept[filled & (kept == BACKGROUND)] = LIVER.value
    for structure in (TUMOR, VESSEL):
        mask = kept == structure.value
        least_voxels = options.min_volume_mm3.get(structure.name, 0.0) / geometry.voxel_volume_mm3
        small = mask & ~cc3d.dust(mask, threshold=np.ceil(least_voxels), connectivity=_ANY_NEIGHBOR).astype(bool)
        kept[small] = np.where(inside[small], LIVER.value, BACKGROUND)
    return kept


def _within(organ: NDArray[np.bool_], geometry: Geometry, margin_mm: float) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: voxels in `organ` or at most `margin_mm` away from it, center to center."""
    i_mm, j_mm, k_mm = geometry.spacing_mm
    distance_mm = edt.edt(~organ, anisotropy=(k_mm, j_mm, i_mm), parallel=0)
    near: NDArray[np.bool_] = distance_mm <= margin_mm
    return near
