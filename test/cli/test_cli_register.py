# SPDX-License-Identifier: Apache-2.0
"""`liver-seg register` from files as a person writes them: a known motion is found, and what is told of it is true."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from liver_seg_ros.cli import main

CT_MM = np.array([[-90.0, -60, -40], [70, 20, 30], [-40, 75, 10], [15, 50, 50], [-30, -20, -50]])
TURN = Rotation.from_rotvec([0.3, -0.9, 1.4])
SHIFT_MM = np.array([620.0, -80.0, 310.0])


def measured(ct_mm: np.ndarray) -> np.ndarray:
    """Where the robot finds places of the CT."""
    return TURN.apply(ct_mm) + SHIFT_MM


def write(path: Path, rows: np.ndarray, *names: str) -> Path:
    lines = [",".join([*names[n : n + 1], *(f"{value:.6f}" for value in row)]) for n, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    noise = np.array([[1.0, 0, 0], [-1, 0.5, 0], [0, -1, 0.5], [0, 0.5, -1], [0, 0, 0.5]])
    return write(tmp_path / "pairs.csv", np.hstack([measured(CT_MM) + noise, CT_MM]), "rib", "xiphoid", "navel")


def run(*arguments: object) -> int:
    return main.run(["register", *map(str, arguments)])


def test_landmarks_give_the_transform_with_residuals_and_the_error_at_the_target(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.hstack([measured(CT_MM), CT_MM])
    path = write(tmp_path / "pairs.csv", rows, *"abcde")
    assert run("--landmarks", path, "-o", tmp_path / "out", "--target=-29,19,7") == 0
    out = capsys.readouterr().out
    assert "Landmarks" in out and "Targets" in out and "-29.0, 19.0, 7.0" in out
    found = json.loads((tmp_path / "out" / "transform.json").read_text())
    matrix = np.array(found["matrix"])
    assert matrix[:3, :3] == pytest.approx(TURN.inv().as_matrix(), abs=1e-6)
    assert (found["from"], found["to"], found["unit"]) == ("measured", "LPS", "mm")
    at = np.array([*measured(np.array([-29.0, 19, 7])), 1.0])
    assert (matrix @ at)[:3] == pytest.approx([-29, 19, 7], abs=1e-4)
    assert found["ct_in_measured"]["translation_m"] == pytest.approx(SHIFT_MM / 1000, abs=1e-6)
    assert found["names"] == list("abcde") and found["landmarks"]["fre_mm"] < 1e-4
    with (tmp_path / "out" / "landmarks.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["landmark"] for row in table] == list("abcde")
    assert float(table[0]["ct_x_mm"]) == -90 and float(table[0]["residual_mm"]) == 0


def test_the_tables_say_what_the_json_says_on_narrow_terminals(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "50")
    lines = pairs.read_text().splitlines()
    pairs.write_text("\n".join([*lines[:3], *(f",{line}" for line in lines[3:])]))  # of the others no name
    assert run("--landmarks", "pairs.csv", "-o", "out") == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 50 for line in out.splitlines())
    assert run("--landmarks", "pairs.csv", "-o", "out", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["names"] == ["rib", "xiphoid", "navel", "4", "5"]
    for name, residual in zip(values["names"], values["landmarks"]["residual_mm"], strict=True):
        assert any(line.split() == [name, f"{residual:.2f}"] for line in out.splitlines())
    fre_mm, fle_mm = (values["landmarks"][name] for name in ("fre_mm", "fle_mm"))
    assert fle_mm == pytest.approx(fre_mm / np.sqrt(1 - 2 / 5))
    assert f"(FRE): {fre_mm:.2f} mm; a landmark is found to about {fle_mm:.2f} mm (FLE)" in " ".join(out.split())


def test_a_surface_refines_and_labels_do_as_well_as_a_mesh(
    small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The liver is a ball: the surface finds its center, whatever the landmarks were off."""
    labels = small_ct / "labels.nii.gz"
    assert main.run(["reconstruct", str(labels), "-o", str(tmp_path / "meshes"), "-q"]) == 0
    center = np.array([-95.0, -83, -59]) + 3 * np.array([24, 28, 20])
    random = np.random.default_rng(0)
    on_ball = random.normal(size=(400, 3))
    on_ball *= 45 / np.linalg.norm(on_ball, axis=1)[:, None]
    points = write(tmp_path / "points.csv", measured(center + on_ball))
    off = np.array([4.0, 2.0, -3.0])
    pairs = write(tmp_path / "pairs.csv", np.hstack([measured(CT_MM) + off, CT_MM]))
    for surface in (labels, tmp_path / "meshes" / "liver.ply"):
        asked = ("--landmarks", pairs, "--points", points, "--surface", surface, "-o", tmp_path / "out")
        assert run(*asked) == 0
        assert "The refined transform is taken." in " ".join(capsys.readouterr().out.split())
        found = json.loads((tmp_path / "out" / "transform.json").read_text())
        assert (
            found["surface"]["accepted"] and found["surface"]["initial_residual_mm"] > found["surface"]["residual_mm"]
        )
        there = np.array(found["matrix"]) @ [*measured(center), 1.0]
        assert there[:3] == pytest.approx(center, abs=0.7)
    again = ("--initial", tmp_path / "out" / "transform.json", "--points", points, "--surface", labels)
    assert run(*again, "-o", tmp_path / "again", "-q") in (0, 1)  # it is there already
    assert not (tmp_path / "again" / "landmarks.csv").exists()


def test_a_start_that_cannot_be_refined_is_kept_and_told(
    small_ct: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs.write_text(
        "\n".join(line.split(",", 1)[-1] if line[0].isalpha() else line for line in pairs.read_text().splitlines())
    )
    points = write(tmp_path / "points.csv", np.random.default_rng(0).uniform(-300, 300, (50, 3)))
    asked = ("--landmarks", pairs, "--points", points, "--surface", small_ct / "labels.nii.gz")
    assert run(*asked, "-o", tmp_path / "out", "-q") == 1
    said = capsys.readouterr().err
    assert "the start is kept" in said and said.count("\n") == 1
    kept = json.loads((tmp_path / "out" / "transform.json").read_text())
    assert kept["message"] in said and not kept["surface"]["accepted"]
    assert run("--landmarks", pairs, "-o", tmp_path / "alone", "-q") == 0
    assert json.loads((tmp_path / "alone" / "transform.json").read_text())["matrix"] == kept["matrix"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "nothing to begin with: give --landmarks"),
        (("--landmarks", "PAIRS", "--points", "PAIRS"), "--points and --surface need each other"),
        (
            ("--initial", "PAIRS", "--points", "PAIRS", "--surface", "x.ply", "--target=1,2,3"),
            "--target needs --landmarks",
        ),
        (("--landmarks", "none.csv"), "none.csv: cannot be read"),
        (("--landmarks", "PAIRS", "--points", "PAIRS", "--surface", "x.ply"), "is not three numbers x,y,z"),
        (("--initial", "PAIRS"), "holds no transform"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], line: str
) -> None:
    pairs = write(tmp_path / "pairs.csv", np.hstack([measured(CT_MM), CT_MM]))
    assert run(*(str(pairs) if word == "PAIRS" else word for word in arguments), "-o", tmp_path / "out", "-q") == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
