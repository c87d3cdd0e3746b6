# SPDX-License-Identifier: Apache-2.0
"""What surrounds the liver in a phantom: which painted shape is which structure, and the duodenum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.labels import (
    AORTA,
    BACKGROUND,
    BONE,
    COLON,
    DUODENUM,
    GALLBLADDER,
    HEART,
    KIDNEY,
    LUNG,
    PANCREAS,
    PORTAL_VEIN,
    SMALL_BOWEL,
    SPLEEN,
    STOMACH,
    VENA_CAVA,
    Structure,
)
from liver_seg_ros.phantom.fields import Points, smooth_noise, subtract, tube
from liver_seg_ros.phantom.organs import Organs
from liver_seg_ros.phantom.trunk import Build, Trunk

#: The structure that a painted shape is part of, by the shape's name. The ribs' cartilage is in a needle's way as they
#: are.
_STRUCTURE_OF: dict[str, Structure] = {
    "lung": LUNG,
    **dict.fromkeys(("heart", "myocardium", "left_heart_blood", "right_heart_blood"), HEART),
    **dict.fromkeys(("cortical_bone", "marrow", "cartilage"), BONE),
    **dict.fromkeys(("stomach_wall", "stomach_content"), STOMACH),
    **dict.fromkeys(("gallbladder_wall", "bile"), GALLBLADDER),
    **dict.fromkeys(("duodenum_wall", "duodenum_content"), DUODENUM),
    **dict.fromkeys(("colon_wall", "feces"), COLON),
    **dict.fromkeys(("small_bowel_wall", "bowel_content"), SMALL_BOWEL),
    "pancreas": PANCREAS,
    **dict.fromkeys(("kidney_cortex", "kidney_medulla"), KIDNEY),
    "spleen": SPLEEN,
    "aorta": AORTA,
    "cava": VENA_CAVA,
    "portal_vein": PORTAL_VEIN,
}
#: What is inside of something else and does not end it.
_INSIDE = ("gas", "effusion")


def value_of(name: str) -> int | None:
    """The label value of a painted shape: 0 for fat, muscle and the like, None for a part of what it covers."""
    if name in _INSIDE:
        return None
    structure = _STRUCTURE_OF.get(name)
    return BACKGROUND if structure is None else structure.value


def with_duodenum(
    organs: Organs, trunk: Trunk, points: Points, build: Build, step_mm: float, rng: np.random.Generator
) -> Organs:
    """`organs` with the stomach's outlet and the duodenum.

    It leads from the stomach behind the gallbladder, down along the pancreas' head and back across cava and aorta.

    Everything else stays as it was, but for what these two cover: they are painted over bowel and pancreas, and under
    all other organs.

    Args:
        points: of the lattice, in template units.
        step_mm: of the lattice.
    """
    mm = np.float32(build.mean_scale)
    room = trunk.cavity + 3

    def near(path: list[tuple[float, float, float]], by: float) -> NDArray[np.float64]:
        return np.asarray(path) + rng.uniform(-by, by, (len(path), 3))

    pylorus = near([(4, -36, -4)], 5)[0]
    body = (38.0, -34.0, rng.uniform(-12, 14))
    outlet = tube(points, [body, near([(22, -42, -6)], 6)[0], pylorus], (rng.uniform(16, 26), 15, 9)) * mm
    course = near([(-22, -34, -6), (-36, -14, -26), (-37, -2, -56), (-24, 6, -76), (8, 6, -76), (26, -10, -56)], 5)
    radii = rng.uniform(8, 13, 7)
    wall = tube(points, [pylorus, *course], radii) * mm
    wall = wall + smooth_noise(rng, wall.shape, step_mm, 14.0) * np.float32(1.5)
    wall = subtract(np.maximum(wall, room), organs.liver, build.gap_mm * 0.6)
    outlet = subtract(np.maximum(outlet, room), organs.liver, build.gap_mm * 0.6)
    added = [("duodenum_wall", wall), ("duodenum_content", wall + 3)]
    if rng.random() < 0.4:
        added.append(("gas", np.maximum(wall + 3.5, (points.y - rng.uniform(-45, 0)) * mm)))
    added += [("stomach_wall", outlet), ("stomach_content", outlet + 4)]
    at = 1 + max(n for n, (name, _) in enumerate(organs.shapes) if name == "pancreas")
    return Organs(organs.liver, [*organs.shapes[:at], *added, *organs.shapes[at:]])
