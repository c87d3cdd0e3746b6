# SPDX-License-Identifier: Apache-2.0
"""What of a network's labels is anatomy: one liver without holes, and tumors and vessels that belong to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import ceil

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bodies import ANY_NEIGHBOR, FACES, body_with_most, filled, small_bodies
from liver_seg_ros.inference.bundle import POSTPROCESSING_STEPS, Postprocessing
from liver_seg_ros.inference.reach import further_than
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL

#: A vessel this wide, or narrower, is in the liver where liver surrounds it, however deep its middle lies.
_WIDEST_VESSEL_MM = 16.0

#: What is closed over wide vessels is closed on voxels of about this size; finer ones cost more and change nothing.
_CLOSING_VOXEL_MM = 2.0

#: A tumor lies in the liver: at least this share of its surface borders on liver or vessel. What a network takes for a
#: tumor in stomach, gallbladder or bowel leans against the liver with less. A large one that parts the liver, and has
#: the capsule on two sides, borders on it with less than half.
_LEAST_LIVER_CONTACT = 0.3


def largest_liver(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: the connected body of liver and tumor that holds the most liver; all False where none is.

    Tumors count because a large one may cut a lobe off. Vessels do not: a vessel labeled all the way to the spleen
    would join what was mistaken for liver there.
    """
    largest = np.zeros(labels.shape, bool)
    box = Box.around(labels)
    if box is None:
        return largest
    inner = labels[box.slices]
    liver = inner == LIVER.value
    largest[box.slices] = body_with_most(liver | (inner == TUMOR.value), liver)
    return largest


