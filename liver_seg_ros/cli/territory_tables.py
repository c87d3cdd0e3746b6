# SPDX-License-Identifier: Apache-2.0
"""The liver's territories as a table for a terminal."""

from __future__ import annotations

from liver_seg_ros.labels import structure_by_name
from liver_seg_ros.planning.territories import LiverTerritories
from liver_seg_ros.planning.territory_rows import territory_rows
from liver_seg_ros.report_table import ReportTable
from liver_seg_ros.vessel_tree import VesselTree


def territories_table(divided: LiverTerritories, tree: VesselTree) -> ReportTable:
    """One row per territory, numbered as in the label file."""
    rows = tuple(
        (
            str(number),
            f"{structure_by_name(structure).title} {branch}",
            str(of_tree),
            str(generation),
            f"{volume_ml:.0f}",
            f"{percent:.1f}",
            f"{tumor_ml:.1f}",
        )
        for number, branch, of_tree, structure, generation, volume_ml, percent, tumor_ml in territory_rows(
            divided, tree
        )
    )
    columns = ("territory", "branch", "tree", "generation", "volume ml", "% of liver", "tumor ml")
    note = "Each voxel belongs to the branch whose wall is nearest. Generations count the forks that were found."
    return ReportTable("Territories", columns, rows, (0, 1), note)
