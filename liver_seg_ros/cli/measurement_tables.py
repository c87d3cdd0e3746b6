"""Measurements as tables for a terminal and for the page: one row per structure, one per lesion."""

from __future__ import annotations

from collections.abc import Sequence

from liver_seg_ros.labels import TUMOR
from liver_seg_ros.measurement import Gap, PartMeasurement, StructureMeasurement
from liver_seg_ros.report_table import UNKNOWN, ReportTable


def structures_table(measurements: Sequence[StructureMeasurement]) -> ReportTable:
    """One row per structure, those without a voxel included."""
    rows = (
        (
            measured.structure.title,
            _with_uncertainty(measured.volume_ml, measured.volume_uncertainty_ml),
            _with_uncertainty(measured.largest_diameter_mm, measured.diameter_uncertainty_mm),
            _axial(measured),
            str(measured.count),
        )
        for measured in measurements
    )
    note = "Liver: the organ, tumors and enclosed vessels included. ±: what the resolution of the labels leaves open."
    return ReportTable(
        "Structures", ("structure", "volume ml", "diameter mm", "axial mm", "parts"), tuple(rows), (0,), note
    )


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
        )
        for number, lesion in enumerate(lesions, start=1)
    )
    columns = ("lesion", "volume ml", "diameter mm", "axial mm", "to vessel mm", "to capsule mm")
    note = "Axial: the longest diameter in an axial slice and the short axis across it. Distances are between surfaces."
    return ReportTable("Lesions", columns, tuple(rows), (0,), note, tuple(lesion.center_mm for lesion in lesions))


def lesions_of(measurements: Sequence[StructureMeasurement]) -> tuple[PartMeasurement, ...]:
    """The lesions, largest first."""
    return next((measured.parts for measured in measurements if measured.structure == TUMOR), ())


def _with_uncertainty(value: float, uncertainty: float, digits: int = 1) -> str:
    return f"{value:.{digits}f} ± {uncertainty:.{digits}f}" if value or uncertainty else UNKNOWN


def _axial(measured: StructureMeasurement | PartMeasurement) -> str:
    axial = measured.axial
    return UNKNOWN if axial is None else f"{axial.long_mm:.1f} x {axial.short_mm:.1f}"


def _gap(gap: Gap | None) -> str:
    return UNKNOWN if gap is None else f"{gap.distance_mm:.1f} ± {gap.uncertainty_mm:.1f}"
