# SPDX-License-Identifier: Apache-2.0
"""Measurements on disk: what is read back is what was written, in both formats."""

from __future__ import annotations

import csv
import json

import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.measurements import COLUMNS, write_measurements
from liver_seg_ros.labels import LIVER, PORTAL_VEIN, TUMOR
from liver_seg_ros.measurement import (
    AxialDiameter,
    CollisionMeshQuality,
    Gap,
    MeshQuality,
    PartMeasurement,
    StructureMeasurement,
)
from liver_seg_ros.plausibility.judgment import PlausibilityWarning

AXIAL = AxialDiameter(20.0, 15.0, 0.9, ((0.0, 0, 0), (20.0, 0, 0)), ((10.0, 0, 0), (10.0, 15, 0)))
MESH = MeshQuality(40_000, True, True, True, 0)
CROSSED = MeshQuality(1_000, True, True, True, 2)
AROUND = CollisionMeshQuality(CROSSED, 3.0, 4.125)
NEAR = Gap(PORTAL_VEIN, 3.25, 1.1, (1.0, 2, 3), (1.0, 2, 6.25))
LESIONS = (
    PartMeasurement(
        4.0, 22.0, (1.5, -2.0, 900.0), 0.4, 1.1, AXIAL, NEAR, Gap(LIVER, 0.0, 1.1, (1, 2, 3), (1, 2, 3)), False
    ),
    PartMeasurement(0.2, 5.0, (4.0, 5.0, 6.0), 0.1, 1.1, AXIAL, None, None, True),
)
MEASURED = (
    StructureMeasurement(LIVER, 1500.0, 210.0, 1, (), 40.0, 1.1, AXIAL, MESH, AROUND),
    StructureMeasurement(TUMOR, 4.2, 22.0, 2, LESIONS, 0.5, 1.1, AXIAL),
    StructureMeasurement(PORTAL_VEIN, 0.0, 0.0, 0),
)


def test_a_spreadsheet_has_a_row_for_each_structure_and_lesion(tmp_path):
    write_measurements(tmp_path / "m.csv", MEASURED)
    with (tmp_path / "m.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["structure"], row["lesion"]) for row in rows] == [
        ("liver", ""), ("tumor", ""), ("tumor", "1"), ("tumor", "2"), ("portal_vein", ""),
    ]  # fmt: skip
    assert tuple(rows[0]) == COLUMNS and all(None not in row.values() for row in rows)
    liver, tumor, large, small, absent = rows
    assert (float(liver["volume_ml"]), int(liver["triangles"]), liver["watertight"]) == (1500.0, 40_000, "true")
    assert (float(liver["collision_margin_mm"]), float(liver["collision_distance_mm"])) == (3.0, 4.125)
    assert (liver["collision_triangles"], liver["defects"]) == ("1000", "")
    assert liver["collision_defects"] == "2 pairs of its 1000 triangles go through each other"
    assert (tumor["triangles"], tumor["collision_distance_mm"], tumor["collision_defects"]) == ("", "", "")
    assert (tumor["count"], tumor["center_x_mm"], tumor["to_vessel_mm"]) == ("2", "", "")
    assert (large["vessel"], float(large["to_vessel_mm"]), float(large["to_capsule_mm"])) == ("portal_vein", 3.25, 0.0)
    assert [float(large[f"center_{axis}_mm"]) for axis in "xyz"] == [1.5, -2.0, 900.0]
    assert (float(large["axial_long_mm"]), float(large["axial_short_mm"])) == (20.0, 15.0)
    assert (small["vessel"], small["to_vessel_mm"], small["touches_border"]) == ("", "", "true")
    assert (float(absent["volume_ml"]), absent["axial_long_mm"]) == (0.0, "")


def test_every_figure_is_in_the_json(tmp_path):
    write_measurements(tmp_path / "m.json", MEASURED)
    liver, tumor, absent = json.loads((tmp_path / "m.json").read_text())["structures"]
    assert liver["structure"] == "liver" and liver["axial"]["short_mm"] == 15.0
    mesh = {"watertight": True, "manifold": True, "outward": True}
    assert liver["mesh"] == {"triangles": 40_000, **mesh, "self_intersections": 0}
    assert liver["collision_mesh"] == {
        "quality": {"triangles": 1_000, **mesh, "self_intersections": 2},
        "margin_mm": 3.0,
        "largest_distance_mm": 4.125,
    }
    assert (liver["triangles"], liver["watertight"], tumor["triangles"], tumor["mesh"]) == (40_000, True, None, None)
    assert tumor["parts"][0]["to_vessel"] == {
        "structure": "portal_vein", "distance_mm": 3.25, "uncertainty_mm": 1.1,
        "from_mm": [1.0, 2, 3], "to_mm": [1.0, 2, 6.25],
    }  # fmt: skip
    assert tumor["parts"][1]["to_capsule"] is None and tumor["parts"][1]["touches_border"] is True
    assert absent["axial"] is None and absent["volume_ml"] == 0.0


def test_nothing_is_left_where_it_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"Use one of \.json, \.csv"):
        write_measurements(tmp_path / "m.xlsx", MEASURED)
    with pytest.raises(ValueError, match="JSON"):
        write_measurements(tmp_path / "m.json", [StructureMeasurement(LIVER, float("nan"), 1.0, 1)])
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_measured_is_null_or_certain_and_positions_are_lists():
    """Of a part, of which nobody asked for axial diameters and distances, and of one with all of them."""
    bare = PartMeasurement(1.0, 2.0, (3.0, 4.0, 5.0))
    assert bare.to_dict() == {
        "volume_ml": 1.0, "largest_diameter_mm": 2.0, "center_mm": [3.0, 4.0, 5.0], "volume_uncertainty_ml": 0.0,
        "diameter_uncertainty_mm": 0.0, "axial": None, "to_vessel": None, "to_capsule": None, "touches_border": None,
        "confidence": None,
    }  # fmt: skip
    full = LESIONS[0].to_dict()
    assert full["axial"]["long_mm"] == 20.0 and full["axial"]["short_ends_mm"] == [[10.0, 0, 0], [10.0, 15, 0]]
    assert (full["to_vessel"]["structure"], full["to_capsule"]["structure"]) == ("portal_vein", "liver")
    structure = StructureMeasurement(LIVER, 1.0, 2.0, 3)
    assert (structure.volume_uncertainty_ml, structure.diameter_uncertainty_mm) == (0.0, 0.0)
    assert structure.to_dict()["axial"] is None and structure.to_dict()["structure"] == "liver"


def test_warnings_are_beside_the_structures(tmp_path):
    warning = PlausibilityWarning("liver_small", "doubt", "It is small.", "liver")
    write_measurements(tmp_path / "m.json", MEASURED, [warning])
    plain = json.loads((tmp_path / "m.json").read_text())
    assert len(plain["structures"]) == len(MEASURED)
    assert [w["code"] for w in plain["warnings"]] == ["liver_small"]
