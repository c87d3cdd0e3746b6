"""What all pictures share: text, a legend's entries, and writing a PNG that is complete or not there."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from PIL import Image, ImageDraw, ImageFont

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import Structure

Rgb = tuple[int, int, int]


def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow, so that pictures look the same on every machine."""
    return ImageFont.load_default(size_px)


def draw_legend_entry(
    picture: Image.Image, structure: Structure, left_middle_px: tuple[float, float], ink: Rgb, size_px: int
) -> int:
    """Draw a structure's color and name to the right of `left_middle_px`; returns the width in pixels."""
    draw = ImageDraw.Draw(picture)
    x, y = left_middle_px
    half = size_px / 2
    draw.rounded_rectangle((x, y - half, x + size_px, y + half), size_px // 4, fill=structure.color_rgb)
    draw.text((x + 1.6 * size_px, y), structure.name, ink, font(size_px), anchor="lm")
    return round(1.6 * size_px + draw.textlength(structure.name, font(size_px)))


def save_png(picture: Image.Image, path: str | Path) -> None:
    """Write `picture` beside `path` and rename it, so that no half-written file is ever there.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    path = Path(path)
    beside = path.with_name(f".partial-{uuid4().hex[:8]}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(beside, "PNG")
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot write here ({error.strerror or error}). Give another folder.") from error
    finally:
        if beside.parent.is_dir():
            beside.unlink(missing_ok=True)
