# SPDX-License-Identifier: Apache-2.0
"""The smallest signed distance to a surface along many segments at once, by branch and bound on exact distances.

Segments that go into the surface are searched where they are inside, the others along all of them. Between two ends of
known distance no value of an interval of length L lies below

- outside: the root of (1 - f) da^2 + f db^2 - f (1 - f) L^2 at any fraction f, because d(p)^2 - |p|^2 is concave;
- inside: minus the distance to the nearer one of the two surface points that are nearest to the ends.

An interval that cannot hold anything better than what was found, by more than the tolerance, is done with. Any other
becomes two where its bound is lowest. Outside, lower bounds are looked up first and leave a small part of a segment;
there distances are asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from liver_seg_ros.planning.deep_points import DeepPoints
from liver_seg_ros.planning.segment_minimum import Array, Minimum
from liver_seg_ros.planning.segments_inside import parts_inside, refined_inside
from liver_seg_ros.planning.segments_outside import parts_outside, refined_outside
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries


def smallest_along(
    surface: SurfaceQueries,
    deep: DeepPoints,
    starts: Array,
    stops: Array,
    lower_bound_squared: Callable[[Array], Array],
    step_mm: float,
    tolerance_mm: float,
    enough_mm: float = -np.inf,
) -> tuple[Array, Array]:
    """`(N,)` smallest signed distances along segments, at most the tolerance too large, and `(N, 3)` where they are.

    Args:
        deep: of the surface.
        starts, stops: `(N, 3)` LPS points in mm.
        lower_bound_squared: of `(M, 3)` points what squared distances are not below, mm^2; asked every `step_mm`.
        enough_mm: where a distance below this is found no smaller one is looked for: it is what comes back.
    """
    found = Minimum(surface, deep, starts, stops, tolerance_mm, enough_mm)
    within = parts_inside(found)
    while len(within.segment):
        within = refined_inside(found, within)
    without = parts_outside(found, lower_bound_squared, step_mm)
    while len(without.segment):
        without = refined_outside(found, without)
    return found.value_mm, found.points(np.arange(len(starts)), found.along_mm).T
