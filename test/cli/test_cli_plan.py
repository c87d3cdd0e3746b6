# SPDX-License-Identifier: Apache-2.0
"""`liver-seg plan` on a body drawn by hand: a ball of a liver with one lesion and a straight vessel."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.cli import main

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., None]

#: The lesion's center and radius in LPS mm, drawn around voxel (22, 34, 22): see conftest.
LESION_MM, LESION_RADIUS_MM = np.array([-29.0, 19.0, 7.0]), 15.0
#: The body's ellipse: center and semi-axes in mm.
BODY_MM, BODY_AXES_MM = np.array([1.0, 1.0]), np.array([90.0, 78.0])


def run(arguments: list[object], capsys: pytest.CaptureFixture[str], exit_code: int = 0) -> dict:
    """What `plan --json` says."""
    assert main.run(["plan", *map(str, arguments), "--json"]) == exit_code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def planned(small_ct: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("planned")
    arguments = ["plan", small_ct / "labels.nii.gz", "--ct", small_ct / "ct.nii.gz", "-o", output]
    arguments += ["--ablation", "25,22", "--resection=-10,0,0,-1,0,0", "--png"]
    assert main.run([str(argument) for argument in arguments]) == 0
    return output


@pytest.fixture(scope="module")
def plan(planned: Path) -> dict:
    return json.loads((planned / "plan.json").read_text())


def test_writes_the_plan_the_trajectories_and_pictures(planned: Path) -> None:
    assert {path.name for path in planned.iterdir()} == {
        "plan.json", "plan.csv", "scene.png", "overlay.png", ".liver-seg.json",
    }  # fmt: skip


def test_trajectories_lead_from_the_skin_to_the_lesion(plan: dict) -> None:
    assert len(plan["trajectories"]) > 3
    for way in plan["trajectories"]:
        assert np.linalg.norm(way["target_mm"] - LESION_MM) < 3
        x, y = (np.array(way["entry_mm"][:2]) - BODY_MM) / BODY_AXES_MM
        assert np.hypot(x, y) == pytest.approx(1, abs=0.08)
        assert way["length_mm"] == pytest.approx(np.linalg.norm(np.subtract(way["entry_mm"], way["target_mm"])))


def test_they_keep_to_the_limits_and_the_best_comes_first(plan: dict) -> None:
    ways = plan["trajectories"]
    assert all(way["length_mm"] <= 150 and way["clearance_mm"] >= 0 for way in ways)
    best = ways[0]
    assert best["on_front"] and best["clearance_mm"] == max(w["clearance_mm"] for w in ways if w["on_front"])
    assert plan["accepted"] + sum(plan["rejected"].values()) == plan["candidates"]


def test_it_says_what_no_trajectory_was_kept_clear_of(plan: dict) -> None:
    assert plan["unlabelled"].startswith("Not labelled") and "bone" in plan["unlabelled"]
    assert "vein" not in plan["unlabelled"]  # vessels are labelled, if not told apart


def test_the_table_holds_the_same_trajectories(planned: Path, plan: dict) -> None:
    rows = list(csv.DictReader((planned / "plan.csv").open()))
    assert [int(row["rank"]) for row in rows] == list(range(1, len(plan["trajectories"]) + 1))
    for row, way in zip(rows, plan["trajectories"], strict=True):
        assert [float(row[f"entry_{axis}_mm"]) for axis in "xyz"] == pytest.approx(way["entry_mm"], abs=1e-3)
        assert float(row["clearance_mm"]) == pytest.approx(way["clearance_mm"], abs=1e-3)
        assert row["nearest"] == way["nearest"] == "vessel"


def test_ablation_resection_and_feeding_vessels_are_in_the_plan(plan: dict) -> None:
    tumor = plan["ablation"]["tumor"]
    assert tumor["covered"] == 1 and tumor["smallest_margin_mm"] == pytest.approx(22 - LESION_RADIUS_MM, abs=3)
    resection = plan["resection"]
    assert resection["resected_ml"] + resection["remnant_ml"] == pytest.approx(resection["liver_ml"], rel=0.01)
    assert resection["tumor_left_ml"] < 1
    assert plan["feeding"]["vessels"][0]["structure"] == "vessel"
    assert sum(vessel["share"] for vessel in plan["feeding"]["vessels"]) == pytest.approx(1)


def test_a_resection_needs_neither_lesion_nor_needle(
    small_ct: Path, draw_body: Draw, write_nifti: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "liver.nii.gz", (draw_body()[1] > 0).astype(np.uint8))
    arguments = [tmp_path / "liver.nii.gz", "-o", tmp_path / "out", "--resection=-23,1,1,0,0,5"]
    for further in ([], ["--ct", small_ct / "ct.nii.gz"]):
        plan = run([*arguments, *further], capsys)
        assert plan["resection"]["remnant_percent"] == pytest.approx(50, abs=3)  # a ball cut through its middle
        assert plan["trajectories"] == [] and plan["feeding"] is None and plan["message"] == ""


def test_one_trajectory_is_judged_without_a_ct(
    small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run([small_ct / "labels.nii.gz", "-o", tmp_path, "--entry=-89,19,7", "--target=-29,19,7"], capsys)
    (way,) = plan["trajectories"]
    assert way["length_mm"] == pytest.approx(60) and way["capsule_crossings"] == 1
    # The liver's ball of 45 mm is around (-23, 1, 1): how far along x its surface is from the target.
    inside = np.sqrt(45**2 - 18**2 - 6**2) - (-23 + 29)
    assert way["length_in_liver_mm"] == pytest.approx(inside, abs=2)
    assert json.loads((tmp_path / "plan.json").read_text()) == plan


def test_trajectories_may_begin_where_a_table_says(
    small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "entries.csv").write_text("x,y,z\n-89,19,7\n-80,60,7\n900,0,0\n")
    arguments = [small_ct / "labels.nii.gz", "-o", tmp_path / "out", "--entries", tmp_path / "entries.csv"]
    plan = run(arguments, capsys)
    assert {tuple(way["entry_mm"]) for way in plan["trajectories"]} == {(-89, 19, 7), (-80, 60, 7)}
    assert plan["candidates"] == 3 and plan["rejected"] == {"length": 1}


def test_the_terminal_says_that_a_phantom_is_no_patient(
    small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.nii.gz").write_bytes((small_ct / "labels.nii.gz").read_bytes())
    for command in (["measure"], ["plan", "--resection=0,0,0,1,0,0", "-o", str(tmp_path / "plan")]):
        arguments = [command[0], str(tmp_path / "labels.nii.gz"), *command[1:]]
        (tmp_path / "vessels.json").unlink(missing_ok=True)
        assert main.run(arguments) == 0
        assert "Synthetic" not in capsys.readouterr().out
        (tmp_path / "vessels.json").write_text(json.dumps({"labels": "labels.nii.gz"}))  # as `phantom` writes it
        assert main.run(arguments) == 0
        assert "Synthetic: a phantom, no patient." in capsys.readouterr().out


def test_limits_are_the_users(small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "entries.csv").write_text("-89,19,7\n-60,-70,7\n")  # the second passes the vessel at some 13 mm
    arguments = [small_ct / "labels.nii.gz", "-o", tmp_path / "out", "--entries", tmp_path / "entries.csv"]
    free = run(arguments, capsys)["trajectories"]
    least_mm = min(way["clearance_mm"] for way in free) + 1
    kept = run([*arguments, "--min-clearance-mm", least_mm], capsys)["trajectories"]
    assert len(free) == 2 and len(kept) == 1 and kept[0]["clearance_mm"] >= least_mm
    thick = run([*arguments, "--needle-radius-mm", 2.75], capsys)["trajectories"]
    assert max(w["clearance_mm"] for w in thick) == pytest.approx(max(w["clearance_mm"] for w in free) - 2, abs=0.1)


def test_that_there_is_no_trajectory_is_said_everywhere(
    small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "entries.csv").write_text("-89,19,7\n")
    arguments = [small_ct / "labels.nii.gz", "-o", tmp_path / "out", "--entries", tmp_path / "entries.csv"]
    assert main.run(["plan", *map(str, arguments), "--max-length-mm", "20", "--html", "--json"]) == 1
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and "no trajectory of 1" in err and "length 1" in err
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["trajectories"] == [] and plan["message"] in err and json.loads(out) == plan
    assert plan["message"] in (tmp_path / "out" / "report.html").read_text()
    assert len((tmp_path / "out" / "plan.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--ct"),
        (["--entry", "1,2"], "3 numbers"),
        (["--entry", "1,2,nan"], "3 numbers"),
        (["--entry=0,0,0", "--lesion", "7"], "no lesion 7"),
        (["--entry=0,0,0", "--ablation=-3,2"], "positive radii"),
        (["--entry=0,0,0", "--needle-radius-mm", "nan"], "radius"),
        (["--resection=0,0,0,0,0,0"], "direction"),
        (["--entries", "missing.csv"], "missing.csv"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_in_one_line(
    options: list[str], says: str, small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["plan", str(small_ct / "labels.nii.gz"), "-o", str(tmp_path / "out"), "-q", *options]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and says in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [("x,y,z\n", "no entries"), ("1,2,3\n4,5\n", "line 2"), ("1,2,inf\n", "line 1"), ("", "no entries")],
)
def test_a_table_of_entries_that_is_none_is_refused(
    text: str, says: str, small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "entries.csv").write_text(text)
    arguments = [small_ct / "labels.nii.gz", "-o", tmp_path / "out", "--entries", tmp_path / "entries.csv"]
    assert main.run(["plan", *map(str, arguments)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and says in err and "entries.csv" in err


@pytest.mark.parametrize("filling_hu", [-1024, -3024, 0])
def test_where_only_cuts_are_seen_no_needle_begins_and_that_is_said(
    filling_hu: int, draw_body: Draw, write_nifti: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scanner's field of view of 65 mm radius in a body of 78 x 90 mm."""
    ct, labels = draw_body()
    ct = ct + np.random.default_rng(0).normal(0, 12, ct.shape).astype(np.int16)
    _, j, i = np.ogrid[:40, :56, :64]
    ct[np.broadcast_to(np.hypot(j - 28, i - 30) * 3 > 65, ct.shape)] = filling_hu
    write_nifti(tmp_path / "ct.nii.gz", ct)
    write_nifti(tmp_path / "labels.nii.gz", labels)
    arguments = [tmp_path / "labels.nii.gz", "--ct", tmp_path / "ct.nii.gz", "-o", tmp_path / "out"]
    assert main.run(["plan", *map(str, arguments), "--json"]) == 1
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and "no skin" in err and "--entries" in err
    plan = json.loads(out)
    assert plan["trajectories"] == [] and plan["candidates"] == 0 and plan["skin_cut"] == 1
    assert main.run(["plan", *map(str, arguments), "--entry=-80,19,7", "--json", "--overwrite"]) == 0


