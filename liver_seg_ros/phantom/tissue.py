# SPDX-License-Identifier: Apache-2.0
"""The HU table of the phantom: one row per tissue, one range per contrast phase.

Ranges are those that abdominal radiology teaches for 100-120 kVp; a phantom draws one value per tissue from its range.
What is painted with the value of another tissue, because only its place differs, is in `SAME_AS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Phase = Literal["none", "arterial", "portal_venous"]
PHASES: tuple[Phase, ...] = get_args(Phase)

Range = tuple[float, float]


@dataclass(frozen=True)
class Tissue:
    """Hounsfield units of one tissue, a range per phase: without contrast, arterial, portal-venous."""

    none: Range
    arterial: Range
    portal_venous: Range

    def draw(self, phase: Phase, rng: np.random.Generator) -> float:
        """One value from the range of `phase`."""
        return float(rng.uniform(*getattr(self, phase)))


def _same(low: float, high: float) -> Tissue:
    return Tissue((low, high), (low, high), (low, high))


TISSUES: dict[str, Tissue] = {
    "air": _same(-1000, -990),
    "bed": _same(-700, -200),
    "fat": _same(-115, -85),
    "visceral_fat": _same(-110, -75),
    "muscle": Tissue((40, 60), (45, 65), (50, 72)),
    "lung": _same(-900, -760),
    "cortical_bone": _same(350, 900),
    "marrow": _same(80, 280),
    "cartilage": _same(80, 140),
    "canal": _same(10, 40),
    "liver": Tissue((42, 66), (58, 85), (92, 128)),
    "fatty_liver": Tissue((5, 42), (30, 60), (50, 92)),
    "portal_vein": Tissue((30, 44), (60, 120), (145, 200)),
    "hepatic_vein": Tissue((30, 44), (48, 75), (135, 195)),
    "spleen": Tissue((40, 56), (90, 150), (100, 140)),
    "kidney_cortex": Tissue((25, 40), (140, 220), (150, 220)),
    "kidney_medulla": Tissue((22, 36), (50, 90), (130, 200)),
    "stomach_wall": Tissue((30, 48), (50, 90), (60, 100)),
    "stomach_content": _same(-5, 45),
    "gas": _same(-1000, -900),
    "bile": _same(-2, 22),
    "pancreas": Tissue((25, 45), (75, 120), (70, 110)),
    "bowel_wall": Tissue((25, 45), (60, 110), (60, 105)),
    "bowel_content": _same(-20, 60),
    "feces": _same(-250, 60),
    "aorta": Tissue((32, 48), (230, 380), (135, 190)),
    "cava": Tissue((30, 46), (60, 110), (115, 175)),
    "heart": Tissue((32, 48), (120, 240), (110, 160)),
    "bladder": _same(-2, 18),
}

#: What has no value of its own, and the tissue whose value it has. (A row of its own would draw a number, and so change
#: every phantom of every seed.)
SAME_AS: dict[str, str] = {
    "gallbladder_wall": "stomach_wall",
    "colon_wall": "bowel_wall",
    "duodenum_wall": "bowel_wall",
    "duodenum_content": "bowel_content",
    "small_bowel_wall": "bowel_wall",
    "mesenteric_vein": "portal_vein",
    "mesenteric_artery": "aorta",
    "left_heart_blood": "aorta",
    "right_heart_blood": "heart",
}


def hu_of(name: str, hu: Mapping[str, float]) -> float:
    """The HU that what is called `name` is painted with, where `hu` holds those of the tissues."""
    return hu[SAME_AS.get(name, name)]
