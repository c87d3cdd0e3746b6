# SPDX-License-Identifier: Apache-2.0
"""Reading the surface of an organ from a mesh file, into LPS mm whichever way the file has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import LIVER, Structure
from liver_seg_ros.mesh import Mesh

SUFFIXES = (".ply", ".stl", ".obj")
#: Bytes in which a mesh file says its coordinate system, as 3D Slicer and `files.meshes` write it.
_BEGINNING = 1024
#: What an organ may measure across; a mesh in metres or in micrometres is outside.
LEAST_MM, MOST_MM = 5.0, 1000.0


def read_surface(path: Path, structure: Structure = LIVER) -> Mesh:
    """The triangles in a PLY, STL or OBJ file, as the surface of `structure`, LPS mm, normals outward.

    A file that says `SPACE=RAS` is turned into LPS; one that says nothing is taken for LPS, as 3D Slicer does it.

    Raises:
        InputError: another format, a file that holds no triangles, or a size that no organ has in mm.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: is no mesh. Give one of {', '.join(SUFFIXES)}.")
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
        surface = trimesh.load(
            path, file_type=path.suffix[1:].lower(), force="mesh", process=False
        )  # processing drops NaN
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file. Check the path.") from error
    except Exception as error:
        raise InputError(f"{path}: cannot be read as a mesh; it is cut off, damaged or of another format") from error
    if not isinstance(surface, trimesh.Trimesh) or not len(surface.faces):
        raise InputError(f"{path}: holds no triangles. Export it as a mesh.")
    if not np.isfinite(surface.vertices).all():
        raise InputError(f"{path}: has vertices that are not finite. Export it again.")
    surface.merge_vertices(merge_tex=True, merge_norm=True)  # an STL has each corner of each triangle
    vertices = np.array(surface.vertices, np.float64)
    if b"SPACE=RAS" in beginning:
        vertices[:, :2] *= -1  # turned about the z axis, so that the winding stays
    across_mm = float(np.ptp(vertices, axis=0).max())
    if not LEAST_MM <= across_mm <= MOST_MM:
        raise InputError(f"{path}: measures {across_mm:.3g} mm across; no organ does. Export it in mm.")
    turned = trimesh.Trimesh(vertices, surface.faces, process=False)
    if turned.volume < 0:
        turned.invert()
    return Mesh(
        structure,
        vertices.astype(np.float32),
        np.asarray(turned.faces, np.int32),
        np.asarray(turned.vertex_normals, np.float32),
    )
