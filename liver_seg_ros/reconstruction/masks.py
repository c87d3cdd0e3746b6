"""Which voxels a structure's surface and measurements are made of, cut out of the volume.

A tumor or a vessel is its own label. The liver is the *organ*, as LiTS counts it: the surgeon sees and the planner
needs a hull that encloses tumors and the vessels inside it, not a parenchyma with tunnels. Vessel voxels outside the
organ (the trunk of the portal vein, the vena cava) stay out of the hull.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import LIVER, LIVER_VESSELS, TUMOR, Structure
from liver_seg_ros.volume import LabelVolume

#: Background voxels around a mask: what touches the volume's border is closed there like anywhere else.
PAD = 1


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
        box = Box.around(parenchyma)
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
    return StructureMask(structure, np.pad(mask, PAD), _padded_geometry(labels.geometry, box))


def _enclosed_vessel(crop: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: vessel voxels to which liver or tumor is nearer than anything outside the organ.

    `crop` is the box of liver and tumor, so that everything beyond its border is outside.
    """
    vessel = np.isin(crop, [structure.value for structure in LIVER_VESSELS])
    if not vessel.any():
        return vessel
    k_j_i_mm = spacing_mm[::-1]
    inside = vessel | (crop == LIVER.value) | (crop == TUMOR.value)
    to_outside = edt.edt(inside, anisotropy=k_j_i_mm, black_border=True, parallel=2)
    to_organ = edt.edt(~inside | vessel, anisotropy=k_j_i_mm, black_border=False, parallel=2)
    return vessel & (to_organ <= to_outside)


def _padded_geometry(geometry: Geometry, box: Box) -> Geometry:
    first = np.array(box.start) - PAD
    i, j, k = (n + 2 * PAD for n in box.size)
    x, y, z = geometry.index_to_lps(first)
    return Geometry((i, j, k), geometry.spacing_mm, (x, y, z), geometry.direction)
