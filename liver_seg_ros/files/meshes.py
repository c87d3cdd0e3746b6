# SPDX-License-Identifier: Apache-2.0
"""Writing meshes and clouds for 3D Slicer, RViz, MeshLab, browsers and printers.

PLY, STL and OBJ hold LPS millimetres and say so in the place where 3D Slicer looks. GLB holds metres, as glTF wants,
and a root node that turns LPS into glTF's axes, so that a viewer shows the patient upright and facing the camera.

How sure the network is of each lesion goes along where it is known: in PLY as the vertices' property `confidence`, in
GLB as their attribute `_CONFIDENCE` and by lesion in the mesh's `extras`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.util.vtkConstants import VTK_ID_TYPE
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOGeometry import vtkSTLWriter

from liver_seg_ros.atomic import final_place, written_beside
from liver_seg_ros.errors import InputError, WriteError
from liver_seg_ros.files.glb import Material, write_glb
from liver_seg_ros.files.ply import write_ply
from liver_seg_ros.files.quiet import quiet_on_failure
from liver_seg_ros.files.utf8_path import utf8_path
from liver_seg_ros.geometry import lps_to_ros
from liver_seg_ros.labels import STRUCTURES
from liver_seg_ros.measurement import PartMeasurement, nearest_lesions
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.plain import plain

# glTF 2.0, 3.4: +X is the model's left, +Y up, +Z its front. LPS: left, posterior, superior.
LPS_TO_GLTF = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])

VERTEX = np.dtype([(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")])
#: The confidence at vertices of a lesion that nobody knows one of, as in messages: glTF has no NaN.
UNKNOWN = -1.0
COLORS = [(name, "u1") for name in ("red", "green", "blue", "alpha")]


def write_mesh(path: str | Path, mesh: Mesh, lesions: Sequence[PartMeasurement] = ()) -> None:
    """Write one structure's mesh as `.ply`, `.stl`, `.obj` or `.glb`, with the label table's color where it has one.

    Args:
        path: the file.
        mesh: LPS mm.
        lesions: those of the mesh, whose confidence PLY and GLB carry where any is known.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    writers = {".ply": _write_ply, ".stl": _write_stl, ".obj": _write_obj, ".glb": _write_glb}
    if path.suffix.lower() not in writers:
        raise InputError(f"{path}: cannot write a mesh in this format. Use one of {', '.join(writers)}.")
    with written_beside(path) as temporary:
        writers[path.suffix.lower()](temporary, mesh, _known(lesions))


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


def _known(lesions: Sequence[PartMeasurement]) -> Sequence[PartMeasurement]:
    """All of them where the confidence in any is known, else none."""
    return () if all(lesion.confidence is None for lesion in lesions) else lesions


def _confidence(mesh: Mesh, lesions: Sequence[PartMeasurement]) -> NDArray[np.float32]:
    """`(V,)` of the lesion that each vertex is of."""
    sure = [UNKNOWN if lesion.confidence is None else lesion.confidence for lesion in lesions]
    return np.array(sure, np.float32)[nearest_lesions(mesh.vertices_mm, lesions)]


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


def _write_ply(path: Path, mesh: Mesh, lesions: Sequence[PartMeasurement]) -> None:
    further = [("confidence", "<f4")] if lesions else []
    vertices = _vertices(mesh.vertices_mm, mesh.normals, _rgba(mesh), further)
    if lesions:
        vertices["confidence"] = _confidence(mesh, lesions)
    write_ply(path, vertices, mesh.triangles)


def _write_stl(path: Path, mesh: Mesh, lesions: Sequence[PartMeasurement]) -> None:
    """Binary STL with a header that 3D Slicer understands, which trimesh's writer cannot set and VTK's can."""
    points, cells, surface = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_to_vtk(mesh.vertices_mm))
    corners = mesh.triangles.astype(np.int64).reshape(-1)  # kept: VTK looks at it
    cells.SetData(3, numpy_to_vtk(corners, array_type=VTK_ID_TYPE))
    surface.SetPoints(points)
    surface.SetPolys(cells)
    writer = vtkSTLWriter()
    writer.SetFileTypeToBinary()
    writer.SetHeader(f"{mesh.structure.name} SPACE=LPS unit mm")
    writer.SetInputData(surface)
    with utf8_path(path) as name, quiet_on_failure():
        writer.SetFileName(name)
        if not writer.Write():
            raise WriteError.of(final_place(path))


def _write_obj(path: Path, mesh: Mesh, lesions: Sequence[PartMeasurement]) -> None:
    from trimesh import Trimesh  # a second, also for the nodes that let another process write
    from trimesh.exchange.obj import export_obj

    header = f"{mesh.structure.name}\n# SPACE=LPS\n# unit mm"
    surface = Trimesh(mesh.vertices_mm, mesh.triangles, vertex_normals=mesh.normals, process=False)
    text = export_obj(surface, include_normals=True, include_color=False, header=header)
    path.write_text(text, encoding="ascii")


def _write_glb(path: Path, mesh: Mesh, lesions: Sequence[PartMeasurement]) -> None:
    *color, alpha = (int(value) for value in _rgba(mesh))
    attributes: dict[str, NDArray[np.floating]] = {"POSITION": lps_to_ros(mesh.vertices_mm), "NORMAL": mesh.normals}
    extras: dict[str, object] = {}
    if lesions:
        attributes["_CONFIDENCE"] = _confidence(mesh, lesions)
        extras["lesions"] = [
            {
                "lesion": number,
                **{name: plain(getattr(lesion, name)) for name in ("confidence", "center_mm", "volume_ml")},
            }
            for number, lesion in enumerate(lesions, start=1)
        ]
    material = Material([value / 255 for value in (*_linear(color), alpha)], roughness=0.6)
    write_glb(path, mesh.structure.name, attributes, mesh.triangles, material, LPS_TO_GLTF, extras)


def _linear(srgb: list[int]) -> list[int]:
    """glTF colors surfaces in linear light, the label table's colors are those of a screen (IEC 61966-2-1)."""
    screen = np.array(srgb) / 255
    linear = np.where(screen <= 0.04045, screen / 12.92, ((screen + 0.055) / 1.055) ** 2.4)
    return [round(255 * value) for value in linear.tolist()]
