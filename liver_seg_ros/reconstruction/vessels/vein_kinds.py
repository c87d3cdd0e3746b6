# SPDX-License-Identifier: Apache-2.0
"""Which trees of vessels are portal and which hepatic, by geometry alone.

Two things tell. Wide vessels near the hilum are portal, those near where the hepatic veins leave are hepatic. And two
trees of one kind do not run through the same part of the liver, as each part has one inflow and one outflow: trees that
do are of different kinds. So every tree is given the kind for which

    sum of (lean to its kind) - sum over pairs of trees of one kind of (length that they share)

is largest, which is an Ising model; it is searched by turning over one tree at a time, from several starts. What tells
of a tree for its kind, against what tells for the other, is its confidence.

That trees of one kind keep apart is how livers grow (C. Couinaud, Le foie, 1957: hepatic veins run between the portal
territories) and how phantoms are made. The form of the model and its constants are this package's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.labels import HEPATIC_VEIN, PORTAL_VEIN, VESSEL, Structure
from liver_seg_ros.reconstruction.vessels.vein_places import VeinPlaces
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree

#: How near vessels are that supply or drain the same part.
SHARED_MM = 15.0
#: So near to a place trees of one kind come together.
TOGETHER_MM = 20.0
#: Pieces of this share of a tree's widest radius are wide; they are at a place within about so far.
WIDE, AT_PLACE_MM = 0.5, 30.0
#: Every tree comes nearer to the hilum, in the middle of the liver, by so much; and this much nearer to one is clear.
HILUM_IS_CENTRAL_MM, CLEARLY_NEARER_MM = 5.0, 25.0
#: What a tree leans to its kind at most, in lengths of the tree.
MOST_LEAN = 1.0
#: Trees below this confidence are not named.
LEAST_CONFIDENCE = 0.65
#: A tree so short is worth half of what tells for it: its surroundings decide by chance.
SHORT_MM = 25.0
#: So many trees, the longest, are looked at; what else there is are specks.
MOST_TREES = 500
#: Starts of the search, the first from the leans and the others near them.
STARTS = 30


@dataclass(frozen=True, eq=False)
class TreeKinds:
    """The kind of each tree of a `VesselTree`, by its number.

    Attributes:
        structures: portal vein, hepatic vein, or vessel where that is open.
        confidence: `(T,)` 0.5 (nothing tells) to 1; of the kind that more tells for, given or not.
    """

    structures: tuple[Structure, ...]
    confidence: NDArray[np.float64]

    __repr__ = short_repr


def kinds_of_trees(tree: VesselTree, places: VeinPlaces) -> TreeKinds:
    """The kind of each tree; see the module."""
    steps = tree.edges
    ends = tree.points_mm[steps]
    length, middle = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1), ends.mean(axis=1)
    radius = tree.radius_mm[steps[:, 1]]
    of_branch = np.array([branch.tree for branch in tree.branches], np.int64)
    number = of_branch[tree.branch[steps[:, 1]]]
    count = tree.tree_count
    whole = np.bincount(number, length, count)

    away_mm = np.stack(
        [np.linalg.norm(middle - place, axis=1) for place in (places.hilum_mm, places.confluence_mm)], axis=1
    )
    lean = whole * _leans(away_mm, radius, number, count)
    apart = length * (1 - np.exp(-((away_mm.min(axis=1) / TOGETHER_MM) ** 2)))

    looked_at = np.argsort(-whole, kind="stable")[:MOST_TREES]
    shared = np.zeros((count, count))
    for one in looked_at.tolist():
        distance_mm, _ = cKDTree(middle[number == one]).query(middle, distance_upper_bound=4 * SHARED_MM)
        shared[:, one] = np.bincount(number, apart * np.exp(-((distance_mm / SHARED_MM) ** 2)), count)
    np.fill_diagonal(shared, 0.0)
    shared += shared.T

    side = _least(lean, shared)
    portal = np.maximum(lean, 0) + shared[:, side < 0].sum(axis=1)
    hepatic = np.maximum(-lean, 0) + shared[:, side > 0].sum(axis=1)
    for_it = np.where(side > 0, portal, hepatic) / np.maximum(portal + hepatic, 1e-9)
    confidence = np.clip(0.5 + (for_it - 0.5) * whole / (whole + SHORT_MM), 0.5, 1.0)
    confidence[np.setdiff1d(np.arange(count), looked_at)] = 0.5
    named = confidence >= LEAST_CONFIDENCE
    kinds = np.where(named, np.where(side > 0, PORTAL_VEIN.value, HEPATIC_VEIN.value), VESSEL.value)
    rows = {row.value: row for row in (VESSEL, PORTAL_VEIN, HEPATIC_VEIN)}
    return TreeKinds(tuple(rows[kind] for kind in kinds.tolist()), confidence)


def _leans(
    away_mm: NDArray[np.float64], radius: NDArray[np.float64], number: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """`(T,)` from `-MOST_LEAN` (hepatic) to `MOST_LEAN` (portal), by how near the wide vessels of a tree come to each.

    `away_mm` `(E, 2)` is the distance of each piece from hilum and confluence, `number` its tree.
    """
    widest, nearest_mm = np.zeros(count), np.full((count, 2), np.inf)
    np.maximum.at(widest, number, radius)
    wide = radius >= WIDE * widest[number]
    np.minimum.at(nearest_mm, number[wide], away_mm[wide])
    nearer_mm = nearest_mm[:, 1] - nearest_mm[:, 0] - HILUM_IS_CENTRAL_MM
    here = np.exp(-((nearest_mm.min(axis=1) / AT_PLACE_MM) ** 2))
    return MOST_LEAN * np.clip(nearer_mm / CLEARLY_NEARER_MM, -1, 1) * here


def _least(lean: NDArray[np.float64], shared: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(T,)` 1 or -1 for which `-lean . side + side . shared . side / 2` is least, of those that the search finds."""
    generator = np.random.default_rng(0)  # the same trees, the same names
    scale = max(float(np.abs(lean).max(initial=0.0)), 1e-9)
    best, least = np.sign(lean), np.inf
    for start in range(STARTS):
        chance = generator.random(len(lean))
        side = np.where(lean >= 0 if start == 0 else chance < 1 / (1 + np.exp(-4 * lean / scale)), 1.0, -1.0)
        while len(side):
            gain = 2 * side * (shared @ side - lean)
            most = int(np.argmax(gain))
            if gain[most] <= 1e-9:
                break
            side[most] *= -1
        energy = float(-lean @ side + side @ shared @ side / 2)
        if energy < least:
            best, least = side, energy
    return best
