# SPDX-License-Identifier: Apache-2.0
"""Territories as rows of plain values, for a table of any kind."""

from __future__ import annotations

from typing import Any

from liver_seg_ros.planning.territories import LiverTerritories
from liver_seg_ros.vessel_tree import VesselTree

COLUMNS = ("territory", "branch", "tree", "structure", "generation", "volume_ml", "volume_percent", "tumor_ml")


def territory_rows(divided: LiverTerritories, tree: VesselTree) -> list[list[Any]]:
    """One row per territory under `COLUMNS`, numbered from 1 as in the label file, largest first.

    Percent are of the organ, tumors included.
    """
    organ_ml = sum(territory.volume_ml for territory in divided.territories)
    return [
        [
            number,
            territory.branch,
            tree.branches[territory.branch].tree,
            territory.structure.name,
            territory.generation,
            round(territory.volume_ml, 3),
            round(100 * territory.volume_ml / organ_ml, 2),
            round(territory.tumor_ml, 3),
        ]
        for number, territory in enumerate(divided.territories, start=1)
    ]
