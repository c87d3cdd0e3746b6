# SPDX-License-Identifier: Apache-2.0
"""A picture of any plane through a patient: CT, labels, a needle in it, and which side is where."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.picture import Rgb, font
from liver_seg_ros.rendering.picture_plane import PicturePlane
from liver_seg_ros.rendering.sampling import WINDOW_HU, sampled_picture
from liver_seg_ros.volume import LabelVolume, Volume

NEEDLE: Rgb = (255, 138, 76)
INK: Rgb = (222, 226, 230)
WARNING: Rgb = (255, 96, 96)
EDGE: Rgb = (16, 18, 21)
TEXT_PX = 16
#: Of the ring around the tip, which is seen where the needle itself is too thin.
RING_PX = 6


def plane_picture(
    volume: Volume,
    labels: LabelVolume | None,
    plane: PicturePlane,
    window_hu: tuple[float, float] = WINDOW_HU,
    needle: DrawnTrajectory | None = None,
    note: str = "",
) -> NDArray[np.uint8]:
    """`(height, width, 3)` uint8 RGB, as `sampling.sampled_picture` shows the plane, with letters at its edges.

    Args:
        needle: drawn from its entry to its target, as wide as it is but at least 2 pixels; one that does not lie in
            the plane is seen along the normal.
        note: a line at the top, for what whoever looks at the picture must know.
    """
    picture = Image.fromarray(sampled_picture(volume, labels, plane.points_mm(), window_hu))
    draw = ImageDraw.Draw(picture)
    middle_x, middle_y, inset = plane.width / 2, plane.height / 2, TEXT_PX * 0.8
    places = ((inset, middle_y), (plane.width - inset, middle_y), (middle_x, inset), (middle_x, plane.height - inset))
    for letters, place in zip(plane.edge_letters, places, strict=True):
        draw.text(place, letters, INK, font(TEXT_PX), anchor="mm", stroke_width=2, stroke_fill=EDGE)
    if needle is not None:
        _draw_needle(draw, needle, plane)
    if note:
        draw.text((inset, 2 * inset), note, WARNING, font(TEXT_PX), anchor="lt", stroke_width=2, stroke_fill=EDGE)
    return np.asarray(picture)


def _draw_needle(draw: ImageDraw.ImageDraw, needle: DrawnTrajectory, plane: PicturePlane) -> None:
    width_px = max(2, round(2 * needle.radius_mm / plane.pixel_mm))
    end, tip = ((float(x), float(y)) for x, y in plane.in_picture([needle.entry_mm, needle.target_mm]))
    draw.line((end, tip), NEEDLE, width=width_px)
    x, y = tip
    draw.ellipse((x - RING_PX, y - RING_PX, x + RING_PX, y + RING_PX), outline=NEEDLE)
