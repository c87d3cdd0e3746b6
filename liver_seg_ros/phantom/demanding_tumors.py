# SPDX-License-Identifier: Apache-2.0
"""Tumors that are hard to see whole: large, mottled, partly as bright as the liver, necrotic, rimmed, confluent.

For otherwise plain phantoms (`PhantomOptions(variation="varied_tumors")`): a network that meets such tumors in varied
livers only learns to expect them there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from liver_seg_ros.phantom.tissue import Phase, Range
from liver_seg_ros.phantom.tumors import LEAST_CONTRAST_HU, Tumor, free_place
from liver_seg_ros.phantom.varied_tumors import draw_tumor, satellite

#: Diameters in mm; the large ones have 48 to 220 ml.
LARGE_MM: Range = (45.0, 75.0)
OTHER_MM: Range = (6.0, 45.0)
_LARGE_ODDS = 0.6
_CONFLUENT_ODDS = 0.3
#: Smaller tumors than this have no parts of their own.
_LEAST_WITH_PARTS_MM = 14.0
#: Grey values as of the liver around, and as of a core with contrast in it, HU.
_LIKE_LIVER_HU: dict[Phase, Range] = {"none": (40, 68), "arterial": (55, 88), "portal_venous": (88, 132)}
_BRIGHT_HU: dict[Phase, Range] = {"none": (62, 110), "arterial": (90, 180), "portal_venous": (130, 210)}


def draw_demanding_tumors(
    count: int, inside: NDArray[np.float64], depth_mm: NDArray[np.float64], phase: Phase, rng: Generator
) -> tuple[Tumor, ...]:
    """Up to `count` tumors, most of the first ones large, and parts that run together with some of them.

    Args:
        inside: `(N, 3)` LPS points in the liver, tumors are centered on some of them.
        depth_mm: `(N,)` depth of those points under the capsule, positive.
    """
    tumors: list[Tumor] = []
    large = rng.random() < _LARGE_ODDS
    for number in range(count):
        diameter = float(np.exp(rng.uniform(*np.log(LARGE_MM if large and number == 0 else OTHER_MM))))
        radius = diameter / 2
        allowed = depth_mm > min(radius * rng.uniform(0.3, 1.0), 0.8 * depth_mm.max())
        center = free_place(tumors, inside, allowed, radius, 1.15, 1, rng)
        if center is None:
            continue
        tumor = draw_tumor(center, diameter, phase, rng)
        if diameter > _LEAST_WITH_PARTS_MM:
            tumor = _KINDS[int(rng.choice(len(_KINDS), p=_ODDS))](tumor, phase, rng)
        tumors.append(tumor)
        if diameter > _LEAST_WITH_PARTS_MM and rng.random() < _CONFLUENT_ODDS:
            tumors += [satellite(tumor, rng) for _ in range(int(rng.integers(1, 4)))]
    return tuple(tumors)


def _mottled(tumor: Tumor, phase: Phase, rng: Generator) -> Tumor:
    """Dark and bright parts of any size, most of the time some that nothing but their place tells from the liver."""
    islands = rng.random() < 0.6
    return replace(
        tumor,
        contrast_hu=-float(rng.uniform(LEAST_CONTRAST_HU[phase] / 2, LEAST_CONTRAST_HU[phase] + 50)),
        mottle_hu=float(rng.uniform(12, 50)),
        mottle_mm=float(np.exp(rng.uniform(np.log(2.5), np.log(15)))),
        inclusion_hu=float(rng.uniform(*_LIKE_LIVER_HU[phase])) if islands else 0.0,
        inclusion_share=float(rng.uniform(0.1, 0.5)) if islands else 0.0,
    )


def _cored(tumor: Tumor, phase: Phase, rng: Generator) -> Tumor:
    """A core with contrast in it, brighter than the liver, in a dark tumor."""
    return replace(
        tumor,
        contrast_hu=-float(rng.uniform(LEAST_CONTRAST_HU[phase], LEAST_CONTRAST_HU[phase] + 40)),
        rim_hu=0.0,
        necrosis=float(rng.uniform(0.3, 0.75)),
        necrosis_hu=float(rng.uniform(*_BRIGHT_HU[phase])),
    )


def _necrotic(tumor: Tumor, phase: Phase, rng: Generator) -> Tumor:
    """Fluid in a shell, which is often thin and bright."""
    return replace(
        tumor,
        rim_hu=float(rng.uniform(-10, 70)),
        necrosis=float(rng.uniform(0.5, 0.92)),
        necrosis_hu=float(rng.uniform(0, 45)),
    )


def _rimmed(tumor: Tumor, phase: Phase, rng: Generator) -> Tumor:
    """A bright or dark rim around what hardly differs from the liver."""
    side = 1 if rng.random() < 0.7 else -1
    return replace(
        tumor,
        contrast_hu=float(rng.uniform(-LEAST_CONTRAST_HU[phase], 5)),
        rim_hu=side * float(rng.uniform(LEAST_CONTRAST_HU[phase], LEAST_CONTRAST_HU[phase] + 50)),
        necrosis=0.0,
        mottle_hu=float(rng.uniform(3, 20)),
    )


def _as_drawn(tumor: Tumor, phase: Phase, rng: Generator) -> Tumor:
    return tumor


_KINDS: tuple[Callable[[Tumor, Phase, Generator], Tumor], ...] = (_mottled, _cored, _necrotic, _rimmed, _as_drawn)
_ODDS = (0.4, 0.1, 0.15, 0.1, 0.25)
