# SPDX-License-Identifier: Apache-2.0
"""A straight trajectory of a needle and its evaluation, in plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector, finite_vector
from liver_seg_ros.labels import LIVER, Structure
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.short_repr import short_repr

#: Radius of a needle of 17 gauge, which ablation electrodes often are.
NEEDLE_RADIUS_MM = 0.75


@dataclass(frozen=True)
class Trajectory:
    """A straight trajectory of a needle, from its entry to its target.

    Attributes:
        entry_mm, target_mm: ends of its axis, LPS; the tip is round and reaches a radius beyond the target.
        radius_mm: of the needle.

    Raises:
        InputError: not three finite coordinates, or a negative radius.
    """

    entry_mm: Vector
    target_mm: Vector
    radius_mm: float = NEEDLE_RADIUS_MM

    def __post_init__(self) -> None:
        for name in ("entry_mm", "target_mm"):
            object.__setattr__(self, name, finite_vector(getattr(self, name), f"a needle's {name}"))
        if not 0 <= self.radius_mm < np.inf:
            raise InputError(f"a needle's radius of {self.radius_mm} mm; give a length of zero or more")


@dataclass(frozen=True)
class Clearance:
    """The clearance between a needle and one structure.

    Attributes:
        structure: the row of the label table.
        clearance_mm: between the surfaces of needle and structure; negative where the needle touches or enters it.
        at_mm: the place on the needle's axis where it is smallest, LPS.
        by_hu: whether the structure was found by its HU.
        by_map: whether it was found in a map of the surroundings. What was found by neither is labelled.
    """

    structure: Structure
    clearance_mm: float
    at_mm: Vector
    by_hu: bool = False
    by_map: bool = False

    @property
    def title(self) -> str:
        """What it is to, as people write it."""
        return self.structure.title + (" by HU" if self.by_hu else " by map" if self.by_map else "")

    to_dict = plain_fields


@dataclass(frozen=True)
class VesselCrossing:
    """A vessel that a needle goes through.

    Attributes:
        branch: its number in the tree.
        structure: the row of the label table that the branch has.
        radius_mm: of the vessel there.
        along_mm: distance from the entry.
        at_mm: the place on the needle's axis that is nearest to the vessel's, LPS.
    """

    branch: int
    structure: Structure
    radius_mm: float
    along_mm: float
    at_mm: Vector

    to_dict = plain_fields


@dataclass(frozen=True)
class TrajectoryEvaluation:
    """The evaluation of one trajectory.

    Attributes:
        trajectory: the needle.
        length_mm: from entry to target.
        length_in_liver_mm: of its axis, tumors and vessels in the liver included.
        clearances: to each structure that is labelled but the liver, in the order of the label table, then to each
            that was found by HU. Where the needle goes in, minus how deep it gets. (The liver is there to be entered;
            its `DistanceField` knows how deep.)
        vessel_crossings: branches that it goes through, from the entry on.
        capsule_crossings: how often its axis goes through the surface of the liver; 1 from outside to a lesion.
        entry_angle_deg: between the needle and the inward normal where it first goes into the liver, 0 is
            perpendicular; None where it does not, or where it begins inside.
    """

    trajectory: Trajectory
    length_mm: float
    length_in_liver_mm: float
    clearances: tuple[Clearance, ...]
    vessel_crossings: tuple[VesselCrossing, ...]
    capsule_crossings: int
    entry_angle_deg: float | None

    __repr__ = short_repr

    def clearance_mm(self, structure: Structure) -> float:
        """The clearance to `structure`; infinite where it is not known: there is nothing to come near to.

        Raises:
            InputError: for the liver, to which a needle keeps no clearance.
        """
        if structure == LIVER:
            raise InputError("a needle keeps no clearance to the liver; ask for its length in the liver")
        return next((c.clearance_mm for c in self.clearances if c.structure == structure), float("inf"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, those of the needle beside the others; structures by name."""
        values = plain_fields(self)
        return {**values.pop("trajectory"), **values}
