# SPDX-License-Identifier: Apache-2.0
"""Lines over two axes, in panels side by side, by VTK's charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvista as pv
from numpy.typing import NDArray
from PIL import Image

from liver_seg_ros.errors import InputError
from liver_seg_ros.rendering.picture import save_png

#: Colors of lines, in turn; with the second round they are dashed.
COLORS = ("#3d6f9e", "#d9822b", "#4b9b5a", "#b5433f", "#8566ab", "#7a5a4f", "#c069a5", "#6b7075", "#a8a035", "#2fa5b5")
_STYLES = ("-", "--", ":")
PANEL_PX = (460, 440)

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes.

    Attributes:
        title: above it.
        lines: name -> `(N,)` values along the axis to the right, and up. A name has the same color in every panel that
            has the same names.
    """

    title: str
    lines: Mapping[str, Points]


def draw_line_chart(panels: Sequence[Panel], axes: tuple[str, str], path: str | Path) -> None:
    """Write a PNG: panels in a row, the names of the lines in the last. Axes begin at 0, the one up ends at 1.

    Args:
        panels: from the left.
        axes: names of the axis to the right and of the one up.

    Raises:
        InputError: no panel, a line without points, or the file cannot be written.
    """
    if not panels or not all(len(right) for panel in panels for right, _ in panel.lines.values()):
        raise InputError("a chart needs at least one panel, and each line a point")
    width = 1 / len(panels)
    with pv.vtk_verbosity("off"):  # without a display VTK first complains about it
        plotter = pv.Plotter(off_screen=True, window_size=[PANEL_PX[0] * len(panels), PANEL_PX[1]])
        try:
            plotter.set_background("white")  # type: ignore[arg-type]
            for number, panel in enumerate(panels):
                is_last = number == len(panels) - 1
                plotter.add_chart(_chart(panel, axes, (width, 1.0), (number * width, 0.0), is_last))
            picture = plotter.screenshot(None, return_img=True)
        finally:
            plotter.close()
    save_png(Image.fromarray(np.asarray(picture)), path)


def _chart(
    panel: Panel, axes: tuple[str, str], size: tuple[float, float], place: tuple[float, float], has_legend: bool
) -> pv.Chart2D:
    chart = pv.Chart2D(size=size, loc=place, x_label=axes[0], y_label=axes[1])
    chart.title = panel.title
    for number, (name, (right, up)) in enumerate(panel.lines.items()):
        turn, color = divmod(number, len(COLORS))
        chart.line(right, up, color=COLORS[color], width=2.0, style=_STYLES[turn % len(_STYLES)], label=name)
    chart.x_range = [0.0, max(float(right.max()) for right, _ in panel.lines.values())]
    chart.y_range = [0.0, 1.0]
    chart.legend_visible = has_legend
    chart.GetLegend().SetHorizontalAlignment(0)  # left, below: where curves of either kind are not
    chart.GetLegend().SetVerticalAlignment(0)
    return chart