def drop_tumors_outside(labels: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """`labels` `(K, J, I)` without the tumors that hardly border on liver; the voxels become background."""
    box = Box.around(labels == TUMOR.value)
    if box is None:
        return labels
    box = box.padded((1, 1, 1), geometry.size)
    around = labels[box.slices]
    bodies, count = cc3d.connected_components(
        around == TUMOR.value, connectivity=ANY_NEIGHBOR, return_N=True, out_dtype=np.uint32
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


def without(options: Postprocessing, skip: Collection[str]) -> Postprocessing:
    """`options` without the steps `skip`. Raises `InputError` where there is no such step."""
    if unknown := set(skip) - set(POSTPROCESSING_STEPS):
        names = ", ".join(sorted(unknown))
        raise InputError(f"no such step of postprocessing: {names}; there are: {', '.join(POSTPROCESSING_STEPS)}")
    return replace(options, steps=tuple(step for step in options.steps if step not in skip))


@dataclass(frozen=True, eq=False)
class Organ:
    """Where the liver is, before anything is done inside it.

    Attributes:
        labels: `(K, J, I)` uint8, without the tumors that lie outside.
        mask: `(K, J, I)` bool, the liver with its tumors, without vessels: all False where it is too small to be one.
    """

    labels: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def find_organ(labels: NDArray[np.uint8], geometry: Geometry, options: Postprocessing) -> Organ:
    """The first steps of `clean_labels`, tumor_contact, one_liver and the liver's min_volume; arguments as there."""
    found = Box.around(labels)
    organ = Organ(labels.copy(), np.zeros(labels.shape, bool))
    if found is None:
        return organ
    # With a voxel around it, so that what is open in the volume is open in the crop.
    found = found.padded((1, 1, 1), geometry.size)
    crop, inner = geometry.crop(found), labels[found.slices]
    if "tumor_contact" in options.steps:
        inner = organ.labels[found.slices] = drop_tumors_outside(inner, crop)
    whole = "one_liver" not in options.steps
    mask = (inner == LIVER.value) | (inner == TUMOR.value) if whole else largest_liver(inner)
    least_mm3 = options.min_volume_mm3.get(LIVER.name, 0.0) if "min_volume" in options.steps else 0.0
    if np.count_nonzero(mask) * geometry.voxel_volume_mm3 >= least_mm3:
        organ.mask[found.slices] = mask
    return organ


def clean_labels(labels: NDArray[np.uint8], geometry: Geometry, options: Postprocessing) -> NDArray[np.uint8]:
    """The anatomically plausible part of `labels`.

    The steps, each only where `options.steps` has it:

    - tumor_contact: tumors that hardly border on the liver go (`drop_tumors_outside`).
    - one_liver: all liver but `largest_liver` goes.
    - inside_liver: tumors and vessels stay inside the liver or within `options.margin_mm` of it. A vessel's own inside
      is inside the liver as far as the vessel is; liver and vessels are closed over `_WIDEST_VESSEL_MM` for that.
    - fill_holes: holes become liver.
    - min_volume: all goes where the liver is smaller than its `options.min_volume_mm3`; a smaller component of another
      structure becomes liver inside the liver and background outside. Voxels of a tumor hang together by faces.

    Args:
        labels: `(K, J, I)` uint8, not changed.
        geometry: the grid of `labels`.
        options: as in the bundle of stage "segment".

    Returns:
        `(K, J, I)` uint8; all background where there is no liver.
    """
    return clean_organ(find_organ(labels, geometry, options), geometry, options)


def clean_organ(organ: Organ, geometry: Geometry, options: Postprocessing) -> NDArray[np.uint8]:
    """The rest of `clean_labels`; arguments as there."""
    cleaned = np.zeros_like(organ.labels)
    # Nothing beyond the margin is kept, so the costly steps see only the voxels within it. Where all is kept, there is
    # a voxel around it, so that what is open in the volume is open in the crop.
    inside = "inside_liver" in options.steps
    box = Box.around(organ.mask)
    if box is not None and not inside:
        box = Box.around(organ.labels)
    if box is None:
        return cleaned
    box = box.padded(geometry.voxels_over(options.margin_mm) if inside else (1, 1, 1), geometry.size)
    cleaned[box.slices] = _clean_around(organ.mask[box.slices], organ.labels[box.slices], geometry.crop(box), options)
    return cleaned


def _clean_around(
    organ: NDArray[np.bool_], labels: NDArray[np.uint8], geometry: Geometry, options: Postprocessing
) -> NDArray[np.uint8]:
    """The part of `labels` that belongs to `organ`, both `(K, J, I)`."""
    inside = filled(organ)
    outside = ~inside
    kept = labels.copy()
    if "one_liver" in options.steps:
        kept *= ~(outside & (labels == LIVER.value))  # another, smaller liver nearby
    if "inside_liver" in options.steps:
        kept *= ~_beyond(organ, outside & (kept > LIVER.value), geometry, options.margin_mm)
    if "fill_holes" in options.steps:
        # Vessels that leave the liver open tunnels into it; filled along with the liver, they close over holes beside
        # them.
        within = filled(organ | (kept == VESSEL.value))
        kept += (within & (kept == BACKGROUND)) * np.uint8(LIVER.value)
    if "min_volume" in options.steps:
        for structure, connectivity in ((TUMOR, FACES), (VESSEL, ANY_NEIGHBOR)):
            least_voxels = ceil(options.min_volume_mm3.get(structure.name, 0.0) / geometry.voxel_volume_mm3)
            small = small_bodies(kept == structure.value, least_voxels, connectivity)
            kept.reshape(-1)[small] = np.where(inside.reshape(-1)[small], LIVER.value, BACKGROUND)
    return kept


def _beyond(
    organ: NDArray[np.bool_], candidates: NDArray[np.bool_], geometry: Geometry, margin_mm: float
) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: which of the `candidates` are further from `organ` than `margin_mm` and not inside it."""
    beyond = further_than(organ, candidates, geometry, margin_mm)
    # A thick vessel's middle is further than the margin from liver, and is in it all the same.
    beyond[_enclosed(organ, beyond, geometry)] = False
    return beyond


def _enclosed(organ: NDArray[np.bool_], candidates: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: which of the `candidates` lie where `organ`, closed by a ball of a wide vessel's radius, is.

    Closed is what no ball of that radius outside the organ can reach: a tunnel through it, and not the space before it.
    """
    enclosed = np.zeros_like(candidates)
    box = Box.around(candidates)
    if box is None:
        return enclosed
    radius_mm = _WIDEST_VESSEL_MM / 2
    around = box.padded(geometry.voxels_over(2 * radius_mm), geometry.size).slices
    steps = [max(1, round(_CLOSING_VOXEL_MM / spacing_mm)) for spacing_mm in geometry.spacing_mm[::-1]]
    coarse = organ[around][tuple(slice(step // 2, None, step) for step in steps)]
    if not coarse.any():
        return enclosed
    anisotropy = tuple(step * spacing_mm for step, spacing_mm in zip(steps, geometry.spacing_mm[::-1], strict=True))
    far = edt.edt(~coarse, anisotropy=anisotropy, parallel=0) > radius_mm  # centers of balls that do not touch it
    closed = edt.edt(~far, anisotropy=anisotropy, parallel=0) > radius_mm  # what none of those balls covers
    k, j, i = np.nonzero(candidates[around])
    index = tuple(np.minimum(n // step, size - 1) for n, step, size in zip((k, j, i), steps, closed.shape, strict=True))
    enclosed[around][k, j, i] = closed[index]
    return enclosed
