# SPDX-License-Identifier: Apache-2.0
"""Lung and gas in a CT by their Hounsfield units: what no needle goes through."""

from __future__ import annotations

import cc3d
import numpy as np

from liver_seg_ros.labels import LUNG, Structure
from liver_seg_ros.planning.air import Mask
from liver_seg_ros.planning.coarse_ct import UNDER_SKIN_MM, CoarseCt
from liver_seg_ros.planning.field_of_view import LUNG_HU

#: Gas in stomach and bowel. No row of the label table: it is found in the CT and never a voxel's value.
GAS = Structure(0, "gas", (150, 200, 230), 0.5, "", "")

#: What is darker, in the body, is air: half way from lung to tissue.
AIR_HU = -400
#: Smaller parts are noise.
LEAST_MM3 = 150.0
#: A part is lung if it is so large, and half of it brighter than any gas; of smaller ones too much is rim to tell.
LEAST_LUNG_MM3 = 5e4


def find_air(coarse: CoarseCt) -> tuple[Mask, Mask]:
    """`(K, J, I)` bool, two: blocks of lung, and of gas, as in stomach and bowel. Not where anything is labelled.

    Nor where it is one with a lung that is labelled, whose labels seldom reach as far as its air.
    """
    labelled_lung = coarse.label == LUNG.value
    dark = (coarse.mean < AIR_HU) & (coarse.depth_mm > UNDER_SKIN_MM) & ~coarse.labelled
    parts = cc3d.connected_components(labelled_lung | dark, connectivity=6)
    whole_mm3 = coarse.volume_mm3(parts)
    is_new = (whole_mm3 >= LEAST_MM3) & (coarse.volume_mm3(parts, labelled_lung) == 0)
    is_new[0] = False
    gas_mm3 = coarse.volume_mm3(parts, dark & (coarse.mean <= LUNG_HU))
    is_lung = is_new & (whole_mm3 >= LEAST_LUNG_MM3) & (gas_mm3 < 0.5 * whole_mm3)
    return np.asarray(is_lung[parts]), np.asarray((is_new & ~is_lung)[parts])
