# SPDX-License-Identifier: Apache-2.0
"""How much a phantom varies: "plain" is the generator as it always was, "varied" goes beyond the plausible on purpose,
"varied_tumors" is plain but for its tumors (`demanding_tumors.py`), "varied_vessels" is varied, with more and thinner
vessels whose contrast fades (`vessel_contrast.py`), and noisier, "varied_cysts" is varied with more cysts, and
"varied_hypodense" varied with tumors that are taken for cysts (`hypodense_tumors.py`), and about as many cysts.

A network that has seen only what is plausible meets every patient for the first time. So what a varied phantom looks
like is drawn far more widely than anatomy allows (Billot et al. 2023, SynthSeg): grey values of all that surrounds the
liver, its outline, its vessels, its lesions, what imitates lesions, and the scanner. Everything is drawn from a random
stream of its own, so that a plain phantom of the same seed is untouched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from liver_seg_ros.phantom.fields import Field, smooth_noise
from liver_seg_ros.phantom.tissue import Phase, Range

Variation = Literal["plain", "varied", "varied_tumors", "varied_vessels", "varied_cysts", "varied_hypodense"]
VARIATIONS: tuple[Variation, ...] = get_args(Variation)
#: Those that go beyond the plausible.
BEYOND_PLAUSIBLE: tuple[Variation, ...] = ("varied", "varied_vessels", "varied_cysts", "varied_hypodense")
#: Those with cysts beside the few that any varied phantom may have.
WITH_CYSTS: tuple[Variation, ...] = ("varied_cysts", "varied_hypodense")

#: Tissues whose grey value says nothing that a network may lean on.
_SOFT = (
    "muscle", "spleen", "kidney_cortex", "kidney_medulla", "stomach_wall", "stomach_content", "bile", "pancreas",
    "bowel_wall", "bowel_content", "feces", "heart", "bladder",
)  # fmt: skip
_ANY_SOFT_HU: Range = (-20.0, 220.0)
_ORAL_CONTRAST_HU: Range = (100.0, 500.0)
#: Tissues that only varied phantoms have.
_FLUID_HU: dict[str, Range] = {"effusion": (0.0, 60.0), "ascites": (0.0, 25.0)}
#: Vessels against the liver around them, HU.
_PORTAL_CONTRAST_HU: dict[Phase, Range] = {"none": (-35, -5), "arterial": (-10, 60), "portal_venous": (20, 115)}
_HEPATIC_CONTRAST_HU: dict[Phase, Range] = {"none": (-35, -5), "arterial": (-30, 5), "portal_venous": (12, 105)}
_LEAST_CONTRAST_HU = 8.0
#: Likewise, as it usually is: for vessels painted into a real liver.
VEIN_CONTRAST_HU: dict[Phase, Range] = {"none": (-22, -8), "arterial": (8, 50), "portal_venous": (25, 80)}


@dataclass(frozen=True)
class Veins:
    """Radii at the trees' roots in mm, and how far a tree is grown.

    Attributes:
        portal_mm, hepatic_mm: least and largest root radius.
        most_targets: end points at most; a wide tree with fewer ends in wider twigs.
        terminal_mm: radius of the twigs that it is grown to.
    """

    portal_mm: Range
    hepatic_mm: Range
    most_targets: int
    terminal_mm: float = 1.0


_PLAIN_VEINS, _VARIED_VEINS = Veins((4.8, 6.5), (3.4, 4.8), 10_000), Veins((4.4, 8.0), (3.0, 6.0), 220)
VEINS: dict[Variation, Veins] = {
    "plain": _PLAIN_VEINS,
    "varied_tumors": _PLAIN_VEINS,
    "varied": _VARIED_VEINS,
    "varied_cysts": _VARIED_VEINS,
    "varied_hypodense": _VARIED_VEINS,
    "varied_vessels": replace(_VARIED_VEINS, most_targets=450, terminal_mm=0.75),
}

#: Standard deviation of the noise, HU, where the caller gives none.
NOISE_HU: dict[Variation, Range] = {
    "plain": (6, 22), "varied": (6, 22), "varied_tumors": (6, 22), "varied_cysts": (6, 22), "varied_hypodense": (6, 22),
    "varied_vessels": (8, 34),
}  # fmt: skip


def vary_hu(hu: dict[str, float], phase: Phase, fatty: bool, rng: np.random.Generator) -> None:
    """Change the HU of the tissues in place: all by a little, in some patients what surrounds the liver by anything."""
    for name in hu:
        hu[name] += float(rng.normal(0, 8))
    hu.update({name: float(rng.uniform(*span)) for name, span in _FLUID_HU.items()})
    if rng.random() < 0.35:
        hu.update({name: float(rng.uniform(*_ANY_SOFT_HU)) for name in _SOFT})
    for name in ("stomach_content", "bowel_content", "bile"):
        if rng.random() < 0.15:
            hu[name] = float(rng.uniform(*_ORAL_CONTRAST_HU))
    liver = "fatty_liver" if fatty else "liver"
    hu[liver] += float(rng.normal(0, 12))
    hu["portal_vein"] = hu[liver] + _contrast(_PORTAL_CONTRAST_HU[phase], fatty, phase, rng)
    hu["hepatic_vein"] = hu[liver] + _contrast(_HEPATIC_CONTRAST_HU[phase], fatty, phase, rng)
    if rng.random() < 0.7:  # the cava carries what the hepatic veins give it, mixed with what comes from below
        hu["cava"] = hu["hepatic_vein"] + float(rng.normal(0, 20))


def vary_texture(shape: tuple[int, int, int], step_mm: float, rng: np.random.Generator) -> Field:
    """HU to add to all tissue on a lattice of `shape` and `step_mm`: mottles of 5 to 30 mm, as patients have them."""
    return smooth_noise(rng, shape, step_mm, float(rng.uniform(5, 30))) * np.float32(rng.uniform(0, 10))


def _contrast(span: Range, fatty: bool, phase: Phase, rng: np.random.Generator) -> float:
    value = float(rng.uniform(*span))
    if fatty and phase == "none":  # in a fatty liver even blood without contrast is bright
        value = -value
    return float(np.copysign(max(abs(value), _LEAST_CONTRAST_HU), value))
