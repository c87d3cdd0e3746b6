# SPDX-License-Identifier: Apache-2.0
"""How well portal and hepatic veins were told apart, against the phantom's own two trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.evaluation.tree_scores import Graph
from liver_seg_ros.labels import HEPATIC_VEIN, PORTAL_VEIN, VESSEL
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

#: What lies further outside of every true vessel is no vessel, and has no name that were right.
REACH_MM = 2.0
#: Distance of the points by which true vessels stand.
STEP_MM = 0.5


@dataclass(frozen=True)
class VeinScores:
    """Shares of 0 to 1; NaN where there is nothing that they could be shares of.

    Attributes:
        voxels_named: of vessel voxels in true vessels, those that were given one of the two names.
        voxels_right: of these, those whose name is right.
        line_named, line_right: the same of the length of the found centerlines.
    """

    voxels_named: float
    voxels_right: float
    line_named: float
    line_right: float


def score_veins(labels: LabelVolume, tree: VesselTree, portal: Graph, hepatic: Graph) -> VeinScores:
    """Compare names in `labels` and in the branches of `tree` with the true trees.

    A place belongs to the true vessel whose wall is nearest.
    """
    voxels = np.argwhere(np.isin(labels.array, (VESSEL.value, PORTAL_VEIN.value, HEPATIC_VEIN.value)))
    values = labels.array[tuple(voxels.T)]
    right = true_veins(labels.geometry.index_to_lps(voxels[:, ::-1]), portal, hepatic)
    named, correct = _shares(values, right, np.ones(len(values)))
    steps = tree.edges
    ends = tree.points_mm[steps]
    of_branch = np.array([branch.structure.value for branch in tree.branches], np.uint8)
    line = true_veins(ends.mean(axis=1), portal, hepatic)
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    return VeinScores(named, correct, *_shares(of_branch[tree.branch[steps[:, 1]]], line, length))


def true_veins(points_mm: NDArray[np.float64], portal: Graph, hepatic: Graph) -> NDArray[np.uint8]:
    """`(N,)` which of the two trees each point lies in, by its value in the label table; 0 outside of both."""
    outside_mm = np.stack([_outside_mm(points_mm, graph) for graph in (portal, hepatic)])
    which = np.where(outside_mm[0] < outside_mm[1], PORTAL_VEIN.value, HEPATIC_VEIN.value)
    return np.where(outside_mm.min(axis=0) <= REACH_MM, which, 0).astype(np.uint8)


def _outside_mm(points_mm: NDArray[np.float64], graph: Graph) -> NDArray[np.float64]:
    """`(N,)` how far outside of the nearest wall of a graph's vessels, which stand as balls, each point is."""
    start, along = graph.points_mm[graph.edges[:, 0]], graph.points_mm[graph.edges[:, 1]]
    along = along - start
    count = np.ceil(np.linalg.norm(along, axis=1) / STEP_MM).astype(np.int64) + 1
    edge = np.repeat(np.arange(len(count)), count)
    part = (np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)) / np.maximum(count - 1, 1)[edge]
    centers, radius = start[edge] + along[edge] * part[:, None], graph.radius_mm[graph.edges[:, 1]][edge]
    lift = np.sqrt(radius.max() ** 2 - radius**2)
    balls = cKDTree(np.column_stack([centers, lift]))
    _, ball = balls.query(np.column_stack([points_mm, np.zeros(len(points_mm))]))
    return np.asarray(np.linalg.norm(points_mm - centers[ball], axis=1) - radius[ball])


def _shares(values: NDArray[np.uint8], right: NDArray[np.uint8], weight: NDArray[np.float64]) -> tuple[float, float]:
    vessel = right > 0
    named = vessel & (values != VESSEL.value)
    all_of_it, of_named = float(weight[vessel].sum()), float(weight[named].sum())
    correct = float(weight[named & (values == right)].sum())
    return (of_named / all_of_it if all_of_it else np.nan), (correct / of_named if of_named else np.nan)
