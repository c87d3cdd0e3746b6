# SPDX-License-Identifier: Apache-2.0
"""What the tables of a plan must not let a reader miss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from liver_seg_ros.cli.plan_tables import ablation_table
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.planning.ablation import AblationCheck, check_ablation
from liver_seg_ros.planning.ablation_zone import AblationZone
from liver_seg_ros.vessel_tree import EMPTY_TREE
from liver_seg_ros.volume import LabelVolume


def check(radius_mm: float) -> AblationCheck:
    """A zone of this radius about the center of a lesion of 8 mm in a cube of liver."""
    k, j, i = np.indices((41, 41, 41))
    array = np.ones((41, 41, 41), np.uint8)
    array[(k - 20) ** 2 + (j - 20) ** 2 + (i - 20) ** 2 <= 8**2] = 2
    labels = LabelVolume(array, Geometry((41, 41, 41)))
    zone = AblationZone((20.0, 20.0, 20.0), (0.0, 0.0, 1.0), radius_mm, radius_mm)
    return check_ablation(labels, EMPTY_TREE, zone)


def cells(found: AblationCheck) -> dict[str, str]:
    return dict(ablation_table(found).rows)


def test_a_lesion_that_is_covered_is_so_without_a_mark() -> None:
    found = cells(check(16))
    assert found["tumor covered"] == "100 %"
    assert "TOO SMALL" not in found["smallest margin"]


def test_a_negative_margin_and_a_coverage_below_100_percent_are_marked() -> None:
    found = cells(check(6))
    assert found["tumor covered"].endswith("%: NOT WHOLE")
    assert float(found["tumor covered"].split()[0]) == pytest.approx(100 * (6 / 8) ** 3, abs=2)
    assert found["smallest margin"].startswith("-")
    assert found["smallest margin"].endswith("TOO SMALL, tumor is left outside")


def test_what_is_nearly_covered_does_not_read_as_100_percent() -> None:
    whole = check(16)
    assert whole.tumor is not None
    nearly = replace(whole, tumor=replace(whole.tumor, covered=0.99999))
    assert cells(nearly)["tumor covered"] == "99.9 %: NOT WHOLE"