def test_the_title_names_the_lesion_only_where_it_is_the_target(
    small_ct: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for target, goal in (([], "Trajectory to lesion 1"), (["--target=-25,19,7"], "Trajectory to the target")):
        arguments = ["plan", small_ct / "labels.nii.gz", "-o", tmp_path / "out", "--entry=-89,19,7", *target]
        assert main.run([str(argument) for argument in arguments]) == 0
        assert goal in capsys.readouterr().out.splitlines()


def test_bone_by_hu_is_kept_clear_of_and_told_as_such(
    draw_body: Draw, write_nifti: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rib of 12 mm where the shortest trajectory enters."""
    ct, labels = draw_body()
    ct[:, 31:38, 6:9] = 700
    write_nifti(tmp_path / "ct.nii.gz", ct)
    write_nifti(tmp_path / "labels.nii.gz", labels)
    arguments = [tmp_path / "labels.nii.gz", "--ct", tmp_path / "ct.nii.gz", "-o", tmp_path / "out"]
    assert main.run(["plan", *map(str, arguments), "--html"]) == 0
    out = capsys.readouterr().out
    assert "bone by HU" in out and "Kept clear of by HU, without labels: bone." in " ".join(out.split())
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["by_hu"] == {"searched": ["bone", "lung", "gas"], "found": ["bone"], "why_not": ""}
    assert plan["rejected"]["clearance to bone by HU"] > 5 and "bone" not in plan["unlabelled"]
    for way in plan["trajectories"]:
        (bone,) = (clearance for clearance in way["clearances"] if clearance["structure"] == "bone")
        assert bone["by_hu"] and bone["clearance_mm"] >= 1 and way["nearest"] != "bone"
        assert not any(c["by_hu"] for c in way["clearances"] if c != bone)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "bone by HU" in page and "Kept clear of by HU" in page

    off = run([*arguments, "--no-hu"], capsys)
    assert off["by_hu"] == {"searched": [], "found": [], "why_not": "as asked"}
    assert off["accepted"] > plan["accepted"] and "clearance to bone by HU" not in off["rejected"]
    assert "bone" in off["unlabelled"]

    given = [*arguments, "--entry=-89,19,7"]
    (way,) = run(given, capsys)["trajectories"]
    (bone,) = (clearance for clearance in way["clearances"] if clearance["structure"] == "bone")
    assert bone["clearance_mm"] < -3
    (way,) = run([*given, "--no-hu"], capsys)["trajectories"]
    assert not any(clearance["structure"] == "bone" for clearance in way["clearances"])
    capsys.readouterr()
    assert main.run(["plan", *map(str, given)]) == 0
    table = capsys.readouterr().out
    assert any("bone by HU" in line and "too near" in line for line in table.splitlines())
