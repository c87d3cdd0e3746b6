# SPDX-License-Identifier: Apache-2.0
"""A paper's recipe at toy size, from its data set's layout to labels of a CT; `benchmarks/recipes.py` runs them all."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra [train])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "benchmarks"))  # no package: its files are programs

import recipes  # noqa: E402

sys.path.remove(str(REPOSITORY / "benchmarks"))  # one of them is called as a library is

from liver_seg_ros.training.variants import choose_recipe  # noqa: E402


def test_a_recipe_runs_from_its_layout_to_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, variant = "paper3_lits17", "unet_aspp"
    row, cells = row_after_one_step(name, variant)
    # Labels of a scan, which the network was shown; meshes where enough of them are liver.
    found = re.fullmatch(r"([\d,]+) liver, [\d,]+ tumor, [\d,]+ vessel(?:; (\d+) meshes)?", cells[5])
    assert float(cells[4]) > 0 and found, row
    assert (found[2] is not None and int(found[2]) > 0) == (int(found[1].replace(",", "")) >= recipes.ENOUGH), row
    assert (tmp_path / "bundles" / name / variant / "segmenter" / "MODEL_CARD.md").is_file()


def test_a_recipe_of_pictures_runs_from_its_layout_to_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, variant = "paper3_kvasir", "transunet_attention_rgb"
    row, cells = row_after_one_step(name, variant)
    found = re.search(r"no `liver-seg segment` takes: ([\d,]+) pixels of polyps, IoU (\d\.\d\d)$", cells[5])
    assert float(cells[4]) > 0 and found and int(found[1].replace(",", "")) <= 64 * 64, row
    assert (tmp_path / "bundles" / name / variant / "model" / "MODEL_CARD.md").is_file()


def row_after_one_step(name: str, variant: str) -> tuple[str, list[str]]:
    """The row of one variant, and its cells, of which the first four say what was trained."""
    recipe = choose_recipe(REPOSITORY / "config" / "training" / f"{name}.yaml", variant)
    (row,) = recipes.rows(name, variant, recipe, steps=1)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:4] == [name, variant, "2", "1"], row
    return row, cells
