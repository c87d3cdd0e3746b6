# SPDX-License-Identifier: Apache-2.0
"""What commands print on stdout when they are done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from liver_seg_ros.cli.console import print_facts, print_json, print_report, print_tables, print_written
from liver_seg_ros.cli.measurement_tables import structures_table
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, PORTAL_VEIN, TUMOR
from liver_seg_ros.measurement import AxialDiameter, CollisionMeshQuality, MeshQuality, StructureMeasurement
from liver_seg_ros.report import ModelReport, Report, describe_geometry
from liver_seg_ros.report_table import ReportTable

OPEN = MeshQuality(100, False, False, True, 0)
TABLE = ReportTable("Lesions", ("lesion", "volume ml"), (("1", "3.0"), ("2", "2.0"), ("3", "1.0")))


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def report(**more: object) -> Report:
    structures = {
        "liver": StructureMeasurement(LIVER, 1500.04, 210.26, 1, mesh=MeshQuality(30_000, True, True, True, 0)),
        "portal_vein": StructureMeasurement(PORTAL_VEIN, 20.0, 90.0, 2, mesh=OPEN),
    }
    grid = describe_geometry(Geometry((2, 2, 2)))
    return Report("case/[1] ct.nii.gz", "1.2.3", grid, True, structures=structures, **more)


def test_a_report_names_its_input_what_was_found_and_what_else_a_person_wants_to_know(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    models = (ModelReport("localizer", "1.0", "ab"), ModelReport("segmenter", "2.0", "cd"))
    print_report(
        report(
            message="liver found",
            seconds={"read": 0.64, "segment": 2.06},
            peak_memory_mb=900.4,
            runtime="openvino",
            models=models,
            synthetic=True,
            dice={"liver": 0.97654},
        )
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:6]] == [
        ["case/[1]", "ct.nii.gz"],
        [],
        ["Structures"],
        ["structure", "volume", "ml", "diameter", "mm", "parts", "triangles", "watertight", "defects", "Dice"],
        ["liver", "1500.0", "210.3", "1", "30000", "yes", "-", "0.977"],
        ["portal", "vein", "20.0", "90.0", "2", "100", "no", "mesh:", "it", "is", "not", "closed", "-"],
    ]
    assert lines[6].startswith("Liver: the organ, its tumors and enclosed vessels included.")
    assert lines[lines.index("") :].count("") == 2 and lines[lines.index("liver found") - 1] == ""
    assert lines[lines.index("liver found") :] == [
        "liver found",
        "localizer 1.0, segmenter 2.0 on openvino.",
        "Seconds: 2.7 (read 0.6, segment 2.1). Peak memory: 900 MB.",
        "Synthetic: a phantom, no patient.",
        "Not for clinical use.",
    ]


def test_a_report_says_nothing_of_what_was_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report())
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["Seconds: 0.0. Peak memory: 0 MB.", "Not for clinical use."] and lines[-3] == ""
    assert "Dice" not in "\n".join(lines)


def test_what_was_neither_made_nor_compared_is_unknown() -> None:
    table = structures_table([StructureMeasurement(TUMOR, 1.0, 2.0, 3)])
    assert table.title == "Structures" and "Collision" not in table.note
    assert table.rows == (("tumor", "1.0", "2.0", "-", "3", "-", "-", "-", "-", "-"),)
    assert table.without_unknown_columns().columns == ("structure", "volume ml", "diameter mm", "parts")


def test_all_that_was_measured_is_in_the_table() -> None:
    axial = AxialDiameter(20.04, 15.0, 0.9, ((0.0, 0.0, 0.0),) * 2, ((0.0, 0.0, 0.0),) * 2)
    collision = CollisionMeshQuality(MeshQuality(1_000, True, True, True, 2), 3.0, 4.56)
    measured = StructureMeasurement(
        PORTAL_VEIN, 20.0, 90.0, 2, (), 1.25, 0.9, axial, MeshQuality(100, True, True, False, 0), collision
    )
    table = structures_table([measured], {"portal_vein": 0.5})
    assert dict(zip(table.columns, table.rows[0], strict=True)) == {
        "structure": "portal vein", "volume ml": "20.0 ± 1.2", "diameter mm": "90.0 ± 0.9", "axial mm": "20.0 x 15.0",
        "parts": "2", "triangles": "100", "watertight": "yes", "collision mm": "4.6 / 3.0", "Dice": "0.500",
        "defects": "mesh: a part of it is inside out; "
        "collision mesh: 2 pairs of its 1000 triangles go through each other",
    }  # fmt: skip
    assert "Collision: how far outside" in table.note and table.text_columns == (0, 8)


def test_tables_come_below_the_input_and_above_what_else_is_to_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("a/very/long/path") / ("x" * 90) / "labels.nii.gz"
    print_tables(path, [TABLE, TABLE], ["A warning."], most_rows=2)
    table = ["Lesions", "lesion  volume ml", "1             3.0", "2             2.0", "and 1 more row"]
    assert capsys.readouterr().out.splitlines() == [
        str(path), "", *table, "", *table, "", "A warning.", "Not for clinical use.",
    ]  # fmt: skip
    print_tables(path, [TABLE])
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "1             3.0", "2             2.0", "3             1.0", "", "Not for clinical use.",
    ]  # fmt: skip


def test_files_are_named_below_their_folder(capsys: pytest.CaptureFixture[str]) -> None:
    print_written(Path("out"), ["labels.nii.gz", "report.json"])
    assert capsys.readouterr().out == "Wrote in out:\n  labels.nii.gz  report.json\n"
    names = [f"structure_{number}.ply" for number in range(20)]
    print_written(Path("x" * 100), names)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"Wrote in {'x' * 100}:" and len(lines) > 2
    assert all(line.startswith("  s") and len(line) <= 80 for line in lines) and " ".join(lines).split() == names


def test_json_is_one_line_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, None], "b": "±"})
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and json.loads(out) == {"a": [1, None], "b": "±"}
    with pytest.raises(ValueError, match="JSON"):
        print_json({"a": float("nan")})


def test_facts_are_indented_below_their_heading_and_words_wrap(capsys: pytest.CaptureFixture[str]) -> None:
    words = "word " * 20
    print_facts(
        {
            "file": {"path": Path("x" * 90), "size": (3, 4, 5), "labels": ["liver", "tumor"], "deep": {"n": 1}},
            "why": words.strip(),
        }
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "file", f"  path: {'x' * 90}", "  size: 3 x 4 x 5", "  labels: liver, tumor", "  deep", "    n: 1",
    ]  # fmt: skip
    assert lines[6].startswith("why: word") and len(lines) == 8 and max(map(len, lines[6:])) <= 80


def test_a_narrow_terminal_is_believed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "dumb")
    print_facts({"why": "word " * 20})
    assert max(map(len, capsys.readouterr().out.splitlines())) in range(20, 31)
