# SPDX-License-Identifier: Apache-2.0
"""What is measured of a structure and of each of its lesions: what reconstruction finds, and all others report.

Every figure comes with the uncertainty that the resolution gives: how far it may be off because a label says of each
voxel only whether its center is inside. How well the segmentation follows the organ is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Vector
from liver_seg_ros.labels import Structure
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True)
class AxialDiameter:
    """The largest diameter within one axial slice, as RECIST 1.1 measures a lesion, and the short axis across it.

    Attributes:
        long_mm: the largest distance between two points of the outline.
        short_mm: the longest chord of the outline's convex hull at a right angle to it, in the same slice.
        uncertainty_mm: of `long_mm`.
        long_ends_mm, short_ends_mm: LPS positions of their ends.
    """

    long_mm: float
    short_mm: float
    uncertainty_mm: float
    long_ends_mm: tuple[Vector, Vector]
    short_ends_mm: tuple[Vector, Vector]


@dataclass(frozen=True)
class Gap:
    """The smallest distance between the surface of a lesion and another surface.

    Attributes:
        structure: whose surface the other one is.
        distance_mm: between the two surfaces; 0 where they touch.
        uncertainty_mm: of the distance, which is never below 0.
        from_mm, to_mm: LPS, where on the lesion and where on the other surface.
    """

    structure: Structure
    distance_mm: float
    uncertainty_mm: float
    from_mm: Vector
    to_mm: Vector


@dataclass(frozen=True)
class MeshQuality:
    """How sound a mesh is.

    Attributes:
        triangles: how many.
        watertight: every edge is shared by exactly two triangles, in opposite directions.
        manifold: watertight, and around each vertex the triangles form one closed fan.
        outward: the normals of every connected part point out of it.
        self_intersections: pairs of triangles that go through each other.
    """

    triangles: int
    watertight: bool
    manifold: bool
    outward: bool
    self_intersections: int

    @property
    def defects(self) -> str:
        """What is wrong with it, in words; empty where nothing is."""
        found = []
        if not self.watertight:
            found.append("it is not closed")
        elif not self.manifold:
            found.append("parts of it meet in single points")
        if not self.outward:
            found.append("a part of it is inside out")
        if self.self_intersections:
            found.append(f"{self.self_intersections} pairs of its {self.triangles} triangles go through each other")
        return ", ".join(found)

    @property
    def is_sound(self) -> bool:
        """Nothing is wrong with it."""
        return self.manifold and self.outward and self.self_intersections == 0


@dataclass(frozen=True)
class CollisionMeshQuality:
    """How sound the collision mesh of a structure is, and how far outside of the structure.

    Attributes:
        quality: of the mesh.
        margin_mm: how far it was asked to be outside at most.
        largest_distance_mm: how far it is at most; more than the margin where that could not be kept.
    """

    quality: MeshQuality
    margin_mm: float
    largest_distance_mm: float


@dataclass(frozen=True)
class PartMeasurement:
    """One connected part of a structure: of the tumor, one lesion.

    Attributes:
        volume_ml: volume of its voxels.
        largest_diameter_mm: see `StructureMeasurement`.
        center_mm: LPS center of mass.
        volume_uncertainty_ml, diameter_uncertainty_mm: of these two.
        axial: its largest axial diameter.
        to_vessel: to the nearest vessel; None where there is no vessel, or where nobody asked.
        to_capsule: to the outer surface of the liver, 0 for a subcapsular lesion; None for a lesion outside the liver,
            or where nobody asked.
        touches_border: it reaches the border of the scan, beyond which it may go on; None where nobody asked.
        confidence: how sure the network is that it is a tumor, 0 to 1 (`reconstruction.measuring.lesion_confidence`);
            None for labels from elsewhere and where the network does not say.
    """

    volume_ml: float
    largest_diameter_mm: float
    center_mm: Vector
    volume_uncertainty_ml: float = 0.0
    diameter_uncertainty_mm: float = 0.0
    axial: AxialDiameter | None = None
    to_vessel: Gap | None = None
    to_capsule: Gap | None = None
    touches_border: bool | None = None
    confidence: float | None = None

    __repr__ = short_repr
    to_dict = plain_fields


@dataclass(frozen=True)
class StructureMeasurement:
    """One structure.

    Attributes:
        structure: the row of the label table.
        volume_ml: volume of its voxels; of the liver that of the organ, tumors and enclosed vessels included, as LiTS
            counts it (`reconstruction.masks.structure_mask`).
        largest_diameter_mm: the largest distance between two points of its surface (centers of voxel faces, the
            "maximum 3D diameter" of IBSI), of that part where it is largest.
        count: connected parts; of the tumor the number of lesions.
        parts: of the tumor one per lesion, largest volume first; empty for other structures, whose parts are not told
            apart.
        volume_uncertainty_ml, diameter_uncertainty_mm: of volume and largest diameter.
        axial: the largest axial diameter, of that part where it is largest; None without a voxel.
        mesh: of its mesh; None where none was made.
        collision_mesh: of its collision mesh; None where none was made.
    """

    structure: Structure
    volume_ml: float
    largest_diameter_mm: float
    count: int
    parts: tuple[PartMeasurement, ...] = ()
    volume_uncertainty_ml: float = 0.0
    diameter_uncertainty_mm: float = 0.0
    axial: AxialDiameter | None = None
    mesh: MeshQuality | None = None
    collision_mesh: CollisionMeshQuality | None = None

    __repr__ = short_repr

    @property
    def triangles(self) -> int | None:
        """Of its mesh; None where none was made."""
        return None if self.mesh is None else self.mesh.triangles

    @property
    def watertight(self) -> bool | None:
        """Whether its mesh is closed; None where none was made."""
        return None if self.mesh is None else self.mesh.watertight

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the structure by its name."""
        # The first files had these two of a mesh and no more: whoever reads them still finds them.
        return {**plain_fields(self), "triangles": self.triangles, "watertight": self.watertight}


def nearest_lesions(points_mm: NDArray[np.floating], lesions: Sequence[PartMeasurement]) -> NDArray[np.int64]:
    """`(N,)` places in `lesions`, of which there is one at least: whose surface each point is on.

    That is the lesion whose ball of the same volume the point is nearest to.

    Args:
        points_mm: `(N, 3)` LPS.
        lesions: those of a mesh.
    """
    nearest_mm, of = np.full(len(points_mm), np.inf), np.zeros(len(points_mm), np.int64)
    for number, lesion in enumerate(lesions):
        radius_mm = np.cbrt(lesion.volume_ml * 1e3 * 3 / (4 * np.pi))
        beyond_mm = np.linalg.norm(points_mm - np.array(lesion.center_mm), axis=1) - radius_mm
        closer = beyond_mm < nearest_mm
        nearest_mm[closer], of[closer] = beyond_mm[closer], number
    return of
