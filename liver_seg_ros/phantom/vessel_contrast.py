# SPDX-License-Identifier: Apache-2.0
"""Veins whose contrast fades toward their twigs, some branches' more than others', as blood that mixes late has it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from liver_seg_ros.phantom.insets import vein_inset
from liver_seg_ros.phantom.painting import Grid, Inset
from liver_seg_ros.phantom.vessel_graph import VesselGraph

#: Vessels of this radius or more carry the tree's full contrast.
_FULL_MM = 3.0
#: Shares of the contrast that are painted; each vessel has the nearest.
_LEVELS = np.linspace(0.2, 1.0, 5)
_LEAST_SHARE, _MOST_POWER = 0.25, 0.6


def faded_vein_insets(
    grid: Grid, graph: VesselGraph, liver_hu: float, vein_hu: float, rng: np.random.Generator
) -> list[Inset]:
    """A tree in parts of one HU each, the faintest first: where two meet, the wider one's blood is seen.

    Args:
        liver_hu, vein_hu: of the liver and of the tree's trunk.
    """
    nearest = np.abs(shares_of_contrast(graph, rng)[:, None] - _LEVELS).argmin(axis=1)
    insets = []
    for level, share in enumerate(_LEVELS):
        part = replace(graph, parent=np.where(nearest == level, graph.parent, -1))  # a root ends no vessel
        if len(part.edges):
            insets += vein_inset(grid, part, liver_hu + float(share) * (vein_hu - liver_hu))
    return insets


def shares_of_contrast(graph: VesselGraph, rng: np.random.Generator) -> np.ndarray:
    """(N,) the share of the trunk's contrast in the vessel that ends in each node, 0 to 1.

    (r / 3 mm) to a power of the tree's own, times a share that is drawn where a branch first is thinner than 3 mm and
    that all of its twigs inherit.
    """
    power, least = float(rng.uniform(0, _MOST_POWER)), float(rng.uniform(_LEAST_SHARE, 1))
    own = np.ones(len(graph.parent))
    for node, parent in enumerate(graph.parent):  # parents come first
        if graph.radius_mm[node] >= _FULL_MM:
            continue
        thick_above = parent < 0 or graph.radius_mm[parent] >= _FULL_MM
        own[node] = rng.uniform(least, 1) if thick_above else own[parent]
    return own * np.minimum(graph.radius_mm / _FULL_MM, 1) ** power
