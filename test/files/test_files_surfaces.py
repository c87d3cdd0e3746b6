# SPDX-License-Identifier: Apache-2.0
"""Surfaces from mesh files: as this package and 3D Slicer write them, turned into LPS, normals outward."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.meshes import write_mesh
from liver_seg_ros.files.surfaces import read_surface
from liver_seg_ros.labels import LIVER
from liver_seg_ros.mesh import Mesh

CENTER = np.array([40.0, -70.0, 900.0])


@pytest.fixture(scope="module")
def ellipsoid() -> trimesh.Trimesh:
    body = trimesh.creation.icosphere(subdivisions=3)
    body.apply_scale([60.0, 40.0, 30.0])
    body.apply_translation(CENTER)
    return body


def outward(mesh: Mesh) -> bool:
    from_center = mesh.vertices_mm - mesh.vertices_mm.mean(axis=0)
    return bool((np.einsum("vx,vx->v", mesh.normals, from_center) > 0).all())


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".obj"])
def test_what_this_package_writes_comes_back(ellipsoid: trimesh.Trimesh, tmp_path: Path, suffix: str) -> None:
    mesh = Mesh(
        LIVER,
        ellipsoid.vertices.astype(np.float32),
        ellipsoid.faces.astype(np.int32),
        ellipsoid.vertex_normals.astype(np.float32),
    )
    write_mesh(tmp_path / f"liver{suffix}", mesh)
    found = read_surface(tmp_path / f"liver{suffix}")
    assert len(found.vertices_mm) == len(mesh.vertices_mm) and len(found.triangles) == len(mesh.triangles)
    assert np.ptp(found.vertices_mm, axis=0) == pytest.approx([120, 80, 60], rel=1e-3)
    assert found.vertices_mm.mean(axis=0) == pytest.approx(CENTER, abs=0.1)
    assert outward(found)


@pytest.mark.parametrize("inside_out", [False, True])
def test_ras_is_turned_and_normals_point_outward(ellipsoid: trimesh.Trimesh, tmp_path: Path, inside_out: bool) -> None:
    body = ellipsoid.copy()
    if inside_out:
        body.invert()
    stl = bytearray(body.export(file_type="stl"))
    stl[:80] = b"3D Slicer output. SPACE=RAS".ljust(80)
    (tmp_path / "ras.stl").write_bytes(stl)
    found = read_surface(tmp_path / "ras.stl")
    assert found.vertices_mm.mean(axis=0) == pytest.approx(CENTER * [-1, -1, 1], abs=0.1)
    assert outward(found)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("liver.glb", b"", "is no mesh. Give one of .ply, .stl, .obj"),
        ("liver.stl", b"solid", "no triangles|cannot be read"),
        ("liver.ply", b"ply\nformat ascii 1.0\nend", "cannot be read|no triangles"),
        ("liver.obj", b"v 1 2 3\n", "no triangles|cannot be read"),
    ],
)
def test_what_is_no_surface_is_one_line(tmp_path: Path, name: str, content: bytes, line: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=line) as error:
        read_surface(tmp_path / name)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no such file"):
        read_surface(tmp_path / "none.ply")


@pytest.mark.parametrize("scale", [0.001, 1000.0])
def test_another_unit_is_refused(ellipsoid: trimesh.Trimesh, tmp_path: Path, scale: float) -> None:
    ellipsoid.copy().apply_scale(scale).export(tmp_path / "liver.ply")
    with pytest.raises(InputError, match="mm across; no organ does"):
        read_surface(tmp_path / "liver.ply")


def test_coordinates_that_are_none_are_refused(ellipsoid: trimesh.Trimesh, tmp_path: Path) -> None:
    body = ellipsoid.copy()
    body.vertices[3] = np.nan
    body.export(tmp_path / "liver.ply")
    with pytest.raises(InputError, match="vertices that are not finite"):
        read_surface(tmp_path / "liver.ply")
