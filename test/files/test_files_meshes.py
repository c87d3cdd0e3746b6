# SPDX-License-Identifier: Apache-2.0
"""Meshes and clouds through files: places, normals, colors, units, as other programs see them."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.meshes import LPS_TO_GLTF, write_cloud, write_mesh
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.measurement import PartMeasurement
from liver_seg_ros.mesh import Mesh, PointCloud

CENTER_MM = np.array([-60.0, 20.0, 900.0])


def ball(structure=LIVER) -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=2, radius=40)
    vertices = (sphere.vertices * [1.0, 1.2, 0.8] + CENTER_MM).astype(np.float32)
    normals = (sphere.vertices / np.linalg.norm(sphere.vertices, axis=1, keepdims=True)).astype(np.float32)
    return Mesh(structure, vertices, sphere.faces.astype(np.int32), normals)


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".obj", ".glb"])
def test_surface_comes_back(tmp_path: Path, suffix: str) -> None:
    mesh = ball()
    write_mesh(tmp_path / f"liver{suffix}", mesh)
    read = trimesh.load(tmp_path / f"liver{suffix}", force="mesh")
    expected = trimesh.Trimesh(mesh.vertices_mm, mesh.triangles, process=False)
    in_mm = read.vertices @ LPS_TO_GLTF[:3, :3] * 1000 if suffix == ".glb" else read.vertices
    read = trimesh.Trimesh(in_mm, read.faces, process=True)
    assert read.is_watertight
    assert len(read.faces) == len(mesh.triangles)
    assert np.isclose(read.volume, expected.volume, rtol=1e-4)  # positive: outward faces
    assert np.allclose(read.bounds, expected.bounds, atol=1e-3)
    assert [file.name for file in tmp_path.iterdir()] == [f"liver{suffix}"]


@pytest.mark.parametrize("suffix", [".ply", ".obj"])
def test_shared_vertices_order_and_normals_stay(tmp_path: Path, suffix: str) -> None:
    mesh = ball()
    write_mesh(tmp_path / f"liver{suffix}", mesh)
    read = trimesh.load(tmp_path / f"liver{suffix}", process=False, maintain_order=True)
    assert np.allclose(read.vertices, mesh.vertices_mm, atol=1e-3)
    assert (read.faces == mesh.triangles).all()
    assert np.allclose(read.vertex_normals, mesh.normals, atol=1e-5)


def test_formats_say_that_they_hold_lps(tmp_path: Path) -> None:
    for suffix, start in ((".ply", b"\ncomment SPACE=LPS\n"), (".stl", b"SPACE=LPS"), (".obj", b"\n# SPACE=LPS\n")):
        write_mesh(tmp_path / f"liver{suffix}", ball())
        assert start in (tmp_path / f"liver{suffix}").read_bytes()[:200]


def test_ply_has_the_tables_color(tmp_path: Path) -> None:
    write_mesh(tmp_path / "liver.ply", ball())
    colors = trimesh.load(tmp_path / "liver.ply").visual.vertex_colors
    assert (colors == [*LIVER.color_rgb, round(255 * LIVER.opacity)]).all()


def test_ply_and_glb_carry_the_confidence_in_each_lesion(tmp_path: Path) -> None:
    # Three octahedra: (center, radius, confidence); a corner of the second is nearer to the third's center.
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
    sides = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]], np.int32)
    known = [((-80.0, 0.0, 0.0), 9.0, 0.75), ((0.0, 0.0, 0.0), 20.0, None), ((26.0, 0.0, 0.0), 5.0, 0.25)]
    vertices = np.concatenate([np.array(at, np.float32) + r * corners for at, r, _ in known]).astype(np.float32)
    mesh = Mesh(TUMOR, vertices, np.concatenate([sides + 6 * n for n in range(3)]), np.tile(corners, (3, 1)))
    parts = [PartMeasurement(4 / 3 * np.pi * r**3 / 1e3, 2 * r, at, confidence=sure) for at, r, sure in known]
    expected = np.repeat(np.array([0.75, -1.0, 0.25], np.float32), 6)

    write_mesh(tmp_path / "tumor.ply", mesh, parts)
    read = trimesh.load(tmp_path / "tumor.ply", process=False)
    raw = read.metadata["_ply_raw"]["vertex"]["data"]
    assert np.array_equal(raw["confidence"].ravel(), expected)
    write_mesh(tmp_path / "tumor.glb", mesh, parts)
    [back] = trimesh.load(tmp_path / "tumor.glb", process=False).geometry.values()
    assert np.array_equal(back.vertex_attributes["_CONFIDENCE"].ravel(), expected)
    told = back.metadata["lesions"]
    assert [(lesion["lesion"], lesion["confidence"]) for lesion in told] == [(1, 0.75), (2, None), (3, 0.25)]
    assert told[2]["center_mm"] == [26.0, 0.0, 0.0]

    nothing = [replace(part, confidence=None) for part in parts]
    for suffix in (".ply", ".glb"):
        write_mesh(tmp_path / f"unknown{suffix}", mesh, nothing)
        assert b"onfidence" not in (tmp_path / f"unknown{suffix}").read_bytes().lower()


def test_glb_stands_upright_in_metres_facing_the_camera(tmp_path: Path) -> None:
    mesh = ball()
    write_mesh(tmp_path / "liver.glb", mesh)
    scene = trimesh.load(tmp_path / "liver.glb")
    transform, name = scene.graph["liver"]
    local = scene.geometry[name]
    assert np.allclose(local.vertices, mesh.vertices_mm / 1000, atol=1e-6)  # the buffer itself is LPS in metres
    assert np.allclose(local.vertex_normals, mesh.normals, atol=1e-5)
    assert np.isclose(np.linalg.det(transform[:3, :3]), 1)
    left, posterior, superior = transform[:3, :3].T  # where the axes of LPS go
    assert left.tolist() == [1, 0, 0]  # glTF: +X is the model's left,
    assert superior.tolist() == [0, 1, 0]  # +Y is up
    assert posterior.tolist() == [0, 0, -1]  # and +Z its front


def test_glb_is_laid_out_as_gltf_wants(tmp_path: Path) -> None:
    mesh = ball()
    write_mesh(tmp_path / "liver.glb", mesh)
    data = (tmp_path / "liver.glb").read_bytes()
    assert struct.unpack("<4sII", data[:12]) == (b"glTF", 2, len(data))
    length, kind = struct.unpack("<I4s", data[12:20])
    assert kind == b"JSON" and length % 4 == 0
    scene, binary = json.loads(data[20 : 20 + length]), data[20 + length + 8 :]
    assert struct.unpack("<I4s", data[20 + length : 28 + length]) == (scene["buffers"][0]["byteLength"], b"BIN\0")
    [primitive] = scene["meshes"][0]["primitives"]
    for number, array in [
        (primitive["indices"], mesh.triangles.reshape(-1).astype("<u4")),
        (primitive["attributes"]["POSITION"], (mesh.vertices_mm.astype(float) / 1000).astype("<f4")),
        (primitive["attributes"]["NORMAL"], mesh.normals.astype("<f4")),
    ]:
        accessor = scene["accessors"][number]
        view = scene["bufferViews"][accessor["bufferView"]]
        assert binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]] == array.tobytes()
        assert view["byteOffset"] % 4 == 0 and accessor["count"] == len(array)
        assert accessor["componentType"] == {"u": 5125, "f": 5126}[array.dtype.kind]
        assert accessor["type"] == ("VEC3" if array.ndim == 2 else "SCALAR")
        assert accessor["min"] == np.atleast_1d(array.min(axis=0)).tolist()  # as stored, to the last bit
        assert accessor["max"] == np.atleast_1d(array.max(axis=0)).tolist()


@pytest.mark.parametrize(("structure", "mode"), [(LIVER, "BLEND"), (VESSEL, "OPAQUE")])
def test_glb_material(tmp_path: Path, structure, mode: str) -> None:
    write_mesh(tmp_path / "m.glb", ball(structure))
    material = next(iter(trimesh.load(tmp_path / "m.glb").geometry.values())).visual.material
    assert material.name == structure.name
    assert material.alphaMode == mode
    *linear, alpha = np.array(material.baseColorFactor) / 255
    screen = [12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in linear]
    assert np.allclose(screen, np.array(structure.color_rgb) / 255, atol=0.05)
    assert np.isclose(alpha, structure.opacity, atol=0.01)


def test_cloud(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    normals = rng.normal(size=(50, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cloud = PointCloud(rng.normal(0, 90, (50, 3)).astype(np.float32), normals, rng.integers(1, 4, 50).astype(np.uint8))
    write_cloud(tmp_path / "cloud.ply", cloud)
    read = trimesh.load(tmp_path / "cloud.ply")
    assert np.allclose(read.vertices, cloud.points_mm, atol=1e-4)
    raw = read.metadata["_ply_raw"]["vertex"]["data"]
    assert (raw["label"] == cloud.labels).all()
    assert np.allclose(np.stack([raw["nx"], raw["ny"], raw["nz"]], 1), cloud.normals)
    tumor = cloud.labels == TUMOR.value
    assert (read.colors[tumor][:, :3] == TUMOR.color_rgb).all()


def test_empty_mesh_and_cloud(tmp_path: Path) -> None:
    points, triangles = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    write_mesh(tmp_path / "tumor.ply", Mesh(TUMOR, points, triangles, points))
    write_mesh(tmp_path / "tumor.stl", Mesh(TUMOR, points, triangles, points))
    write_cloud(tmp_path / "cloud.ply", PointCloud(points, points, np.zeros(0, np.uint8)))
    assert b"element vertex 0" in (tmp_path / "cloud.ply").read_bytes()
    assert (tmp_path / "tumor.stl").stat().st_size == 84


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.glb"):
        write_mesh(tmp_path / "liver.fbx", ball())
    with pytest.raises(InputError, match=r"\.ply"):
        write_cloud(tmp_path / "cloud.pcd", PointCloud(*[np.zeros((1, 3), np.float32)] * 2, np.ones(1, np.uint8)))
    assert list(tmp_path.iterdir()) == []
