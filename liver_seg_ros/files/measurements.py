# SPDX-License-Identifier: Apache-2.0
"""Writing measurements: JSON with everything, CSV for a spreadsheet with a row for each structure and each lesion."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.measurement import CollisionMeshQuality, Gap, PartMeasurement, StructureMeasurement
from liver_seg_ros.plain import plain
from liver_seg_ros.plausibility.judgment import PlausibilityWarning

#: The columns of the CSV. A cell is empty where a row has no such figure; yes and no are `true` and `false`.
COLUMNS = (
    "structure", "lesion", "count",
    "volume_ml", "volume_uncertainty_ml", "largest_diameter_mm", "diameter_uncertainty_mm",
    "axial_long_mm", "axial_short_mm", "axial_uncertainty_mm",
    "center_x_mm", "center_y_mm", "center_z_mm",
    "vessel", "to_vessel_mm", "to_vessel_uncertainty_mm", "to_capsule_mm", "to_capsule_uncertainty_mm",
    "touches_border", "confidence", "triangles", "watertight", "defects",
    "collision_triangles", "collision_margin_mm", "collision_distance_mm", "collision_defects",
)  # fmt: skip


def write_measurements(
    path: str | Path, measurements: Iterable[StructureMeasurement], warnings: Iterable[PlausibilityWarning] = ()
) -> None:
    """Write measurements as `.json` or `.csv`, completely or not at all.

    JSON holds an object for each structure, as `StructureMeasurement.to_dict` gives it, and the warnings. CSV holds a
    row for each structure and, after that of the tumor, for each lesion, numbered from 1, largest first; positions are
    LPS.

    Raises:
        InputError: another suffix, the file cannot be written, or a number that JSON has not (NaN or infinity).
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".json", ".csv"):
        raise InputError(f"{path}: cannot write measurements in this format. Use one of .json, .csv.")
    with written_beside(path) as temporary:
        if suffix == ".json":
            _write_json(temporary, measurements, warnings)
        else:
            _write_csv(temporary, measurements)


def _write_json(
    path: Path, measurements: Iterable[StructureMeasurement], warnings: Iterable[PlausibilityWarning]
) -> None:
    values = plain({"structures": list(measurements), "warnings": list(warnings)})
    try:
        text = json.dumps(values, indent=2, allow_nan=False)
    except ValueError as error:
        raise InputError(f"a measurement is NaN or infinite, which JSON has not: {error}") from error
    path.write_text(text + "\n", encoding="utf-8")


def _write_csv(path: Path, measurements: Iterable[StructureMeasurement]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for measurement in measurements:
            writer.writerow(_plain(_structure_row(measurement)))
            for number, part in enumerate(measurement.parts, start=1):
                writer.writerow(_plain({"structure": measurement.structure.name, **_lesion_row(number, part)}))


def _structure_row(measurement: StructureMeasurement) -> dict[str, Any]:
    return {
        "structure": measurement.structure.name,
        "count": measurement.count,
        "triangles": measurement.triangles,
        "watertight": measurement.watertight,
        "defects": None if measurement.mesh is None else measurement.mesh.defects,
        **_collision(measurement.collision_mesh),
        **_sizes(measurement),
    }


def _collision(collision: CollisionMeshQuality | None) -> dict[str, Any]:
    if collision is None:
        return {}
    return {
        "collision_triangles": collision.quality.triangles,
        "collision_margin_mm": collision.margin_mm,
        "collision_distance_mm": collision.largest_distance_mm,
        "collision_defects": collision.quality.defects,
    }


def _lesion_row(number: int, part: PartMeasurement) -> dict[str, Any]:
    x, y, z = part.center_mm
    center = {"center_x_mm": x, "center_y_mm": y, "center_z_mm": z}
    gaps = {**_gap("to_vessel", part.to_vessel), **_gap("to_capsule", part.to_capsule)}
    vessel = None if part.to_vessel is None else part.to_vessel.structure.name
    row = {"lesion": number, "vessel": vessel, "touches_border": part.touches_border, "confidence": part.confidence}
    return {**row, **_sizes(part), **center, **gaps}


def _sizes(measured: StructureMeasurement | PartMeasurement) -> dict[str, Any]:
    sizes: dict[str, Any] = {
        "volume_ml": measured.volume_ml,
        "volume_uncertainty_ml": measured.volume_uncertainty_ml,
        "largest_diameter_mm": measured.largest_diameter_mm,
        "diameter_uncertainty_mm": measured.diameter_uncertainty_mm,
    }
    if measured.axial is not None:
        sizes["axial_long_mm"] = measured.axial.long_mm
        sizes["axial_short_mm"] = measured.axial.short_mm
        sizes["axial_uncertainty_mm"] = measured.axial.uncertainty_mm
    return sizes


def _gap(name: str, gap: Gap | None) -> dict[str, Any]:
    if gap is None:
        return {}
    return {f"{name}_mm": gap.distance_mm, f"{name}_uncertainty_mm": gap.uncertainty_mm}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Cells as a spreadsheet shows them: lengths to a micrometre, volumes to a cubic millimetre."""
    shown: dict[str, Any] = {}
    for column, value in row.items():
        if isinstance(value, bool):
            shown[column] = str(value).lower()
        elif isinstance(value, float):
            shown[column] = f"{value:.3f}"
        elif value is not None:
            shown[column] = value
    return shown
