# SPDX-License-Identifier: Apache-2.0
"""A vessel tree as a graph with radii: exact ground truth for centerlines, radii and branch counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class VesselGraph:
    """One venous tree (or several with a common drain) in LPS millimetres.

    A vessel runs straight from each node's parent to the node; its radius is the node's all along. Nodes are ordered so
    that a parent comes before its children.

    Attributes:
        points_mm: `(N, 3)` float64 node positions, LPS.
        radius_mm: `(N,)` float64 radius of the vessel that ends in the node (a root has its child's).
        parent: `(N,)` int64 index of the upstream node, -1 for a root.
    """

    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    parent: NDArray[np.int64]

    __repr__ = short_repr

    @property
    def edges(self) -> NDArray[np.int64]:
        """`(E, 2)` pairs `(parent, node)`."""
        nodes = np.flatnonzero(self.parent >= 0)
        return np.stack([self.parent[nodes], nodes], axis=1)

    @property
    def terminals(self) -> NDArray[np.int64]:
        """Indices of the nodes without children."""
        return np.setdiff1d(np.arange(len(self.parent)), self.parent)

    def to_dict(self) -> dict[str, Any]:
        """The graph as plain lists, for `vessels.json`."""
        return {
            "points_mm": np.round(self.points_mm, 3).tolist(),
            "radius_mm": np.round(self.radius_mm, 3).tolist(),
            "parent": self.parent.tolist(),
        }
