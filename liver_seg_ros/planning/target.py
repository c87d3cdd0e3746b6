# SPDX-License-Identifier: Apache-2.0
"""Where a needle for a lesion should end."""

from __future__ import annotations

import edt
import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector
from liver_seg_ros.reconstruction.parts import lesions
from liver_seg_ros.volume import LabelVolume


def lesion_target(labels: LabelVolume, lesion: int = 0) -> Vector:
    """The center of a lesion, LPS mm: its center of mass, or where that is not in it, its deepest voxel.

    Args:
        lesion: its number, 0 is the largest, as in the measurements.

    Raises:
        InputError: there is no such lesion.
    """
    found = lesions(labels)
    if not 0 <= lesion < len(found):
        numbers = f"numbers go from 0 to {len(found) - 1}" if found else "no tumor is labelled"
        raise InputError(f"there is no lesion {lesion} in volume {labels.uid}: {numbers}")
    mask = found[lesion]
    center = np.argwhere(mask.array).mean(axis=0)
    if not mask.array[tuple(np.rint(center).astype(int))]:
        depth = edt.edt(mask.array, anisotropy=mask.geometry.spacing_mm[::-1], black_border=True)
        center = np.array(np.unravel_index(np.argmax(depth), depth.shape))
    x, y, z = (float(v) for v in mask.geometry.index_to_lps(center[::-1]))
    return x, y, z
