# SPDX-License-Identifier: Apache-2.0
"""What all pictures share: text, a legend's entries, and writing a PNG that is complete or not there."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.labels import Structure

Rgb = tuple[int, int, int]


def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow, so that pictures look the same on every machine."""
    return ImageFont.load_default(size_px)


def draw_legend_entry(
    picture: Image.Image, structure: Structure, left_middle_px: tuple[float, float], ink: Rgb, size_px: int
) -> int:
    """Draw a structure's color and title to the right of `left_middle_px`; returns the width in pixels."""
    draw = ImageDraw.Draw(picture)
    x, y = left_middle_px
    half = size_px / 2
    draw.rounded_rectangle((x, y - half, x + size_px, y + half), size_px // 4, fill=structure.color_rgb)
    draw.text((x + 1.6 * size_px, y), structure.title, ink, font(size_px), anchor="lm")
    return round(1.6 * size_px + draw.textlength(structure.title, font(size_px)))


def save_png(picture: Image.Image, path: str | Path) -> None:
    """Write `picture` to `path`, complete or not at all.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    with written_beside(path) as beside:
        picture.save(beside, "PNG")
