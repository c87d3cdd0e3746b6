# SPDX-License-Identifier: Apache-2.0
"""Of a label volume what was asked for: nothing else, and no holes in the liver where its tumors are."""

from __future__ import annotations

import numpy as np
import pytest

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.wanted import only_wanted
from liver_seg_ros.labels import AORTA, LIVER, PORTAL_VEIN, TUMOR
from liver_seg_ros.volume import LabelVolume

LABELS = LabelVolume(np.array([[[0, 1, 2, 3, 4, 9]]], np.uint8), Geometry((6, 1, 1)), "u")


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ([], [0, 1, 2, 3, 4, 9]),
        ([LIVER], [0, 1, 1, 1, 1, 0]),
        ([LIVER, TUMOR], [0, 1, 2, 1, 1, 0]),
        ([TUMOR], [0, 0, 2, 0, 0, 0]),
        ([PORTAL_VEIN, AORTA], [0, 0, 0, 0, 4, 9]),
    ],
)
def test_what_is_not_wanted_is_liver_or_nothing(wanted, left):
    found = only_wanted(LABELS, wanted)
    assert found.array.ravel().tolist() == left
    assert (found.uid, found.geometry) == (LABELS.uid, LABELS.geometry)
