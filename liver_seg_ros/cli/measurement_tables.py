# SPDX-License-Identifier: Apache-2.0
"""Measurements as tables for a terminal and for the page: one row per structure, one per lesion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from liver_seg_ros.labels import TUMOR
from liver_seg_ros.measurement import CollisionMeshQuality, Gap, PartMeasurement, StructureMeasurement
from liver_seg_ros.report_table import UNKNOWN, ReportTable

_NOTE = (
    "Liver: the organ, its tumors and enclosed vessels included. Parts of the tumor: lesions. "
    "±: what the resolution of the labels leaves open."
)
_COLLISION_NOTE = " Collision: how far outside of the structure its collision mesh is at most, and was asked to be."


def structures_table(
    measurements: Iterable[StructureMeasurement], dice: Mapping[str, float] | None = None
) -> ReportTable:
    """One row per structure, those without a voxel included; what was neither made nor compared is unknown."""
    measurements, dice = tuple(measurements), dice or {}
    rows = (
        (
            measured.structure.title,
            _with_uncertainty(measured.volume_ml, measured.volume_uncertainty_ml),
            _with_uncertainty(measured.largest_diameter_mm, measured.diameter_uncertainty_mm),
            _axial(measured),
            str(measured.count),
            UNKNOWN if measured.triangles is None else str(measured.triangles),
            UNKNOWN if measured.watertight is None else ("yes" if measured.watertight else "no"),
            _collision(measured.collision_mesh),
            _defects(measured),
            f"{dice[measured.structure.name]:.3f}" if measured.structure.name in dice else UNKNOWN,
        )
        for measured in measurements
    )
    columns = (
        "structure", "volume ml", "diameter mm", "axial mm", "parts", "triangles", "watertight", "collision mm",
        "defects", "Dice",
    )  # fmt: skip
    note = _NOTE + (_COLLISION_NOTE if any(measured.collision_mesh for measured in measurements) else "")
    return ReportTable("Structures", columns, tuple(rows), (0, columns.index("defects")), note)


def lesions_table(measurements: Sequence[StructureMeasurement]) -> ReportTable | None:
    """One row per lesion, largest first, each a place; None where there is no lesion."""
    lesions = lesions_of(measurements)
    if not lesions:
        return None
    rows = (
        (
            str(number),
            _with_uncertainty(lesion.volume_ml, lesion.volume_uncertainty_ml, 2),
            _with_uncertainty(lesion.largest_diameter_mm, lesion.diameter_uncertainty_mm),
            _axial(lesion),
            _gap(lesion.to_vessel),
            _gap(lesion.to_capsule),
            UNKNOWN if lesion.confidence is None else f"{lesion.confidence:.2f}",
        )
        for number, lesion in enumerate(lesions, start=1)
    )
    columns = ("lesion", "volume ml", "diameter mm", "axial mm", "to vessel mm", "to capsule mm", "sure")
    note = "Axial: the longest diameter in an axial slice and the short axis across it. Distances are between surfaces."
    if any(lesion.confidence is not None for lesion in lesions):
        note += (
            " Sure: how probable the network holds it that this is a tumor, 0 to 1; in the scene of a page the "
            "paler, the less."
        )
    return ReportTable("Lesions", columns, tuple(rows), (0,), note, tuple(lesion.center_mm for lesion in lesions))


def lesions_of(measurements: Sequence[StructureMeasurement]) -> tuple[PartMeasurement, ...]:
    """The lesions, largest first."""
    return next((measured.parts for measured in measurements if measured.structure == TUMOR), ())


def _with_uncertainty(value: float, uncertainty: float, digits: int = 1) -> str:
    if not value and not uncertainty:
        return UNKNOWN
    return f"{value:.{digits}f}" + (f" ± {uncertainty:.{digits}f}" if uncertainty else "")


def _axial(measured: StructureMeasurement | PartMeasurement) -> str:
    axial = measured.axial
    return UNKNOWN if axial is None else f"{axial.long_mm:.1f} x {axial.short_mm:.1f}"


def _gap(gap: Gap | None) -> str:
    return UNKNOWN if gap is None else f"{gap.distance_mm:.1f} ± {gap.uncertainty_mm:.1f}"


def _collision(quality: CollisionMeshQuality | None) -> str:
    return UNKNOWN if quality is None else f"{quality.largest_distance_mm:.1f} / {quality.margin_mm:.1f}"


def _defects(measured: StructureMeasurement) -> str:
    """Of mesh and collision mesh; unknown where there is none, so that a table of sound meshes has no such column."""
    collision = measured.collision_mesh and measured.collision_mesh.quality
    meshes = {"mesh": measured.mesh, "collision mesh": collision}
    found = [f"{name}: {quality.defects}" for name, quality in meshes.items() if quality and quality.defects]
    return "; ".join(found) or UNKNOWN
