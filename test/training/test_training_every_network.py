# SPDX-License-Identifier: Apache-2.0
"""Every network of the registry is trained by a recipe: volumes or slices, with edges, scales and side outputs."""

from __future__ import annotations

import math
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from liver_seg_ros.networks import NETWORKS
from liver_seg_ros.training.cases import Case, case_path, write_case
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.recipe import recipe_from_dict
from liver_seg_ros.training.trainer import Trainer

sys.path.insert(0, str(Path(__file__).parents[1] / "networks"))  # tests are not importable from each other

from small import SMALL

#: What is not trained with the loss of all: those that give more than logits.
LOSSES = {
    "transfusionnet_edge": "transfusionnet_edge",
    "unet_plus_plus": "deep_supervision",
    "unet3plus": "deep_supervision",
    "mpunet": "mpunet",
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    labels = np.zeros((2, 20, 24), np.uint8)
    labels[:, 3:17, 3:20] = 1
    labels[:, 5:10, 6:11] = 2
    labels[:, 11:16, 13:18] = 3
    write_case(case_path(folder, 0), Case((labels * 60).astype(np.int16), labels))
    return folder


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_two_steps_and_a_validation(name: str, case: Path, tmp_path: Path) -> None:
    small = SMALL[name]
    edges = [min(small.size)] * len(small.size)
    size = [*edges, *[1] * (3 - len(edges))]
    options: dict[str, Any] = {key: plain(value) for key, value in small.options.items()}
    structures = ["liver", "tumor"] if NETWORKS[name].options.get("classes", 4) == 4 else ["liver"]
    recipe = recipe_from_dict(
        {
            "stage": "segment",
            "network": {"name": name, **options},
            "loss": {"name": LOSSES.get(name, "dice_ce")},
            "data": {
                "spacing_mm": [3.0] * 3,
                "hu_window": [-100, 250],
                "margin_mm": None,
                "phases": {"none": 1},
                "training_seeds": [0, 1],
                "validation_seeds": [1, 2],
                "structures": structures,
            },
            "optimization": {"patch": size, "batch": 2, "steps": 2, "learning_rate": 0.001, "validate_every": 2},
        },
        "test",
    )
    dataset = PhantomDataset(case, range(1), recipe)
    done = Trainer(recipe, tmp_path, dataset, dataset.cases).run()
    assert done.step == 2 and {*done.scores} == {*structures}
    assert all(math.isfinite(weights.sum()) for weights in done.weights.values())
    fixed = getattr(done.network(), "image_size", None)
    assert fixed is None or (tuple(fixed) == tuple(size[1::-1]) and "image_size" in signature_of(name))


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def signature_of(name: str) -> list[str]:
    return [*signature(NETWORKS[name].load()).parameters]
