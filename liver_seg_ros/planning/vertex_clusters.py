# SPDX-License-Identifier: Apache-2.0
"""The vertices of a surface in clusters, and how much nearer than they are the surface may be.

The point x of a surface that is nearest to a point p lies in a triangle, on an edge or on a vertex, and the line from p
to x is normal to that. So each vertex v of it has |p - v|^2 = |p - x|^2 + |x - v|^2, and one of them is no further from
x than the radius of the triangle's circumcircle, or half the longest edge of an obtuse triangle, whose circle is too
large. The smallest of |p - v|^2 less the square of that is thus never above the squared distance to the surface, and
far from it hardly below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.groups import halved
from liver_seg_ros.short_repr import short_repr

Array = NDArray[np.float64]

#: Vertices of one cluster, at most.
CLUSTER = 16


@dataclass(frozen=True, eq=False)
class VertexClusters:
    """The vertices of a mesh in `K` clusters of `C`; some stand twice.

    Attributes:
        points_mm: `(K, C, 3)` LPS.
        slack_mm2: `(K, C)` the square of how far a point of a triangle at it may be that is no nearer to its other two.
        middle_mm, reach_mm: `(K, 3)` and `(K,)`, balls around the clusters.
        usual_slack_mm2: the median of all.
    """

    points_mm: Array
    slack_mm2: Array
    middle_mm: Array
    reach_mm: Array
    usual_slack_mm2: float

    __repr__ = short_repr

    @staticmethod
    def of(mesh: Mesh) -> VertexClusters:
        """Those of a mesh that has triangles."""
        vertices, corners = mesh.vertices_mm.astype(np.float64), mesh.triangles.astype(np.intp).reshape(-1)
        edges = vertices[mesh.triangles] - vertices[np.roll(mesh.triangles, -1, axis=1)]
        squared = (edges**2).sum(axis=2)
        a, b, c = np.sort(squared, axis=1).T
        area_16 = 2 * (a * b + b * c + c * a) - (a**2 + b**2 + c**2)  # 16 times the square of the area (Heron)
        # Of an acute triangle the squared radius is at most c / 3, whatever rounding makes of a thin one's area.
        of_triangle = np.where(c < a + b, a * b * c / area_16.clip(min=3 * a * b + 1e-30), c / 4)
        order = np.argsort(corners, kind="stable")
        first = np.flatnonzero(np.diff(corners[order], prepend=-1))
        used = corners[order][first]
        slack = np.maximum.reduceat(np.repeat(of_triangle, 3)[order], first)
        clusters = halved(vertices[used], CLUSTER)
        points = vertices[used][clusters]
        middle = (points.min(axis=1) + points.max(axis=1)) / 2
        reach = np.sqrt(((points - middle[:, None]) ** 2).sum(axis=2).max(axis=1))
        return VertexClusters(points, slack[clusters], middle, reach, float(np.median(slack)))

    def most_mm(self, center_mm: Array, reach_mm: float) -> float:
        """What the distance from any point of a ball to the nearest vertex is not above."""
        away_mm = np.sqrt(((self.middle_mm - center_mm) ** 2).sum(axis=1))
        nearest = self.points_mm[(away_mm - self.reach_mm).argmin()]
        return float(np.sqrt(((nearest - center_mm) ** 2).sum(axis=1).min())) + reach_mm

    def near(self, center_mm: Array, reach_mm: float, most_mm: float) -> tuple[Array, Array]:
        """`(P, 3)` vertices that may matter to points of a ball, all within `most_mm` of one, and their slack."""
        away_mm = np.sqrt(((self.middle_mm - center_mm) ** 2).sum(axis=1))
        least_mm = (away_mm - self.reach_mm - reach_mm).clip(0)
        chosen = np.flatnonzero(least_mm**2 - self.slack_mm2.max(axis=1) <= most_mm**2)
        return self.points_mm[chosen].reshape(-1, 3), self.slack_mm2[chosen].reshape(-1)
