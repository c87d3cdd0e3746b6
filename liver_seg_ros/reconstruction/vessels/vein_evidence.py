# SPDX-License-Identifier: Apache-2.0
"""What speaks for a tree of vessels being portal or hepatic, and for two trees being of different kinds, as log odds.

- A tree is widest at its root, so its widest vessels are nearer to the place where its kind comes in or leaves. What
  counts is how many times nearer, not by how much.
- Wide vessels lead to the root: they point at that place from wherever they are.
- Trees of one kind keep apart: each part of the liver has one inflow and one outflow (C. Couinaud, Le foie, 1957). Two
  trees that run through the same part for some length are of different kinds.

The form of the evidence and its weights are this package's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.reconstruction.vessels.vein_places import VeinPlaces
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree

#: Pieces of this share of a tree's widest radius are its widest.
WIDEST = 0.85
#: Log odds of being e times nearer to one place than to the other, and of pointing straight at one and across to the
#: other; and of each at most.
NEARER, POINTING, MOST = 2.5, 3.3, 3.0
#: A tree so long is worth half of what its own vessels tell; longer ones more.
SHORT_MM = 200.0
#: How near vessels are that supply or drain the same part, and what length of these makes the odds e times as high.
SHARED_MM, SHARED_LENGTH_MM = 15.0, 125.0
#: So near to a place trees of one kind come together.
TOGETHER_MM = 20.0
#: So many trees, the longest, are compared with each other; what else there is are specks.
MOST_TREES = 500


@dataclass(frozen=True, eq=False)
class Evidence:
    """Log odds by the number of the tree.

    Attributes:
        portal: `(T,)` of being portal rather than hepatic, by its own vessels.
        different: `(T, T)` of two trees being of different kinds rather than of one; zero on the diagonal.
        length_mm: `(T,)` of the tree's centerlines.
        compared: `(T,)` bool: whether it was compared with others.
    """

    portal: NDArray[np.float64]
    different: NDArray[np.float64]
    length_mm: NDArray[np.float64]
    compared: NDArray[np.bool_]

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The steps of all centerlines, with how far each is from hilum and confluence `(E, 2)`."""

    middle_mm: NDArray[np.float64]
    direction: NDArray[np.float64]
    length_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    tree: NDArray[np.int64]
    away_mm: NDArray[np.float64]
    toward: NDArray[np.float64]  # (E, 2, 3) unit vectors from the two places


def evidence_of_trees(tree: VesselTree, places: VeinPlaces) -> Evidence:
    """What speaks for the kind of each tree; see the module."""
    pieces, count = _pieces(tree, places), tree.tree_count
    length_mm = np.asarray(np.bincount(pieces.tree, pieces.length_mm, count), np.float64)
    own = np.clip(NEARER * _nearer(pieces, count), -MOST, MOST) + np.clip(
        POINTING * _pointing(pieces, count), -MOST, MOST
    )
    longest = np.argsort(-length_mm, kind="stable")[:MOST_TREES]
    compared = np.zeros(count, bool)
    compared[longest] = True
    shared_mm = _shared_mm(pieces, longest, count)
    return Evidence(own * length_mm / (length_mm + SHORT_MM), shared_mm / SHARED_LENGTH_MM, length_mm, compared)


def _pieces(tree: VesselTree, places: VeinPlaces) -> _Pieces:
    steps = tree.edges
    ends = tree.points_mm[steps]
    along, middle_mm = ends[:, 1] - ends[:, 0], ends.mean(axis=1)
    length_mm = np.linalg.norm(along, axis=1)
    from_place = middle_mm[:, None] - np.stack([places.hilum_mm, places.confluence_mm])
    away_mm = np.linalg.norm(from_place, axis=2).clip(min=1e-3)
    of_branch = np.array([branch.tree for branch in tree.branches], np.int64)
    return _Pieces(
        middle_mm,
        along / length_mm.clip(min=1e-9)[:, None],
        length_mm,
        tree.radius_mm[steps[:, 1]],
        of_branch[tree.branch[steps[:, 1]]],
        away_mm,
        from_place / away_mm[..., None],
    )


def _nearer(pieces: _Pieces, count: int) -> NDArray[np.float64]:
    """`(T,)` logarithm of how many times nearer the widest vessels come to the hilum than to the confluence."""
    widest_mm, nearest_mm = np.zeros(count), np.full((count, 2), np.inf)
    np.maximum.at(widest_mm, pieces.tree, pieces.radius_mm)
    wide = pieces.radius_mm >= WIDEST * widest_mm[pieces.tree]
    np.minimum.at(nearest_mm, pieces.tree[wide], pieces.away_mm[wide])
    return np.asarray(np.log(nearest_mm[:, 1] / nearest_mm[:, 0]))


def _pointing(pieces: _Pieces, count: int) -> NDArray[np.float64]:
    """`(T,)` by how much straighter its vessels point at the hilum than at the confluence, -1 to 1, wide ones first."""
    straight = np.abs(np.einsum("ex,epx->ep", pieces.direction, pieces.toward))
    weight = pieces.length_mm * pieces.radius_mm**2
    whole = np.bincount(pieces.tree, weight, count).clip(min=1e-9)
    return np.asarray(np.bincount(pieces.tree, weight * (straight[:, 0] - straight[:, 1]), count) / whole)


def _shared_mm(pieces: _Pieces, trees: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """`(T, T)` length of both trees that runs near the other, but for where trees of one kind come together."""
    apart_mm = pieces.length_mm * (1 - np.exp(-((pieces.away_mm.min(axis=1) / TOGETHER_MM) ** 2)))
    shared_mm = np.zeros((count, count))
    for one in trees.tolist():
        own = cKDTree(pieces.middle_mm[pieces.tree == one])
        distance_mm, _ = own.query(pieces.middle_mm, distance_upper_bound=4 * SHARED_MM)
        near = np.exp(-((distance_mm / SHARED_MM) ** 2))
        shared_mm[:, one] = np.bincount(pieces.tree, apart_mm * near, count)
    np.fill_diagonal(shared_mm, 0.0)
    return shared_mm + shared_mm.T
