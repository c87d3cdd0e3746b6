# SPDX-License-Identifier: Apache-2.0
"""Lines over two axes, in panels side by side, by VTK's charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvista as pv
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from liver_seg_ros.errors import InputError
from liver_seg_ros.rendering.picture import font, save_png
from liver_seg_ros.rendering.scene import INK

#: Colors of lines, in turn; with the second round they are dashed.
COLORS = ("#3d6f9e", "#d9822b", "#4b9b5a", "#b5433f", "#8566ab", "#7a5a4f", "#c069a5", "#6b7075", "#a8a035", "#2fa5b5")
_STYLES = ("-", "--", ":")
PANEL_PX, LEGEND_PX, TEXT_PX = (460, 440), 190, 14

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes.

    Attributes:
        title: above it.
        lines: name -> `(N,)` values along the axis to the right, and up. A name has one color in all panels.
    """

    title: str
    lines: Mapping[str, Points]


def draw_line_chart(panels: Sequence[Panel], axes: tuple[str, str], path: str | Path) -> None:
    """Write a PNG: panels in a row, the names of the lines beside them. Axes begin at 0, the one up ends at 1.

    Args:
        panels: from the left.
        axes: names of the axis to the right and of the one up.

    Raises:
        InputError: no panel, a line without points, or the file cannot be written.
    """
    if not panels or not all(len(right) for panel in panels for right, _ in panel.lines.values()):
        raise InputError("a chart needs at least one panel, and each line a point")
    width = 1 / len(panels)
    looks = {name: _look(n) for n, name in enumerate(dict.fromkeys(name for panel in panels for name in panel.lines))}
    with pv.vtk_verbosity("off"):  # without a display VTK first complains about it
        plotter = pv.Plotter(off_screen=True, window_size=[PANEL_PX[0] * len(panels), PANEL_PX[1]])
        try:
            plotter.set_background("white")  # type: ignore[arg-type]
            for number, panel in enumerate(panels):
                plotter.add_chart(_chart(panel, axes, looks, (width, 1.0), (number * width, 0.0)))
            picture = plotter.screenshot(None, return_img=True)
        finally:
            plotter.close()
    save_png(_with_legend(Image.fromarray(np.asarray(picture)), looks), path)


def _look(number: int) -> tuple[str, str]:
    """Color and style of a line."""
    turn, color = divmod(number, len(COLORS))
    return COLORS[color], _STYLES[turn % len(_STYLES)]


def _chart(
    panel: Panel,
    axes: tuple[str, str],
    looks: Mapping[str, tuple[str, str]],
    size: tuple[float, float],
    place: tuple[float, float],
) -> pv.Chart2D:
    chart = pv.Chart2D(size=size, loc=place, x_label=axes[0], y_label=axes[1])
    chart.title = panel.title
    for name, (right, up) in panel.lines.items():
        color, style = looks[name]
        chart.line(right, up, color=color, width=2.0, style=style)
    chart.x_range = [0.0, max(float(right.max()) for right, _ in panel.lines.values())]
    chart.y_range = [0.0, 1.0]
    chart.legend_visible = False  # VTK's would lie on the curves
    return chart


def _with_legend(picture: Image.Image, looks: Mapping[str, tuple[str, str]]) -> Image.Image:
    """The picture with the names of its lines to the right."""
    wider = Image.new("RGB", (picture.width + LEGEND_PX, picture.height), "white")
    wider.paste(picture)
    draw = ImageDraw.Draw(wider)
    for row, (name, (color, style)) in enumerate(looks.items()):
        x, y = picture.width + 8, 2 * TEXT_PX + round(1.5 * TEXT_PX * row)
        dash = {"-": 24, "--": 8, ":": 3}[style]
        for start in range(0, 24, 2 * dash):
            draw.line((x + start, y, x + min(24, start + dash), y), color, 2)
        draw.text((x + 30, y), name, INK, font(TEXT_PX), anchor="lm")
    return wider
