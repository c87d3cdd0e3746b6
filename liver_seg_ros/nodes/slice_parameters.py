# SPDX-License-Identifier: Apache-2.0
"""What the parameters of the node `slice_viewer` ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from liver_seg_ros.geometry import MM_PER_M

NEEDLE: Literal["needle"] = "needle"
View = Literal["axial", "coronal", "sagittal", "needle"]
VIEWS: tuple[View, ...] = get_args(View)
Through = Literal["lesion", "position", "clicked"]
THROUGH: tuple[Through, ...] = get_args(Through)


@dataclass(frozen=True)
class SliceParameters:
    """The node's parameters that a picture depends on, lengths in mm."""

    view: View
    through: Through
    position_mm: float
    window_hu: tuple[float, float]
    pixel_mm: float
    needle_field_mm: float

    @staticmethod
    def of(value: Callable[[str], Any]) -> SliceParameters:
        """From what tells a parameter's value."""
        half = value("window_width_hu") / 2
        return SliceParameters(
            value("view"),
            value("through"),
            MM_PER_M * value("position_m"),
            (value("window_center_hu") - half, value("window_center_hu") + half),
            MM_PER_M * value("pixel_size_m"),
            MM_PER_M * value("needle_field_m"),
        )
