# SPDX-License-Identifier: Apache-2.0
"""Several fine networks on one CT, such as one for tumors and one for vessels.

The rule: a structure comes from the first bundle that has it; where two bundles claim a voxel, a tumor lies over a
vessel, a vessel over the liver, and anything over the background. Where no bundle gives the liver, it is the
localizer's (`liver_scores`), as in Kuang et al. (UCA-Net), whose second stage has tumors and vessels alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ROUND_VESSELS, VESSEL_STEPS, ModelBundle, Postprocessing
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL

# What lies over what, by label value: 0 background, 1 liver, 2 vessels and whatever else, 3 tumor.
_RANK = np.full(256, 2, np.uint8)
_RANK[BACKGROUND], _RANK[LIVER.value], _RANK[TUMOR.value] = 0, 1, 3


def label_tables(bundles: Sequence[ModelBundle]) -> list[NDArray[np.uint8]]:
    """Per bundle, the label value of each of its classes; background for a structure that an earlier bundle gives.

    Raises:
        InputError: a bundle gives nothing that those before it do not.
    """
    tables = []
    given: set[int] = set()
    for bundle in bundles:
        values = bundle.spec.label_values
        own = set(values) - {BACKGROUND}
        if given >= own:
            names = ", ".join(list(bundle.spec.labels.values())[1:])
            raise InputError(f"the model in {bundle.folder} gives {names}, which the models before it give already")
        tables.append(np.array([BACKGROUND if value in given else value for value in values], np.uint8))
        given |= own
    return tables


def gives_liver(bundle: ModelBundle) -> bool:
    """Whether the liver is among what a bundle finds."""
    return LIVER.value in bundle.spec.label_values


def lay_over(labels: NDArray[np.uint8], found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`labels` with what of `found`, of the same shape, lies over it."""
    return np.where(_RANK[found] > _RANK[labels], found, labels)


def joint_postprocessing(bundles: Sequence[ModelBundle]) -> Postprocessing:
    """That of the first bundle, with what is said of each structure from the bundle that gives it."""
    least: dict[str, float] = {}
    gaussian: dict[str, float] = {}
    given: set[str] = set()
    of_vessels: tuple[str, ...] = ()
    for bundle in bundles:
        own, names = bundle.spec.postprocessing, bundle.spec.labels.values()
        least |= {name: own.min_volume_mm3[name] for name in names if name in own.min_volume_mm3 and name not in least}
        gaussian |= {name: own.gaussian_mm[name] for name in names if name in own.gaussian_mm and name not in given}
        if VESSEL.name in names and VESSEL.name not in given:
            of_vessels = tuple(step for step in VESSEL_STEPS if step in own.steps)
        given.update(names)
    first = bundles[0].spec.postprocessing
    if TUMOR.name not in given:  # nobody asked for them
        of_vessels = tuple(step for step in of_vessels if step != ROUND_VESSELS)
    steps = (*(step for step in first.steps if step not in VESSEL_STEPS), *of_vessels)
    return replace(first, steps=steps, min_volume_mm3=least, gaussian_mm=gaussian)
