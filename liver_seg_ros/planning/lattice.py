# SPDX-License-Identifier: Apache-2.0
"""What distances to a surface are not below, by exact distances at the nodes of a coarse lattice.

Between the nodes they are interpolated; `clearance` says why that is a bound. A node is asked for when it is first
needed: needles to one lesion come near to a part of the nodes of a skeleton, and to none of a structure that nobody
keeps clear of.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries

#: Nodes of a lattice, about: half a second if all are asked for, and a quarter of a megabyte, however large the
#: structure.
NODES = 50_000
#: Finer than this it gives no better bounds for its cost.
LEAST_SPACING_MM = 2.0


class Lattice:
    """Squared distances to a surface at nodes over its box. Calls from several threads are safe.

    Attributes:
        origin_mm: LPS position of the first node; the axes are those of LPS, the box that of the mesh.
        spacing_mm: `(x, y, z)` between nodes.
        squared_mm2: `(X, Y, Z)` float32, squared distances at the nodes; 0 where none was asked for.
        known: `(X, Y, Z)` bool, where they were.
    """

    def __init__(self, surface: SurfaceQueries) -> None:
        vertices_mm = surface.mesh.vertices_mm
        self.origin_mm: NDArray[np.float64] = vertices_mm.min(axis=0).astype(np.float64)
        extent_mm = (vertices_mm.max(axis=0) - self.origin_mm).clip(min=1e-3)
        wished_mm = max(LEAST_SPACING_MM, float(np.prod(extent_mm) / NODES) ** (1 / 3))
        cells = np.ceil(extent_mm / wished_mm).astype(int)
        self.spacing_mm: NDArray[np.float64] = extent_mm / cells
        self.squared_mm2: NDArray[np.float32] = np.zeros(cells + 1, np.float32)
        self.known: NDArray[np.bool_] = np.zeros(cells + 1, bool)
        self._surface = surface

    def __repr__(self) -> str:
        return f"Lattice({' x '.join(map(str, self.known.shape))}, {np.count_nonzero(self.known)} known)"

    def lower_bound_squared(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(N,)` numbers in mm^2 that squared distances are not below: second-order tight, for a tenth of their cost.

        Outside the box by Pythagoras: as the box is convex and holds the surface, the angle at the nearest point of the
        box between here and any point of the surface is not acute.
        """
        index = (points_mm.T - self.origin_mm[:, None]) / self.spacing_mm[:, None]  # (3, N): coordinates one by one
        inside = index.clip(0, np.array(self.squared_mm2.shape)[:, None] - 1)
        cell = inside.astype(np.intp)
        fraction = inside - cell
        self._ask(cell)
        bound: NDArray[np.float64] = map_coordinates(
            self.squared_mm2, inside, order=1, output=np.float64, prefilter=False
        )
        fraction *= 1 - fraction
        # Less what interpolated |p|^2 are more than the real ones.
        bound -= self.spacing_mm**2 @ fraction
        np.maximum(bound, 0, out=bound)
        index -= inside
        index *= index
        bound += self.spacing_mm**2 @ index
        return bound

    def fill(self) -> None:
        """Ask for all nodes that are unknown: for who must not wait later."""
        self._ask_at(np.flatnonzero(~self.known))

    def _ask(self, cells: NDArray[np.intp]) -> None:
        """Ask for the corners of cells `(3, N)` that are unknown; a cell beyond the last node ends in it."""
        needed = np.zeros_like(self.known)
        needed[tuple(cells)] = True
        for axis in range(3):  # and the next one along each axis
            before, after = np.moveaxis(needed, axis, 0)[:-1], np.moveaxis(needed, axis, 0)[1:]
            after |= before.copy()
        self._ask_at(np.flatnonzero(needed & ~self.known))

    def _ask_at(self, nodes: NDArray[np.intp]) -> None:
        """Ask for nodes `(N,)`, flat places. Two threads that ask for the same one write the same."""
        if not len(nodes):
            return
        index = np.stack(np.unravel_index(nodes, self.known.shape), axis=1)
        distance_mm, _ = self._surface.nearest(self.origin_mm + index * self.spacing_mm)
        self.squared_mm2.reshape(-1)[nodes] = (distance_mm**2).astype(np.float32)
        self.known.reshape(-1)[nodes] = True
