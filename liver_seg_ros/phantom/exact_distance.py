# SPDX-License-Identifier: Apache-2.0
"""What is exactly true of a phantom's structures between voxels: the measure of surfaces and volumes."""

from __future__ import annotations

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL, Structure
from liver_seg_ros.phantom.fields import Field
from liver_seg_ros.phantom.generator import Phantom
from liver_seg_ros.phantom.painting import Grid, vessel_distance


def exact_distance(phantom: Phantom, structure: Structure, geometry: Geometry) -> Field:
    """Distance in mm to the surface of liver (the organ), tumor or vessel at the voxels of `geometry`: `(K, J, I)`.

    Negative inside. Exactly zero on the surface; beyond it a distance to first order only (fields are deformed, and
    vessels are cut off some millimetres outside): divide by the length of the gradient where a few tenths of a
    millimetre matter.

    Args:
        phantom: the patient.
        structure: one of `labels.SEGMENTED`.
        geometry: any axis-aligned grid in the phantom's LPS frame, for example a finer one than its CT.

    Raises:
        InputError: another structure, or a grid that is not axis-aligned.
    """
    if not np.allclose(geometry.direction_matrix, np.eye(3)):
        raise InputError("a phantom's exact distances need an axis-aligned grid")
    axes = zip(geometry.origin_mm, geometry.spacing_mm, geometry.size, strict=True)
    x, y, z = (np.asarray(o + s * np.arange(n), dtype=np.float64) for o, s, n in axes)
    grid = Grid(x, y, z, per_slice=1)
    liver = phantom.liver.distance(x, y, z)
    if structure == LIVER:
        return liver
    tumor = np.minimum.reduce([t.distance(grid.points) for t in phantom.tumors], initial=np.float32(np.inf))
    if structure == TUMOR:
        return np.maximum(tumor, liver)
    if structure != VESSEL:
        raise InputError(f"a phantom has no {structure.name}; it has liver, tumor and vessel")
    vessel = np.minimum(vessel_distance(grid, phantom.portal), vessel_distance(grid, phantom.hepatic))
    return np.maximum.reduce([vessel, liver, -tumor])
