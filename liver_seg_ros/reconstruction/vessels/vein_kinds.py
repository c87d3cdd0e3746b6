# SPDX-License-Identifier: Apache-2.0
"""Which trees of vessels are portal and which hepatic, and how sure that is, by geometry alone.

What tells are log odds (`vein_evidence`): for each tree by itself, and for each pair of trees that they are of
different kinds. Together they are an Ising model, a probability of every way to name all trees. A tree's confidence is
how probable its kind is over all these ways. So trees that tell each other apart, but not which of them is which, stay
as open as they are: the most probable way alone would name them all, and be wrong with all where it is wrong.

All ways to name the longest trees are added up; of the others, which decide nothing, each is looked at given these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.labels import HEPATIC_VEIN, PORTAL_VEIN, VESSEL, Structure
from liver_seg_ros.reconstruction.vessels.vein_evidence import Evidence, evidence_of_trees
from liver_seg_ros.reconstruction.vessels.vein_places import VeinPlaces
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree

#: Trees below this confidence are not named.
LEAST_CONFIDENCE = 0.6
#: So many trees, the longest, are named in all ways.
IN_ALL_WAYS = 10


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
    evidence = evidence_of_trees(tree, places)
    portal = np.where(evidence.compared, _portal(evidence), 0.5)
    confidence = np.maximum(portal, 1 - portal)
    named = confidence >= LEAST_CONFIDENCE
    rows = [
        (PORTAL_VEIN if likely > 0.5 else HEPATIC_VEIN) if is_named else VESSEL
        for likely, is_named in zip(portal.tolist(), named.tolist(), strict=True)
    ]
    return TreeKinds(tuple(rows), confidence)


def _portal(evidence: Evidence) -> NDArray[np.float64]:
    """`(T,)` the probability that each tree is portal, over all ways to name the trees."""
    count = len(evidence.portal)
    order = np.argsort(-evidence.length_mm, kind="stable")
    longest, others = order[:IN_ALL_WAYS], order[IN_ALL_WAYS:]
    ways = 1.0 - 2.0 * ((np.arange(2 ** len(longest))[:, None] >> np.arange(len(longest))) & 1)  # (W, L): 1 portal
    among = evidence.different[np.ix_(longest, longest)]
    weight = ways @ evidence.portal[longest] / 2 - ((ways @ among) * ways).sum(axis=1) / 4
    odds = evidence.portal[others] - ways @ evidence.different[np.ix_(longest, others)]  # (W, O)
    weight += np.logaddexp(odds / 2, -odds / 2).sum(axis=1)
    chance = np.exp(weight - weight.max())
    chance /= chance.sum()
    portal = np.empty(count)
    portal[longest] = chance @ (ways > 0)
    portal[others] = chance @ (1 / (1 + np.exp(-odds.clip(-500, 500))))
    return portal
