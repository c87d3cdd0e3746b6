# SPDX-License-Identifier: Apache-2.0
"""Binary PLY: the one format here that carries normals, colors, labels and a note on the coordinate system.

Written directly, since neither trimesh nor VTK writes comments and a label per point along with normals.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# 3D Slicer reads this comment and does not mirror the model; the unit is a note to people.
COMMENTS = ("SPACE=LPS", "unit mm")
PLY_TYPES = {"<f4": "float", "<i4": "int", "|u1": "uchar"}

TRIANGLE = np.dtype([("count", "u1"), ("indices", "<i4", (3,))])


def write_ply(path: Path, vertices: NDArray[np.void], triangles: NDArray[np.int32] | None = None) -> None:
    """Write a binary little-endian PLY.

    Args:
        path: the file.
        vertices: `(V,)` records; each field becomes a property of that name (float32, int32 or uint8).
        triangles: `(T, 3)` indices, or None for a cloud.
    """
    dtype = vertices.dtype
    properties = [f"property {PLY_TYPES[dtype[name].str]} {name}" for name in dtype.names or ()]
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {comment}" for comment in COMMENTS)]
    lines += [f"element vertex {len(vertices)}", *properties]
    if triangles is not None:
        lines += [f"element face {len(triangles)}", "property list uchar int vertex_indices"]
    lines += ["end_header", ""]
    with path.open("wb") as file:
        file.write("\n".join(lines).encode("ascii"))
        file.write(vertices.tobytes())
        if triangles is not None:
            faces = np.empty(len(triangles), TRIANGLE)
            faces["count"], faces["indices"] = 3, triangles
            file.write(faces.tobytes())
