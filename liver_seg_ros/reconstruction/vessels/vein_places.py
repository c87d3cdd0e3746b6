# SPDX-License-Identifier: Apache-2.0
"""Where the portal vein comes into the liver and where the hepatic veins leave it, by the liver's extent and the cava.

The hepatic veins join the vena cava where it runs behind the liver's upper fifth; the portal vein comes in half way up,
before the cava, or where a map of the surroundings has its trunk come to the liver. Where nobody labelled either, both
places are guessed from the box around the liver alone. They are starting points for deciding which of two trees is
which (`vein_kinds`), no landmarks to measure with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.labels import LIVER, PORTAL_VEIN, VENA_CAVA
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume

#: In shares of the box around the liver, from its right, front and lower side: seen on phantoms, near on one patient.
HILUM_SHARE = (0.56, 0.44, 0.50)
CONFLUENCE_SHARE = (0.57, 0.50, 0.80)
#: How far before the cava's middle the portal vein comes in.
BEFORE_CAVA_MM = 25.0
#: Half the height of the piece of the cava that is taken for its middle at a height, and voxels that it must have.
CAVA_PIECE_MM, LEAST_CAVA_VOXELS = 8.0, 4
#: The portal trunk's voxels whose distance to the liver is among the least, in shares of all and in mm more, are its
#: end there; further from the liver, or from where the box has the hilum, it is something else. It must have so many.
TRUNK_END_SHARE, TRUNK_END_MM, TRUNK_AT_LIVER_MM, TRUNK_AT_HILUM_MM, LEAST_TRUNK_VOXELS = 0.02, 2.0, 25.0, 60.0, 20
#: How much higher than the portal vein's end the hepatic veins leave.
RISE_MM = 50.0
#: One of so many voxels of the liver is looked at for its extent.
_EVERY = 7


@dataclass(frozen=True, eq=False)
class VeinPlaces:
    """LPS mm.

    Attributes:
        hilum_mm: `(3,)` where the portal vein comes in.
        confluence_mm: `(3,)` where the hepatic veins join the vena cava.
        by_cava: whether the vena cava was there to find them by; the liver's box alone otherwise.
    """

    hilum_mm: NDArray[np.float64]
    confluence_mm: NDArray[np.float64]
    by_cava: bool

    __repr__ = short_repr


def vein_places(labels: LabelVolume, surroundings: LabelVolume | None = None) -> VeinPlaces | None:
    """The two places; None where no liver is labelled.

    Args:
        labels: the liver, and the vena cava where somebody labelled it.
        surroundings: a map that has the vena cava, on any grid; taken where `labels` have none. Where it has the portal
            vein too, both places are half way between where that says and where the box does.
    """
    organ = structure_mask(labels, LIVER)
    if organ is None:
        return None
    points = organ.geometry.index_to_lps(np.argwhere(organ.array)[::_EVERY, ::-1])
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    hilum, confluence = low + extent * HILUM_SHARE, low + extent * CONFLUENCE_SHARE
    cava = vena_cava_points(labels, surroundings)
    trunk = _trunk_end(surroundings, points, hilum)
    if trunk is not None:
        confluence[2] = (confluence[2] + trunk[2] + RISE_MM) / 2
    behind_hilum, at_confluence = (_cava_at(cava, place[2]) for place in (hilum, confluence))
    if behind_hilum is not None:
        hilum[:2] = behind_hilum[0], behind_hilum[1] - BEFORE_CAVA_MM
    if at_confluence is not None:
        confluence[:2] = at_confluence[:2]
    if trunk is not None:
        hilum = (hilum + trunk) / 2
    return VeinPlaces(hilum, confluence, at_confluence is not None)


def vena_cava_points(labels: LabelVolume, surroundings: LabelVolume | None = None) -> NDArray[np.float64]:
    """`(N, 3)` LPS mm: the voxels of the vena cava in `labels` or, where these have none, in `surroundings`."""
    for source in (labels, surroundings):
        if source is not None and (found := np.argwhere(source.array == VENA_CAVA.value)).size:
            return source.geometry.index_to_lps(found[:, ::-1])
    return np.empty((0, 3))


def _trunk_end(
    surroundings: LabelVolume | None, liver_mm: NDArray[np.float64], hilum_mm: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """`(3,)` where the portal vein outside of the liver comes nearest to it; None without one that is likely."""
    if surroundings is None:
        return None
    trunk = np.argwhere(surroundings.array == PORTAL_VEIN.value)
    if len(trunk) < LEAST_TRUNK_VOXELS:
        return None
    points = surroundings.geometry.index_to_lps(trunk[:, ::-1])
    away_mm, _ = cKDTree(liver_mm[::_EVERY]).query(points)
    if away_mm.min() > TRUNK_AT_LIVER_MM:
        return None
    end = points[away_mm <= np.quantile(away_mm, TRUNK_END_SHARE) + TRUNK_END_MM].mean(axis=0)
    return end if np.linalg.norm(end - hilum_mm) < TRUNK_AT_HILUM_MM else None


def _cava_at(cava_mm: NDArray[np.float64], height_mm: float) -> NDArray[np.float64] | None:
    piece = cava_mm[np.abs(cava_mm[:, 2] - height_mm) < CAVA_PIECE_MM]
    return piece.mean(axis=0) if len(piece) >= LEAST_CAVA_VOXELS else None
