# SPDX-License-Identifier: Apache-2.0
"""What lies further from an organ than a length: a k-d tree says the same, whichever way is taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference import reach
from liver_seg_ros.inference.reach import further_than


@pytest.mark.parametrize("look", [0.0, 1e9])  # around every voxel, or a distance transform
@given(
    spacing=st.tuples(*[st.floats(0.5, 4.0)] * 3),
    reach_mm=st.floats(0, 6),
    share=st.floats(0, 0.1),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
def test_further_is_what_a_tree_finds_further(
    look: float, spacing: tuple[float, float, float], reach_mm: float, share: float, seed: int
) -> None:
    geometry = Geometry((11, 9, 7), spacing)
    rng = np.random.default_rng(seed)
    organ = rng.random(geometry.shape) < share
    candidates = ~organ & (rng.random(geometry.shape) < 0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reach, "_LOOK_BY_TRANSFORM", look)
        found = further_than(organ, candidates, geometry, reach_mm)
    points = [geometry.index_to_lps(np.argwhere(mask)[:, ::-1]) for mask in (organ, candidates)]
    distance_mm = cKDTree(points[0]).query(points[1])[0] if len(points[0]) else np.full(len(points[1]), np.inf)
    sure = np.abs(distance_mm - reach_mm) > 1e-4
    np.testing.assert_array_equal(found[candidates][sure], (distance_mm > reach_mm)[sure])
    assert not found[~candidates].any()
