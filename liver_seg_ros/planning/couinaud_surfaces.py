# SPDX-License-Identifier: Apache-2.0
"""The surfaces of the parts of a divided liver."""

from __future__ import annotations

from liver_seg_ros.geometry import Box
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.couinaud import LiverSegments
from liver_seg_ros.planning.couinaud_parts import SegmentPart
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes.decimation import decimate
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh

#: Triangles of each part's surface.
TRIANGLES = 10_000


def part_mask(divided: LiverSegments, part: SegmentPart) -> StructureMask:
    """The voxels of one part in their box."""
    array = divided.array == part.value
    box = Box.around(array)
    assert box is not None  # parts have voxels
    return StructureMask.padded(part.row, array[box.slices], divided.geometry.crop(box))


def part_mesh(divided: LiverSegments, part: SegmentPart) -> Mesh:
    """The surface of one part, LPS mm; its structure is the part's row."""
    mask = part_mask(divided, part)
    return surface_to_mesh(decimate(extract_surface(mask), TRIANGLES), mask)
