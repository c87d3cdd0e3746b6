# SPDX-License-Identifier: Apache-2.0
"""Labels over an axial, a coronal and a sagittal slice of their CT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image, ImageDraw

from liver_seg_ros.errors import InputError
from liver_seg_ros.grids import difference, reordering
from liver_seg_ros.orientation import UNCHANGED
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.picture import Rgb, draw_legend_entry, font, save_png
from liver_seg_ros.rendering.slices import EDGE_LETTERS, Extent, View, draw_slice, point_of_interest
from liver_seg_ros.volume import LabelVolume, Volume

WIDTH_PX = 1800
GAP_PX = 16
TEXT_PX = 22
BACKGROUND: Rgb = (16, 18, 21)
INK: Rgb = (222, 226, 230)
NEEDLE: Rgb = (255, 138, 76)


def render_overlay(
    volume: Volume, labels: LabelVolume, path: str | Path, trajectories: Sequence[DrawnTrajectory] = ()
) -> None:
    """Write a PNG with three slices side by side at one scale, through the largest tumor or else the liver.

    With `trajectories` they go through the first one's target, and it is projected on each of them.

    Slices lie along the patient's axes whatever the orientation of the grid, in radiological orientation (the
    patient's right on the picture's left). Without a labelled voxel they go through the center of the volume.

    Raises:
        InputError: `volume` and `labels` do not lie on the same points in the same order.
        InputError: the file cannot be written.
    """
    if reordering(labels.geometry, volume.geometry) != UNCHANGED:
        apart = difference(labels.geometry, volume.geometry)
        raise InputError(f"an overlay needs labels on the grid of their CT, not: {apart}")
    labels = LabelVolume(labels.array, volume.geometry, labels.uid)
    views: tuple[View, ...] = get_args(View)
    extent = Extent.of(volume.geometry)
    pixel_mm = sum(extent.size_mm(view)[0] for view in views) / (WIDTH_PX - (len(views) + 1) * GAP_PX)
    through_mm = np.array(trajectories[0].target_mm) if trajectories else point_of_interest(labels)
    panels = [Image.fromarray(draw_slice(volume, labels, view, through_mm, pixel_mm)) for view in views]

    title_px = legend_px = 2 * TEXT_PX
    tallest = max(panel.height for panel in panels)
    picture = Image.new("RGB", (WIDTH_PX, title_px + tallest + legend_px), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    x = GAP_PX
    for view, panel in zip(views, panels, strict=True):
        draw.text((x, title_px / 2), view, INK, font(TEXT_PX), anchor="lm")
        y = title_px + (tallest - panel.height) // 2
        picture.paste(panel, (x, y))
        if trajectories:
            ends = [extent.in_picture(view, end) for end in (trajectories[0].entry_mm, trajectories[0].target_mm)]
            needle = [(x + float(across) / pixel_mm, y + float(down) / pixel_mm) for across, down in ends]
            draw.line(needle, NEEDLE, width=3)
        draw_edge_letters(draw, view, (x, y, x + panel.width, y + panel.height))
        x += panel.width + GAP_PX
    x = GAP_PX
    for structure in labels.structures():
        x += draw_legend_entry(picture, structure, (x, picture.height - legend_px / 2), INK, TEXT_PX) + 2 * TEXT_PX
    save_png(picture, path)


def draw_edge_letters(draw: ImageDraw.ImageDraw, view: View, box_px: tuple[int, int, int, int]) -> None:
    """Write at the edges of a slice which side of the patient they are."""
    left, top, right, bottom = box_px
    middle_x, middle_y, inset = (left + right) / 2, (top + bottom) / 2, TEXT_PX * 0.7
    places = ((left + inset, middle_y), (right - inset, middle_y), (middle_x, top + inset), (middle_x, bottom - inset))
    for letter, place in zip(EDGE_LETTERS[view], places, strict=True):
        draw.text(place, letter, INK, font(TEXT_PX), anchor="mm", stroke_width=2, stroke_fill=BACKGROUND)
