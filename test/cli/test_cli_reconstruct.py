# SPDX-License-Identifier: Apache-2.0
"""`liver-seg reconstruct` and `liver-seg render` on labels drawn by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from liver_seg_ros.cli import main
from liver_seg_ros.files.vessel_tree import read_vessel_tree
from liver_seg_ros.labels import SEGMENTED, TUMOR

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., None]


@pytest.fixture(scope="module")
def reconstructed(small_ct: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("reconstructed")
    assert main.run(["reconstruct", str(small_ct / "labels.nii.gz"), "-o", str(output)]) == 0
    return output


#: What is written whatever is labelled, and what only where there are vessels.
ALWAYS = {"report.json", "cloud.ply", "measurements.json", "measurements.csv", ".liver-seg.json"}
TREE = {"vessel_tree.vtp", "vessel_tree.json"}


def mesh_files(*names: str) -> set[str]:
    return {f"{name}{suffix}" for name in names for suffix in (".ply", ".glb")}


def test_writes_all_that_was_made(reconstructed: Path) -> None:
    meshes = mesh_files(*(f"{structure.name}{kind}" for structure in SEGMENTED for kind in ("", "_collision")))
    assert {path.name for path in reconstructed.iterdir()} == meshes | ALWAYS | TREE


def test_cloud_tree_and_measurements_are_of_the_same_patient(reconstructed: Path) -> None:
    tumor = trimesh.load_mesh(reconstructed / "tumor.ply")
    cloud = read_ply_points(reconstructed / "cloud.ply")
    on_tumor = cloud["label"] == TUMOR.value
    points = np.stack([cloud[axis][on_tumor] for axis in "xyz"], axis=1)
    assert len(points) > 100 and np.abs(points.mean(axis=0) - tumor.center_mass).max() < 1
    tree = read_vessel_tree(reconstructed / "vessel_tree.json")
    # A straight vessel of radius 9 mm along z at (-17, -17).
    middle = tree.points_mm[np.abs(tree.points_mm[:, 2] - 1) < 10]
    assert np.abs(middle[:, :2] - (-17, -17)).max() < 3
    structures = json.loads((reconstructed / "measurements.json").read_text())["structures"]
    lesion = next(structure for structure in structures if structure["structure"] == "tumor")["parts"][0]
    assert lesion["center_mm"] == pytest.approx(tumor.center_mass, abs=1) and lesion["to_vessel"]["distance_mm"] > 0


def read_ply_points(path: Path) -> np.ndarray:
    header, _, body = path.read_bytes().partition(b"end_header\n")
    count = int(re.search(rb"element vertex (\d+)", header).group(1))
    kinds = {b"float": "<f4", b"uchar": "u1"}
    fields = re.findall(rb"property (float|uchar) (\w+)", header)
    return np.frombuffer(body, [(name.decode(), kinds[kind]) for kind, name in fields], count)


def test_meshes_are_closed_and_where_the_labels_are(reconstructed: Path) -> None:
    tumor = trimesh.load_mesh(reconstructed / "tumor.ply")
    assert tumor.is_watertight
    # Drawn around voxel (22, 34, 22) with spacing 3 mm and origin (-95, -83, -59): see conftest.
    assert tumor.center_mass == pytest.approx((-29, 19, 7), abs=1.5)
    assert tumor.volume / 1000 == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.15)


def test_the_collision_mesh_encloses_what_is_looked_at(reconstructed: Path) -> None:
    shown, kept_clear = (trimesh.load_mesh(reconstructed / f"tumor{kind}.ply") for kind in ("", "_collision"))
    assert kept_clear.is_watertight and kept_clear.volume > shown.volume
    (low, high), (outer_low, outer_high) = shown.bounds, kept_clear.bounds
    assert (outer_low <= low).all() and (outer_high >= high).all() and (outer_high - high).max() < 3.1


def test_the_report_agrees_with_the_files(reconstructed: Path) -> None:
    report = json.loads((reconstructed / "report.json").read_text())
    assert report["liver_found"] is True and report["lesions"] == 1
    for structure in SEGMENTED:
        mesh = trimesh.load_mesh(reconstructed / f"{structure.name}.ply")
        said = report["structures"][structure.name]
        assert said["triangles"] == len(mesh.faces)
        assert said["watertight"] is mesh.is_watertight is True
        collision = trimesh.load_mesh(reconstructed / f"{structure.name}_collision.ply")
        around = said["collision_mesh"]
        assert around["quality"]["triangles"] == len(collision.faces) and around["quality"]["outward"] is True
        farthest_mm = trimesh.proximity.closest_point_naive(mesh, collision.vertices)[1].max()
        # The report's distance is to mesh or voxel centers, whichever is nearer.
        assert around["margin_mm"] == 3.0 and around["largest_distance_mm"] == pytest.approx(farthest_mm, abs=0.5)
    measured = json.loads((reconstructed / "measurements.json").read_text())["structures"]
    assert rounded(list(report["structures"].values())) == rounded(measured)
    assert report["models"] == [] and report["runtime"] is None and report["dice"] is None


def rounded(value: Any) -> Any:
    """To what a report shows of lengths; the one file has more digits than the other."""
    return json.loads(json.dumps(value), parse_float=lambda figure: pytest.approx(float(figure), abs=0.006))


def test_meshes_of_an_earlier_run_do_not_stay(
    reconstructed: Path, draw_body: Draw, write_nifti: Write, tmp_path: Path
) -> None:
    labels = draw_body()[1]
    for name, array in (("all", labels), ("liver", (labels > 0).astype(np.uint8))):
        write_nifti(tmp_path / f"{name}.nii.gz", array)
        assert main.run(["reconstruct", str(tmp_path / f"{name}.nii.gz"), "-o", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == mesh_files("liver", "liver_collision") | ALWAYS


def test_the_triangle_budget_is_kept(small_ct: Path, tmp_path: Path) -> None:
    labels = str(small_ct / "labels.nii.gz")
    assert main.run(["reconstruct", labels, "-o", str(tmp_path), "--triangle-budget", "500", "--png"]) == 0
    assert len(trimesh.load_mesh(tmp_path / "liver.ply").faces) <= 500
    assert (tmp_path / "scene.png").is_file() and not (tmp_path / "overlay.png").exists()  # there is no CT


def test_json_is_the_report(small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["reconstruct", str(small_ct / "labels.nii.gz"), "-o", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "report.json").read_text())


def test_labels_without_a_voxel_are_refused(
    draw_body: Draw, write_nifti: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "empty.nii.gz", np.zeros_like(draw_body()[1]))
    assert main.run(["reconstruct", str(tmp_path / "empty.nii.gz"), "-o", str(tmp_path / "out")]) == 2
    assert "nothing to reconstruct" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_render_writes_two_pictures(small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ct, labels = str(small_ct / "ct.nii.gz"), str(small_ct / "labels.nii.gz")
    assert main.run(["render", ct, labels, "-o", str(tmp_path), "--json"]) == 0
    assert [Path(path).name for path in json.loads(capsys.readouterr().out)["written"]] == ["overlay.png", "scene.png"]
    for name in ("overlay.png", "scene.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG") and (tmp_path / name).stat().st_size > 5000


def test_render_refuses_labels_of_another_ct(
    small_ct: Path, draw_body: Draw, write_nifti: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "other.nii.gz", draw_body()[1], spacing_mm=2.0)
    arguments = ["render", str(small_ct / "ct.nii.gz"), str(tmp_path / "other.nii.gz"), "-o", str(tmp_path / "out")]
    assert main.run(arguments) == 2
    assert "labels of this CT" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
