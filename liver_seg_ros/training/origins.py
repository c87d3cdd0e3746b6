# SPDX-License-Identifier: Apache-2.0
"""What a training came from besides its data, told by what it is and not by where it lies: its folder may be moved.

A recipe names its teacher and its first weights by paths. A checkpoint keeps, beside them, a digest of the weights that
were there and of how they were trained; so a training goes on where those lie elsewhere, and not where others do.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.training.checkpoint import CHECKPOINT, Checkpoint, load_checkpoint
from liver_seg_ros.training.recipe import CHECKPOINT_SUFFIX, Recipe

#: What a recipe names by a path.
TEACHER, INITIAL = ORIGINS = ("teacher", "initial")
_WORDS = {TEACHER: "teacher's weights", INITIAL: "first weights"}


def origins_of(recipe: Recipe) -> dict[str, str]:
    """Origin -> digest, of those that the recipe names. Raises `InputError` where one is not there or damaged."""
    paths = {origin: path for origin in ORIGINS if (path := _path(recipe, origin)) is not None}
    return {origin: _digest(path) for origin, path in paths.items()}


def is_of(earlier: Checkpoint, recipe: Recipe) -> bool:
    """Whether a checkpoint is one of this recipe's, wherever its origins lie now.

    Raises:
        InputError: its teacher, or first weights that were moved or are asked for mistakes, are not those that it
            began with, or are not there.
    """
    for origin in ORIGINS:
        known, before, now = earlier.origins.get(origin), _path(earlier.recipe, origin), _path(recipe, origin)
        if now is None or before is None or known is None:
            if before != now:
                return False
        elif (before != now or origin == TEACHER or recipe.optimization.mistakes) and known != _digest(now):
            raise InputError(
                f"{now} does not hold the {_WORDS[origin]} that this training began with; bring them back, or choose "
                "another --output"
            )
    return _without_paths(earlier.recipe) == _without_paths(recipe)


def _path(recipe: Recipe, origin: str) -> Path | None:
    """A checkpoint, or the folder of a bundle; None where the recipe names none."""
    if origin == INITIAL:
        return None if recipe.initial is None else Path(recipe.initial)
    return None if recipe.distillation is None else Path(str(recipe.distillation["teacher"])) / CHECKPOINT


def _digest(path: Path) -> str:
    if path.suffix != CHECKPOINT_SUFFIX:
        return load_bundle(path).sha256
    checkpoint = load_checkpoint(path)
    digest = hashlib.sha256(json.dumps(_without_paths(checkpoint.recipe), sort_keys=True).encode())
    for name, weights in sorted(checkpoint.weights.items()):
        digest.update(name.encode())
        digest.update(weights.contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()


def _without_paths(recipe: Recipe) -> dict[str, Any]:
    values = asdict(recipe)
    values["initial"] = recipe.initial is not None
    if recipe.distillation is not None:
        values["distillation"] = {**recipe.distillation, "teacher": None}
    return values
