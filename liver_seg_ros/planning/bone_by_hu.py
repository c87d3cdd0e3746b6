# SPDX-License-Identifier: Apache-2.0
"""Bone in a CT by its Hounsfield units, and the ribs' cartilage: what no needle goes through.

Missing a rib costs most; calling a kidney full of contrast bone costs next to nothing, as no needle goes through one
either. So whatever is as bright as bone counts as bone, but for what is labelled: the liver, what is in it, and other
organs never are.
"""

from __future__ import annotations

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, uniform_filter

from liver_seg_ros.geometry import Box
from liver_seg_ros.planning.air import Mask, opened
from liver_seg_ros.planning.coarse_ct import UNDER_SKIN_MM, CoarseCt

#: What is brighter is bone, and of what lies beside it what is brighter than the second.
BONE_HU, BESIDE_BONE_HU = 200.0, 150.0
#: How far bone goes on so: the rest of a cortex that fills its blocks' voxels by half.
BESIDE_MM = 4.0
#: Smaller parts are noise or a vessel's calcification.
LEAST_MM3 = 150.0

#: So many standard deviations of the noise above the liver is no liver. Where that is more than the values above it is
#: taken for them, but no more than the cortex of a rib has.
NOISES, CORTEX_HU = 3.5, 350.0

#: Cartilage is brighter, on the mean of a block, and by so much brighter than muscle, which is no darker than the last.
CARTILAGE_HU, ABOVE_MUSCLE_HU, LEAST_MUSCLE_HU = 90.0, 30.0, 20.0
#: It lies in the body's wall, no deeper, where a ball of this radius fits into it, in parts of this volume.
WALL_MM, CARTILAGE_RADIUS_MM, CARTILAGE_MM3 = 40.0, 3.0, (300.0, 1e5)
#: A part with more than this share of it against something labelled is what its label leaves out.
AT_LABELS = 0.1


def find_bone(coarse: CoarseCt) -> Mask:
    """`(K, J, I)` bool: blocks that hold bone, or what is as bright: metal, calcified vessels, contrast in arteries."""
    noise_hu = _brightest(coarse.liver_hu)
    bone_hu, beside_hu = (float(np.clip(noise_hu, least, CORTEX_HU)) for least in (BONE_HU, BESIDE_BONE_HU))
    may_be = (coarse.depth_mm > UNDER_SKIN_MM) & ~coarse.labelled
    bright = may_be & (coarse.brightest > bone_hu)
    bone = cc3d.dust(bright, threshold=LEAST_MM3 / coarse.geometry.voxel_volume_mm3, connectivity=26)
    if not bone.any():
        return bone
    away_mm = edt.edt(~bone, anisotropy=coarse.spacing_mm, black_border=False, parallel=2)
    return np.asarray(bone | (may_be & (coarse.brightest > beside_hu) & (away_mm <= BESIDE_MM)))


def find_cartilage(coarse: CoarseCt, bone: Mask) -> Mask:
    """`(K, J, I)` bool: blocks of the ribs' cartilage, and of what is like it in the wall of the body's front.

    It is hardly brighter than muscle, and a liver with contrast is as bright: only its place and its shape tell it.
    """
    found = np.zeros_like(bone)
    depth_mm = coarse.depth_mm
    body = Box.around(depth_mm > 0)
    if body is None:
        return found
    front = (slice(None), slice(0, (body.start[1] + body.stop[1]) // 2))
    mean, labelled = coarse.mean[front], coarse.labelled[front]
    wall = (depth_mm[front] > UNDER_SKIN_MM) & (depth_mm[front] < WALL_MM) & ~labelled & ~bone[front]
    muscle = mean[wall & (mean > LEAST_MUSCLE_HU) & (mean < BONE_HU)]
    if not len(muscle):
        return found
    bright = wall & (mean > max(CARTILAGE_HU, float(np.median(muscle)) + ABOVE_MUSCLE_HU))
    bright &= uniform_filter(bright.astype(np.float32), 3) > 0.5  # as a median filter would, and faster
    parts = cc3d.connected_components(opened(bright, coarse.spacing_mm, CARTILAGE_RADIUS_MM), connectivity=6)
    volume_mm3, at_labels_mm3 = coarse.volume_mm3(parts), coarse.volume_mm3(parts, binary_dilation(labelled))
    least, most = CARTILAGE_MM3
    kept = (volume_mm3 >= least) & (volume_mm3 <= most) & (at_labels_mm3 <= AT_LABELS * volume_mm3)
    kept[0] = False
    found[front] = kept[parts]
    return found


def _brightest(hu: NDArray[np.int16]) -> float:
    """How bright noise makes a tissue; by medians, so that stents and calcifications in it do not count."""
    if not len(hu):
        return -np.inf
    middle = float(np.median(hu))
    deviation = 1.4826 * float(np.median(np.abs(hu - middle)))  # the standard deviation, of a normal distribution
    return middle + NOISES * deviation
