# SPDX-License-Identifier: Apache-2.0
"""A training small enough for a test: cubes in 16 voxels, and a network of a few thousand weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from liver_seg_ros.training.cases import Case, case_path, write_case  # noqa: E402  after the skip
from liver_seg_ros.training.recipe import Recipe, recipe_from_dict  # noqa: E402

SEEDS = range(3)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums over several threads come in any order: with one, equal trainings are equal to the bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command that was run here has its lines go to standard error alone: not those of the next test."""
    yield
    steps = logging.getLogger("liver_seg_ros.training")
    steps.handlers.clear()
    steps.propagate = True
    steps.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    values: dict[str, Any] = {
        "stage": "segment",
        "network": {"name": "unet3d", "widths": [16, 16], "convolutions": 1},
        "data": {
            "spacing_mm": [3.0, 3.0, 3.0],
            "hu_window": [-100, 250],
            "margin_mm": 10,
            "phases": {"portal_venous": 1},
            "training_seeds": [0, 3],
            "validation_seeds": [3, 4],
        },
        "augmentation": {"shift_hu": 5, "noise_hu": 5, "blur_voxels": 0.3},
        "optimization": {
            "patch": [16, 16, 16],
            "batch": 2,
            "steps": 6,
            "learning_rate": 0.01,
            "focus": {"tumor": 0.5, "vessel": 0.3},
            "validate_every": 3,
        },
    }
    return recipe_from_dict(values, "test")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three cases of 14 x 20 x 24 voxels: a liver with a tumor and a vessel in it, as bright as in a real CT."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        labels = np.zeros((14, 20, 24), np.uint8)
        labels[2:12, 3:17, 3:20] = 1
        labels[3 + seed : 9 + seed, 5:10, 6:11] = 2
        labels[2:12, 11:16, 13:18] = 3
        hu = np.array([-80, 110, 50, 190])[labels] + rng.normal(0, 8, labels.shape)
        write_case(case_path(tmp_path, seed), Case(np.rint(hu).astype(np.int16), labels))
    return tmp_path
