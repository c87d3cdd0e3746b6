# SPDX-License-Identifier: Apache-2.0
"""Tumors that are taken for cysts: far darker than the liver, with a shell, uneven, and brighter than water.

For `PhantomOptions(variation="varied_hypodense")`, which has about as many cysts: a network that meets dark bodies of
one kind alone learns to trust, or to distrust, all of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from liver_seg_ros.phantom.tissue import Phase, Range
from liver_seg_ros.phantom.tumors import Tumor, free_place
from liver_seg_ros.phantom.varied_tumors import draw_tumor

DIAMETER_MM: Range = (7.0, 40.0)
#: Blood and debris are in what has died: brighter than the -4 to 14 HU of a cyst.
CORE_HU: Range = (18.0, 50.0)
_SHELL_SHARE: Range = (0.15, 0.55)


def draw_hypodense_tumors(
    count: int, inside: NDArray[np.float64], depth_mm: NDArray[np.float64], phase: Phase, rng: Generator
) -> tuple[Tumor, ...]:
    """Up to `count` tumors with dead cores, apart from each other.

    Args:
        inside: `(N, 3)` LPS points in the liver, tumors are centered on some of them.
        depth_mm: `(N,)` depth of those points under the capsule, positive.
    """
    tumors: list[Tumor] = []
    for _ in range(count):
        diameter = float(np.exp(rng.uniform(*np.log(DIAMETER_MM))))
        allowed = depth_mm > min(0.4 * diameter, 0.8 * depth_mm.max())
        center = free_place(tumors, inside, allowed, diameter / 2, 1.15, 1, rng)
        if center is not None:
            tumors.append(_with_dead_core(draw_tumor(center, diameter, phase, rng), rng))
    return tuple(tumors)


def _with_dead_core(tumor: Tumor, rng: Generator) -> Tumor:
    return replace(
        tumor,
        contrast_hu=-abs(tumor.contrast_hu),
        rim_hu=float(rng.uniform(-10, 60)),
        necrosis=1.0 - float(rng.uniform(*_SHELL_SHARE)),
        necrosis_hu=float(rng.uniform(*CORE_HU)),
        lobulation=float(rng.uniform(0.05, 0.22)),  # no cyst, which is round
        mottle_hu=float(rng.uniform(4, 18)),
        inclusion_hu=0.0,
        inclusion_share=0.0,
    )
