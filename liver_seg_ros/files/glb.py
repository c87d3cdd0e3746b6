# SPDX-License-Identifier: Apache-2.0
"""Binary glTF 2.0 of one triangle mesh: its header, one chunk of JSON and one of arrays (Khronos, glTF 2.0, 3 and 4.4).

Written directly: trimesh, which can, takes a second to import.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GENERATOR = "liver_seg_ros"

#: glTF's numbers of types, and of what a buffer is for.
_FLOAT, _UNSIGNED_INT = 5126, 5125
_VERTICES, _INDICES = 34962, 34963
_KINDS = {1: "SCALAR", 3: "VEC3"}


@dataclass(frozen=True)
class Material:
    """How a surface looks: linear RGBA 0 to 1, and roughness 0 to 1; no metal."""

    rgba: Sequence[float]
    roughness: float


def write_glb(
    path: Path,
    name: str,
    attributes: Mapping[str, NDArray[np.floating]],
    triangles: NDArray[np.integer],
    material: Material,
    to_gltf: NDArray[np.float64],
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Write one mesh, one material and the node that holds them.

    Args:
        path: the file.
        name: of the node, the mesh and the material.
        attributes: by glTF's names, `POSITION` `(V, 3)` among them; others `(V, 3)` or `(V,)`.
        triangles: `(T, 3)` indices, counter-clockwise seen from outside.
        material: of all triangles.
        to_gltf: `(4, 4)` from the places to glTF's axes: metres, +Y up, the front to +Z.
        extras: what the mesh carries along, as JSON has it.
    """
    arrays = _Arrays()
    corners = arrays.add(triangles.reshape(-1).astype("<u4"), _INDICES)
    primitive = {
        "attributes": {key: arrays.add(values.astype("<f4"), _VERTICES) for key, values in attributes.items()},
        "indices": corners,
        "material": 0,
    }
    opaque = material.rgba[3] == 1
    data = {
        "asset": {"version": "2.0", "generator": GENERATOR},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0, "matrix": to_gltf.T.reshape(-1).tolist()}],  # column by column
        "meshes": [{"name": name, "primitives": [primitive], **({"extras": extras} if extras else {})}],
        "materials": [
            {
                "name": name,
                "pbrMetallicRoughness": {
                    "baseColorFactor": list(material.rgba),
                    "metallicFactor": 0.0,
                    "roughnessFactor": material.roughness,
                },
                "alphaMode": "OPAQUE" if opaque else "BLEND",
            }
        ],
        "accessors": arrays.accessors,
        "bufferViews": arrays.views,
        "buffers": [{"byteLength": arrays.length}],
    }
    header = json.dumps(data, separators=(",", ":"), allow_nan=False).encode("utf-8")
    header += b" " * (-len(header) % 4)
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(header) + 8 + arrays.length))
        file.write(struct.pack("<I4s", len(header), b"JSON") + header)
        file.write(struct.pack("<I4s", arrays.length, b"BIN\0"))
        for part in arrays.parts:
            file.write(part)


class _Arrays:
    """The arrays of a file one behind the other; all of their values have four bytes, so that each is aligned."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []
        self.length = 0

    def add(self, array: NDArray[np.generic], target: int) -> int:
        """The number of the accessor of an array `(N,)` or `(N, 3)` of uint32 or float32."""
        part = array.tobytes()
        self.views.append({"buffer": 0, "byteOffset": self.length, "byteLength": len(part), "target": target})
        least, most = (np.atleast_1d(ends).tolist() for ends in (array.min(axis=0), array.max(axis=0)))
        self.accessors.append(
            {
                "bufferView": len(self.views) - 1,
                "componentType": _UNSIGNED_INT if array.dtype.kind == "u" else _FLOAT,
                "count": len(array),
                "type": _KINDS[array.shape[1] if array.ndim == 2 else 1],
                "min": least,
                "max": most,
            }
        )
        self.parts.append(part)
        self.length += len(part)
        return len(self.accessors) - 1
