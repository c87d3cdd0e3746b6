# SPDX-License-Identifier: Apache-2.0
"""A checkpoint carries whose images its network has learned from, through a kill and from one training to the next."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from liver_seg_ros.deploy.export import export_bundle
from liver_seg_ros.training.checkpoint import load_checkpoint
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.provenance import together
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.trainer import CHECKPOINT, Trainer

pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

SETTINGS: dict[str, Any] = {
    "name": "cubes", "version": "1.2.3", "patch": (16, 16, 16), "overlap": 0.25, "min_volume_mm3": {}, "margin_mm": 3,
}  # fmt: skip


def steps(recipe: Recipe, count: int) -> Recipe:
    return replace(recipe, optimization=replace(recipe.optimization, steps=count))


def trainer(recipe: Recipe, folder: Path, output: Path) -> Trainer:
    output.mkdir(exist_ok=True)
    return Trainer(recipe, output, PhantomDataset(folder, range(3), recipe), {})


def test_what_two_trainings_have_seen() -> None:
    assert together("synthetic", "synthetic") == "synthetic"
    assert together("patients", "patients") == "patients"
    assert together("synthetic", "patients") == together("patients", "mixed") == "mixed"
    assert together("unsaid", "synthetic") == together("patients", "unsaid") == "unsaid"


def test_a_training_writes_down_its_images_seeds_and_how_many_it_had(
    recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    trainer(steps(recipe, 1), folder, tmp_path / "out").run()
    saved = load_checkpoint(tmp_path / "out" / CHECKPOINT)
    assert saved.images == "synthetic"
    assert saved.source == "3 phantoms of this package (seeds 0 to 2; contrast phases portal_venous 100%)"


def test_the_images_of_the_bundle_it_began_with_count_also_after_a_kill(
    recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    first = trainer(steps(recipe, 1), folder, tmp_path / "first").run()
    export_bundle(replace(first, images="patients", source="2 CTs"), tmp_path / "bundle", SETTINGS)
    description = tmp_path / "bundle" / "model.yaml"
    plan = replace(steps(recipe, 1).optimization, fixed_norm_from=0)
    taught_on = replace(recipe, initial=str(tmp_path / "bundle"), optimization=plan)
    for others, expected in (("patients", "mixed"), ("unsaid", "unsaid")):
        text = description.read_text(encoding="utf-8")
        description.write_text(text.replace("training_data: patients", f"training_data: {others}"), encoding="utf-8")
        for _ in range(2):  # begun, and gone on with
            learned = trainer(taught_on, folder, tmp_path / others).run()
            assert learned.images == expected
            assert learned.began_with.startswith("cubes 1.2.3 (Images of patients: 2 CTs")


def test_a_training_from_before_says_it_once_it_goes_on(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    first = trainer(steps(recipe, 1), folder, tmp_path / "out").run()
    old = {**vars(first), "recipe": asdict(first.recipe)}
    for name in ("images", "source"):
        del old[name]
    torch.save(old, tmp_path / "out" / CHECKPOINT)
    assert load_checkpoint(tmp_path / "out" / CHECKPOINT).images == "unsaid"
    assert trainer(steps(recipe, 1), folder, tmp_path / "out").run().images == "synthetic"  # of the same recipe
    torch.save({**old, "began_with": "a bundle (of nobody knows what)"}, tmp_path / "out" / CHECKPOINT)
    assert trainer(steps(recipe, 1), folder, tmp_path / "out").run().images == "unsaid"
