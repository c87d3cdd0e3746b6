"""Measurements on disk: what is read back is what was written, in both formats."""

from __future__ import annotations

import csv
import json

import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.measurements import COLUMNS, write_measurements
from liver_seg_ros.labels import LIVER, PORTAL_VEIN, TUMOR
from liver_seg_ros.measurement import AxialDiameter, Gap, PartMeasurement, StructureMeasurement

AXIAL = AxialDiameter(20.0, 15.0, 0.9, ((0.0, 0, 0), (20.0, 0, 0)), ((10.0, 0, 0), (10.0, 15, 0)))
NEAR = Gap(PORTAL_VEIN, 3.25, 1.1, (1.0, 2, 3), (1.0, 2, 6.25))
LESIONS = (
    PartMeasurement(
        4.0, 22.0, (1.5, -2.0, 900.0), 0.4, 1.1, AXIAL, NEAR, Gap(LIVER, 0.0, 1.1, (1, 2, 3), (1, 2, 3)), False
    ),
    PartMeasurement(0.2, 5.0, (4.0, 5.0, 6.0), 0.1, 1.1, AXIAL, None, None, True),
)
MEASURED = (
    StructureMeasurement(LIVER, 1500.0, 210.0, 1, 40_000, True, (), 40.0, 1.1, AXIAL),
    StructureMeasurement(TUMOR, 4.2, 22.0, 2, None, None, LESIONS, 0.5, 1.1, AXIAL),
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
