# SPDX-License-Identifier: Apache-2.0
"""The commands, as processes: cases, a training on them, and what they say when the input is at fault."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.checkpoint import load_checkpoint
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.train import main


def run(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"liver_seg_ros.training.{module}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def write(recipe: Recipe, path: Path) -> Path:
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(recipe).items()}
    for section in ("data", "optimization"):
        values[section] = {k: list(v) if isinstance(v, tuple) else v for k, v in values[section].items()}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_from_a_recipe_to_a_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    seeds = {"training_seeds": (0, 1), "validation_seeds": (1, 2)}
    data = replace(recipe.data, spacing_mm=(5.0, 5.0, 5.0), coarse_scans=1.0, **seeds)  # quick to make
    recipe = replace(recipe, data=data, optimization=replace(recipe.optimization, steps=2))
    path, cache = write(recipe, tmp_path / "recipe.yaml"), tmp_path / "cache"
    made = run("generate", "--recipe", path, "--cache", cache)
    assert made.returncode == 0, made.stderr
    assert len(list(cache.glob("segment-*/*.npz"))) == 2
    trained = run("train", "--recipe", path, "--cache", cache, "--output", tmp_path / "out", "--threads", "1")
    assert trained.returncode == 0, trained.stderr
    assert "step 2: Dice liver" in trained.stderr
    checkpoint = load_checkpoint(tmp_path / "out" / "checkpoint.pt")
    assert (checkpoint.step, checkpoint.cases) == (2, 1)


def test_bad_input_is_one_line_and_exit_code_2(recipe: Recipe, tmp_path: Path) -> None:
    """As a process once, which takes seconds: what `run_command` makes of an `InputError` is the same for all."""
    path = write(recipe, tmp_path / "recipe.yaml")
    failed = run("train", "--recipe", path, "--output", path / "below a file")
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert failed.stderr.count("\n") == 1
    for arguments in (
        ("--recipe", tmp_path / "none.yaml", "--output", tmp_path / "out"),
        ("--recipe", path, "--output", tmp_path / "out", "--cache", tmp_path / "empty"),
    ):
        with pytest.raises(InputError) as told:
            main([*map(str, arguments)])
        assert "\n" not in str(told.value)
