# SPDX-License-Identifier: Apache-2.0
"""An untrained network that is small enough to be exported within a test, and how it is exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from liver_seg_ros.training.checkpoint import Checkpoint, build_network
from liver_seg_ros.training.recipe import read_recipe

RECIPE = Path(__file__).parents[2] / "config" / "training" / "segmenter.yaml"
SETTINGS: dict[str, Any] = {
    "name": "tiny", "version": "1.0.0", "patch": (16, 16, 16), "overlap": 0.25, "min_volume_mm3": {}, "margin_mm": 3,
}  # fmt: skip


def checkpoint(seed: int, widths: list[int], images: str = "synthetic") -> Checkpoint:
    """As a training leaves it; `images` says whose it saw."""
    torch.manual_seed(seed)
    recipe = replace(read_recipe(RECIPE), network={"name": "unet3d", "widths": widths})
    state = build_network(recipe).state_dict()
    return Checkpoint(recipe, state, {}, step=3, seconds=1.0, cases=7, images=images, source=f"source {seed}")
