# SPDX-License-Identifier: Apache-2.0
"""The closed surface at some distance outside of a structure, from exact distances where they decide.

Whether a cell's center lies within that distance follows for most cells from a distance transform of all cells. Exact
distances, from Embree and a tree of voxel centers, are asked for where that leaves it in doubt, and on both sides of
the surface, where they are interpolated.
"""

from __future__ import annotations

import edt
import fill_voids
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.reconstruction.borders import at_borders
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes.enclosed import Enclosed
from liver_seg_ros.reconstruction.meshes.surfaces import Surface, isosurface
from liver_seg_ros.voxel_blocks import in_blocks


def cell_steps(mask: StructureMask, most_mm: float, diagonal_mm: float = 0.0) -> NDArray[np.intp]:
    """How many voxels along `(i, j, k)` make a cell whose edges are at most so long; one at least.

    Where voxels do not fill such a cell, it gets longer along one axis or two as long as its diagonal is at most
    `diagonal_mm`.
    """
    spacing_mm = np.array(mask.geometry.spacing_mm)
    steps = np.maximum(1, (most_mm / spacing_mm).astype(np.intp))
    while True:
        longer = steps.copy()
        longer[np.argmin((steps + 1) * spacing_mm)] += 1  # as near to a cube as can be
        if np.linalg.norm(longer * spacing_mm) > diagonal_mm:
            return steps
        steps = longer


def dilated(mask: StructureMask, enclosed: Enclosed, offset_mm: float, steps: NDArray[np.intp]) -> Surface:
    """The surface `offset_mm` outside of a structure, on cells of `steps` voxels, in mm along the axes of the grid.

    Where half of a cell's diagonal is longer than the offset, parts of the structure that are thinner than a cell may
    be left out.
    """
    spacing_mm = np.array(mask.geometry.spacing_mm)
    cell_mm = steps * spacing_mm
    pad = np.ceil(offset_mm / spacing_mm).astype(int) + 2 * steps
    padded = np.pad(mask.array, [(n, n) for n in pad[::-1]])
    block = (int(steps[2]), int(steps[1]), int(steps[0]))  # (k, j, i)
    grid = mask.geometry.padded(tuple(pad.tolist())).in_blocks(tuple(steps.tolist()))
    full = in_blocks(padded, block, np.logical_and)
    cells = in_blocks(padded, block, np.logical_or)
    del padded
    place = np.rint(grid.lps_to_index(enclosed.visual.mesh.vertices_mm)).astype(np.intp)
    i, j, k = place.clip(0, np.array(grid.size) - 1).T
    cells[k, j, i] = True  # the mesh is a part of the structure as its voxels are

    # How far a cell's center is from the structure is as far as the nearest cell with a part of it is, to half a
    # diagonal.
    half_mm = float(np.linalg.norm(cell_mm)) / 2
    to_cell_mm = edt.edt(~cells, anisotropy=tuple(cell_mm[::-1]), black_border=False, parallel=2)
    inside = cells if half_mm < offset_mm else full
    field = np.where(inside, np.float32(half_mm), -np.float32(half_mm))
    doubted = (to_cell_mm <= offset_mm + half_mm) & ~inside
    _ask(field, doubted, cells, grid, enclosed, offset_mm)
    _ask(field, at_borders(field > 0) & ~doubted, cells, grid, enclosed, offset_mm)

    # No surface around enclosed cavities, and no triangles without area, which come of zeros.
    least = np.float32(0.01 * cell_mm.min())
    filled = fill_voids.fill(field > -least)
    field[filled] = field[filled].clip(min=least)
    vertices, triangles = isosurface(field, tuple(cell_mm), 0.0)
    enclosed.step()
    return Surface(vertices + ((steps - 1) / 2 - pad) * spacing_mm, triangles.astype(np.int32))


def _ask(
    field: NDArray[np.float32],
    asked: NDArray[np.bool_],
    cells: NDArray[np.bool_],
    grid: Geometry,
    enclosed: Enclosed,
    offset_mm: float,
) -> None:
    """Put exact values of the `asked` cells into the field; only those with a part of the structure may lie inside."""
    for where, signed in ((asked & cells, True), (asked & ~cells, False)):
        places = np.nonzero(where)
        points_mm = grid.index_to_lps(np.stack(places[::-1], axis=1))
        field[places] = offset_mm - enclosed.distance_mm(points_mm, signed=signed)
        enclosed.step()
