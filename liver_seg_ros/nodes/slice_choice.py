# SPDX-License-Identifier: Apache-2.0
"""Which plane the node `slice_viewer` shows, by its parameters, a clicked point or the needle."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector, to_vector
from liver_seg_ros.nodes.slice_parameters import NEEDLE, SliceParameters
from liver_seg_ros.planning.target import lesion_target
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.picture_plane import PicturePlane, plane_along
from liver_seg_ros.rendering.slices import Extent, View, normal_axis, point_of_interest, view_plane
from liver_seg_ros.volume import LabelVolume, Volume


@dataclass
class SliceChoice:
    """Chooses planes of one CT.

    Attributes:
        clicked_mm: the point that was clicked last, LPS; None where none was.
        last: the plane that was shown last; it stays where the needle is lost.
    """

    clicked_mm: Vector | None = None
    last: PicturePlane | None = None
    _found: tuple[LabelVolume | None, Vector] | None = field(default=None, repr=False)

    def plane(
        self, ct: Volume, labels: LabelVolume | None, asked: SliceParameters, needle: DrawnTrajectory | None
    ) -> PicturePlane:
        """The plane to show now. Raises `InputError` where it would be too large a picture.

        Args:
            needle: where it is now; None where that is not known, or not asked for.
        """
        if asked.view == NEEDLE and needle is not None:
            along = np.subtract(needle.target_mm, needle.entry_mm)
            self.last = plane_along(needle.target_mm, along, asked.pixel_mm, asked.needle_field_mm)
        elif asked.view != NEEDLE or self.last is None:
            view: View = "axial" if asked.view == NEEDLE else asked.view
            self.last = view_plane(ct.geometry, view, self._point_mm(ct, labels, asked, view), asked.pixel_mm)
        return self.last

    def _point_mm(self, ct: Volume, labels: LabelVolume | None, asked: SliceParameters, view: View) -> ArrayLike:
        if asked.through == "position":
            extent = Extent.of(ct.geometry)
            point = (extent.low_mm + extent.high_mm) / 2
            point[normal_axis(view)] = asked.position_mm
            return point
        if asked.through == "clicked" and self.clicked_mm is not None:
            return self.clicked_mm
        if self._found is None or self._found[0] is not labels:
            self._found = labels, _lesion_or_middle(ct, labels)
        return self._found[1]


def _lesion_or_middle(ct: Volume, labels: LabelVolume | None) -> Vector:
    """LPS mm: in the largest lesion, else in the liver, else in the middle of the CT."""
    if labels is None:
        return to_vector(ct.geometry.index_to_lps([(n - 1) / 2 for n in ct.geometry.size]))
    try:
        return lesion_target(labels)
    except InputError:  # there is none
        return to_vector(point_of_interest(labels))
