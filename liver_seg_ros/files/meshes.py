"""Writing meshes and clouds for 3D Slicer, RViz, MeshLab, browsers and printers.

PLY, STL and OBJ hold LPS millimetres and say so in the place where 3D Slicer looks. GLB holds metres, as glTF wants,
and a root node that turns LPS into glTF's axes, so that a viewer shows the patient upright and facing the camera.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.visual.material import PBRMaterial

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.ply import write_ply
from liver_seg_ros.geometry import lps_to_ros
from liver_seg_ros.labels import STRUCTURES
from liver_seg_ros.mesh import Mesh, PointCloud

# glTF 2.0, 3.4: +X is the model's left, +Y up, +Z its front. LPS: left, posterior, superior.
LPS_TO_GLTF = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])

VERTEX = np.dtype([(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")])
COLORS = [(name, "u1") for name in ("red", "green", "blue", "alpha")]
STL_TRIANGLE = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
STL_HEADER_BYTES = 80


def write_mesh(path: str | Path, mesh: Mesh) -> None:
    """Write one structure's mesh as `.ply`, `.stl`, `.obj` or `.glb`, with the label table's color where it has one.

    Raises `InputError` for another suffix or where the file cannot be written.
    """
    path = Path(path)
    writers = {".ply": _write_ply, ".stl": _write_stl, ".obj": _write_obj, ".glb": _write_glb}
    if path.suffix.lower() not in writers:
        raise InputError(f"{path}: cannot write a mesh in this format. Use one of {', '.join(writers)}.")
    with written_beside(path) as temporary:
        writers[path.suffix.lower()](temporary, mesh)


def write_cloud(path: str | Path, cloud: PointCloud) -> None:
    """Write a labelled cloud as `.ply`: position, normal, color and `label` per point, LPS mm.

    Raises `InputError` for another suffix or where the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".ply":
        raise InputError(f"{path}: cannot write a cloud in this format. Use .ply.")
    colors = np.full((256, 4), 255, np.uint8)
    for structure in STRUCTURES:
        colors[structure.value, :3] = structure.color_rgb
    vertices = _vertices(cloud.points_mm, cloud.normals, colors[cloud.labels], [("label", "u1")])
    vertices["label"] = cloud.labels
    with written_beside(path) as temporary:
        write_ply(temporary, vertices)


def _vertices(
    points: NDArray[np.float32], normals: NDArray[np.float32], colors: NDArray[np.uint8], further: list[tuple[str, str]]
) -> NDArray[np.void]:
    """`(V,)` PLY records of position, normal and color, with room for `further` properties."""
    records = np.empty(len(points), np.dtype(VERTEX.descr + COLORS + further))
    for axis, name in enumerate("xyz"):
        records[name], records[f"n{name}"] = points[:, axis], normals[:, axis]
    for channel, (name, _) in enumerate(COLORS):
        records[name] = colors[..., channel]
    return records


def _rgba(mesh: Mesh) -> NDArray[np.uint8]:
    return np.array([*mesh.structure.color_rgb, round(255 * mesh.structure.opacity)], np.uint8)


def _write_ply(path: Path, mesh: Mesh) -> None:
    write_ply(path, _vertices(mesh.vertices_mm, mesh.normals, _rgba(mesh), []), mesh.triangles)


def _write_stl(path: Path, mesh: Mesh) -> None:
    """Binary STL with a header that 3D Slicer understands, which trimesh's writer cannot set."""
    triangles = np.zeros(len(mesh.triangles), STL_TRIANGLE)
    corners = mesh.vertices_mm[mesh.triangles]  # (T, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    triangles["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    triangles["corners"] = corners
    header = f"{mesh.structure.name} SPACE=LPS unit mm".encode("ascii").ljust(STL_HEADER_BYTES)
    path.write_bytes(header + np.uint32(len(triangles)).tobytes() + triangles.tobytes())


def _trimesh(mesh: Mesh, vertices: NDArray[np.floating]) -> trimesh.Trimesh:
    return trimesh.Trimesh(vertices, mesh.triangles, vertex_normals=mesh.normals, process=False)


def _write_obj(path: Path, mesh: Mesh) -> None:
    header = f"{mesh.structure.name}\n# SPACE=LPS\n# unit mm"
    text = trimesh.exchange.obj.export_obj(
        _trimesh(mesh, mesh.vertices_mm), include_normals=True, include_color=False, header=header
    )
    path.write_text(text, encoding="ascii")


def _write_glb(path: Path, mesh: Mesh) -> None:
    *color, alpha = (int(value) for value in _rgba(mesh))
    surface = _trimesh(mesh, lps_to_ros(mesh.vertices_mm))
    surface.visual = trimesh.visual.TextureVisuals(
        material=PBRMaterial(
            name=mesh.structure.name,
            baseColorFactor=[*_linear(color), alpha],
            metallicFactor=0.0,
            roughnessFactor=0.6,
            alphaMode="OPAQUE" if alpha == 255 else "BLEND",
        )
    )
    scene = trimesh.Scene()
    scene.add_geometry(surface, node_name=mesh.structure.name, geom_name=mesh.structure.name, transform=LPS_TO_GLTF)
    path.write_bytes(trimesh.exchange.gltf.export_glb(scene, include_normals=True))


def _linear(srgb: list[int]) -> list[int]:
    """glTF colors surfaces in linear light, the label table's colors are those of a screen (IEC 61966-2-1)."""
    screen = np.array(srgb) / 255
    linear = np.where(screen <= 0.04045, screen / 12.92, ((screen + 0.055) / 1.055) ** 2.4)
    return [round(255 * value) for value in linear.tolist()]
