# SPDX-License-Identifier: Apache-2.0
"""Many volumes on one sheet, to judge them by eye."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from liver_seg_ros.errors import InputError
from liver_seg_ros.rendering.overlay import BACKGROUND, GAP_PX, INK, TEXT_PX, draw_edge_letters
from liver_seg_ros.rendering.picture import font, save_png
from liver_seg_ros.rendering.slices import View, draw_slice, point_of_interest
from liver_seg_ros.volume import LabelVolume, Volume

TILE_PX = (480, 400)
PIXEL_MM = 0.9


def contact_sheet(
    volumes_and_labels: Iterable[tuple[Volume, LabelVolume | None]],
    titles: Sequence[str],
    path: str | Path,
    columns: int = 4,
    view: View = "axial",
) -> None:
    """Write a PNG with one slice per volume, through its largest tumor or else its liver.

    Slices are at one scale; those too large for their tile are shrunk to fit.

    Args:
        volumes_and_labels: taken one at a time, so that a generator keeps only one volume in memory; without labels
            the bare CT is shown.
        titles: one per volume.

    Raises:
        InputError: not as many titles as volumes, none of either, or the file cannot be written.
    """
    pairs = iter(volumes_and_labels)
    tiles = [_tile(volume, labels, title, view) for title, (volume, labels) in zip(titles, pairs, strict=False)]
    if not tiles or len(tiles) < len(titles) or next(pairs, None) is not None:
        raise InputError(f"a contact sheet needs at least one volume, and a title for each, not {len(titles)}")
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    width, height = TILE_PX[0], TILE_PX[1] + 2 * TEXT_PX
    sheet = Image.new("RGB", (columns * (width + GAP_PX) + GAP_PX, rows * (height + GAP_PX)), BACKGROUND)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (GAP_PX + column * (width + GAP_PX), row * (height + GAP_PX)))
    save_png(sheet, path)


def _tile(volume: Volume, labels: LabelVolume | None, title: str, view: View) -> Image.Image:
    shown = labels or LabelVolume(np.zeros(volume.geometry.shape, np.uint8), volume.geometry, volume.uid)
    through_mm = point_of_interest(shown)
    slice_picture = Image.fromarray(draw_slice(volume, shown, view, through_mm, PIXEL_MM))
    slice_picture.thumbnail(TILE_PX)
    tile = Image.new("RGB", (TILE_PX[0], TILE_PX[1] + 2 * TEXT_PX), BACKGROUND)
    draw = ImageDraw.Draw(tile)
    draw.text((0, TEXT_PX), title, INK, font(TEXT_PX), anchor="lm")
    left, top = (TILE_PX[0] - slice_picture.width) // 2, 2 * TEXT_PX + (TILE_PX[1] - slice_picture.height) // 2
    tile.paste(slice_picture, (left, top))
    draw_edge_letters(draw, view, (left, top, left + slice_picture.width, top + slice_picture.height))
    return tile
