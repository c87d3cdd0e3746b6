# SPDX-License-Identifier: Apache-2.0
"""A trajectory as pictures show it, whoever planned it."""

from __future__ import annotations

from dataclasses import dataclass

from liver_seg_ros.geometry import Vector

#: Of the trajectory that matters most, and of all others.
CHOSEN_RGB, OTHER_RGB = (194, 65, 12), (92, 103, 115)


@dataclass(frozen=True)
class DrawnTrajectory:
    """A trajectory from the skin, or from anywhere, to a target.

    Attributes:
        name: what it is called beside the picture.
        entry_mm, target_mm: LPS.
        radius_mm: of the needle.
    """

    name: str
    entry_mm: Vector
    target_mm: Vector
    radius_mm: float
