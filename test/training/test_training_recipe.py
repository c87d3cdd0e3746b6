# SPDX-License-Identifier: Apache-2.0
"""Recipes: the shipped ones are valid, and every mistake is named with its file and field."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks import NETWORKS
from liver_seg_ros.training.checkpoint import build_network
from liver_seg_ros.training.losses import create_loss
from liver_seg_ros.training.network_inputs import check_fits
from liver_seg_ros.training.recipe import read_recipe, recipe_from_dict
from liver_seg_ros.training.sources.about import ABOUT
from liver_seg_ros.training.variants import read_recipes

RECIPES = Path(__file__).parents[2] / "config" / "training"


@pytest.mark.parametrize(
    "name", ["localizer", "segmenter", "localizer_varied", "segmenter_varied", "segmenter_mixed", "own_data"]
)
def test_the_shipped_recipes_are_valid_and_their_networks_can_be_built(name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.yaml")
    network = build_network(recipe)
    assert all(edge % network.size_multiple == 0 for edge in recipe.optimization.patch)
    assert recipe_from_dict(asdict(recipe), "itself") == recipe


@pytest.mark.parametrize(
    ("name", "split", "fewest", "learned"),
    [
        ("paper2_ltvs", (37, 5, 10), 0, ["liver", "tumor", "vessel"]),
        ("paper4_lits17", (100, 15, 15), 0, ["liver", "tumor"]),
        ("paper5_lits17", (88, 22, 20), 48, ["liver"]),
        ("paper1_tumor", (8, 0, 2), 0, ["tumor"]),
        ("paper1_vessel", (8, 0, 2), 0, ["vessel"]),
        ("paper1_ltbv_tumor", (8, 0, 2), 0, ["tumor"]),
        ("paper1_ltbv_vessel", (8, 0, 2), 0, ["vessel"]),
        ("paper1_student", (8, 0, 2), 0, ["tumor"]),
        ("paper3_lits17", (90, 24, 0), 0, ["liver", "tumor"]),
    ],
)
def test_the_papers_recipes_divide_and_learn_as_they_did(
    name: str, split: tuple[int, int, int], fewest: int, learned: list[str]
) -> None:
    for variant, recipe in read_recipes(RECIPES / f"{name}.yaml").items():
        plan = ABOUT[recipe.data.source].splits[recipe.data.split or ""]
        assert (plan.shares, plan.fewest_slices) == (split, fewest)
        assert [*recipe.labels.values()] == ["background", *(["liver"] if variant == "liver" else learned)]
        assert create_loss(**recipe.loss).name == recipe.loss["name"]
        check_fits(recipe)
        with torch.device("meta"):
            network = build_network(recipe)
        sizes = recipe.data.size or (None,) * 3
        edges = recipe.optimization.patch
        assert all(size in (None, edge) for size, edge in zip(sizes, edges, strict=True))
        assert all(edge % network.size_multiple == 0 for edge in edges[: len(NETWORKS[recipe.network["name"]].size)])
        assert recipe_from_dict(asdict(recipe), "itself") == recipe


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        (None, "stage", "both", "must be one of localize, segment, surround"),
        (None, "optimisation", {}, "unknown fields optimisation; known are stage, network"),
        (None, "loss", {"weight": 2}, "must be a mapping with a 'name'"),
        ("data", "spacing_mm", [1.5, 1.5], "must be three positive lengths in mm"),
        ("data", "spacing_mm", [1.5, 1.5, 0], "must be three positive lengths in mm"),
        ("data", "hu_window", [250, -100], r"must be \[low, high\]"),
        ("data", "margin_mm", "wide", "must be a length in mm or null"),
        ("data", "phases", {"venous": 1}, "must be a positive share for some of none, arterial"),
        ("data", "training_seeds", [0, 10001], r"must be .* at most 9000"),
        ("data", "tumor_count", [5, 2], r"must be \[fewest, most\]"),
        ("data", "tumor_count", 4, r"must be \[fewest, most\]"),
        ("data", "variations", {"wild": 1}, "must be a positive share for some of plain, varied"),
        ("data", "validation_seeds", [0, 4], "data: training_seeds and validation_seeds overlap"),
        ("optimization", "batch", 0, "must be a whole number from 1 upward"),
        ("optimization", "steps", "many", "must be a whole number from 1 upward"),
        ("optimization", "precision", "int4", "must be one of float32, bfloat16"),
        ("optimization", "fixed_norm_from", 1.5, "must be a fraction from 0 to 1"),
        ("optimization", "deep_centers", 2, "must be a fraction from 0 to 1"),
        (None, "initial", 3, "must be a bundle's folder, a checkpoint or null"),
        (None, "initial", "models/segmenter", "initial weights, whose norms are folded, .*fixed_norm_from must be 0"),
        ("optimization", "focus", {"tumor": 0.8, "vessel": 0.8}, "must be shares, together at most 1"),
        ("augmentation", "flip", 2, "must be a fraction from 0 to 1"),
        ("augmentation", "scale", 1, "must be a fraction from 0 to below 1"),
        ("data", "flips", 1, "'data' has unknown fields flips; known are spacing_mm, hu_window"),
        (None, "data", [1], r"must be a mapping"),
        ("optimization", "seed", True, "must be a number from 0 upward"),
        ("augmentation", "noise_hu", -1, "must be a number from 0 upward"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, section: str | None, field: str, value: Any, message: str) -> None:
    values = yaml.safe_load((RECIPES / "segmenter.yaml").read_text(encoding="utf-8"))
    (values[section] if section else values)[field] = value
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    if message.startswith("must be"):
        name = f"{section}.{field}" if section else field
        message = re.escape(f"field '{name}' is {value!r}; it ") + message
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)


def test_a_missing_field_and_a_missing_file_are_named(tmp_path: Path) -> None:
    values = yaml.safe_load((RECIPES / "segmenter.yaml").read_text(encoding="utf-8"))
    del values["data"]["hu_window"]
    with pytest.raises(InputError, match=r"must be \[low, high\] in HU"):
        recipe_from_dict(values, "recipe")
    with pytest.raises(InputError, match=r"cannot read the recipe .*none.yaml"):
        read_recipe(tmp_path / "none.yaml")
