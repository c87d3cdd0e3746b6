# SPDX-License-Identifier: Apache-2.0
"""Comparisons: variants of a recipe, trained with each seed and judged on the same cases, beside what is printed."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from liver_seg_ros.cli import main
from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.case_scores import Definitions
from liver_seg_ros.evaluation.metrics import OVERLAP_METRICS
from liver_seg_ros.machine import machine
from liver_seg_ros.networks import NETWORKS
from liver_seg_ros.plain import plain
from liver_seg_ros.training.cases import Case, case_folder, case_path, read_case, write_case
from liver_seg_ros.training.checkpoint import (
    BEST,
    CHECKPOINT,
    Checkpoint,
    build_network,
    load_checkpoint,
    save_checkpoint,
)  # fmt: skip
from liver_seg_ros.training.comparison import Budget, Run, compare
from liver_seg_ros.training.comparison_report import comparison_in_words, write_comparison_csv
from liver_seg_ros.training.judging import TESTING_SEEDS, judge
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.printed import (
    IOU,
    PAPER_1,
    PAPER_2,
    PAPER_3,
    PAPER_4,
    PAPER_5,
    PRECISION,
    RECALL,
    VOLUME_SIMILARITY,
)  # fmt: skip
from liver_seg_ros.training.published import COSTS, PUBLISHED
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.trainer import Trainer
from liver_seg_ros.training.variants import choose, choose_recipe, read_recipes

NAMES = ("taught", "begun", "unet3d")


@pytest.fixture
def file(recipe: Recipe, tmp_path: Path) -> Path:
    """Three variants of the tests' recipe, two of which need the third."""
    values = plain(asdict(recipe))
    values["optimization"]["focus"] = {}
    values["variants"] = {
        "taught": {"network": {"name": "student", "widths": [8, 8]}, "distillation": {"teacher": "unet3d"}},
        "begun": {"initial": "unet3d.pt", "optimization": {"learning_rate": 0.0}},
        "unet3d": {},
    }
    path = tmp_path / "recipes.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def cache(file: Path, folder: Path, tmp_path: Path) -> Path:
    """With cases for every seed that a comparison asks for."""
    place = case_folder(tmp_path / "cache", choose_recipe(file, "unet3d"))
    for number, seed in enumerate((*range(4), *TESTING_SEEDS)):
        write_case(case_path(place, seed), read_case(case_path(folder, number % 3)))
    return tmp_path / "cache"


def test_a_variant_takes_over_what_it_does_not_say(file: Path, recipe: Recipe) -> None:
    recipes = read_recipes(file)
    assert [*recipes] == [*NAMES]
    begun = recipes["begun"]
    assert (begun.optimization.learning_rate, begun.optimization.batch) == (0.0, recipe.optimization.batch)
    assert begun.data == recipe.data and recipes["taught"].network == {"name": "student", "widths": [8, 8]}
    assert [*choose([recipes], "begun,unet3d")] == ["begun", "unet3d"]
    with pytest.raises(InputError, match="there is no variant 'x'; there are taught, begun, unet3d"):
        choose([recipes], "x")
    with pytest.raises(InputError, match="two recipes are called begun"):
        choose([recipes, recipes], None)
    with pytest.raises(InputError, match="name one of its variants with --variant: taught"):
        choose_recipe(file, None)


def test_every_variant_is_trained_with_every_seed_and_judged(file: Path, cache: Path, tmp_path: Path) -> None:
    recipes, out = read_recipes(file), tmp_path / "out"
    budget = Budget(seeds=(0, 1), steps=1)
    runs = compare(recipes, out, cache, budget)
    assert {(run.variant, run.seed) for run in runs} == {(name, seed) for name in NAMES for seed in (0, 1)}
    for seed in (0, 1):
        first, begun = (load_checkpoint(out / name / f"seed_{seed}" / CHECKPOINT) for name in ("unet3d", "begun"))
        assert first.recipe.optimization.seed == seed and (out / "unet3d" / f"seed_{seed}" / BEST).is_file()
        for name, _ in first.network().named_parameters():  # it began with the other's and moved by a rate of 0
            np.testing.assert_allclose(begun.weights[name].numpy(), first.weights[name].numpy(), rtol=1e-6)
    taught = next(run for run in runs if run.variant == "taught")
    assert "taught by 'unet3d'" in taught.checkpoint.source
    page = comparison_in_words("Title", recipes, runs, budget, "testing")
    dice = [run.scores["liver"]["dice"] for run in runs if run.variant == "unet3d"]
    assert f"| unet3d | {fmean(dice):.3f} ± {stdev(dice):.3f} |" in page
    assert "nothing about any of them beyond it" in page and "1 steps of 2 patches of 16 x 16 x 16" in page
    write_comparison_csv(tmp_path / "results.csv", runs)
    with (tmp_path / "results.csv").open(encoding="utf-8") as rows:
        wanted = {"recipe": "unet3d", "structure": "liver", "metric": "dice"}
        found = [row for row in csv.DictReader(rows) if wanted.items() <= row.items()]
    assert [float(row["value"]) for row in found] == dice
    again = compare(recipes, out, cache, budget)
    assert [run.scores for run in again] == [run.scores for run in runs]


def test_a_killed_comparison_goes_on_wherever_it_was_moved(
    file: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the weights of one that stayed: what it was taught by and began with lies elsewhere, and is the same."""
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    values["optimization"] |= {"steps": 2, "validate_every": 1}
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    recipes, batch, made = read_recipes(file), PhantomDataset.batch, list[int]()
    compare(recipes, tmp_path / "stayed", cache, Budget())

    def killed(*arguments: Any) -> Any:
        made.append(1)
        if len(made) == 6:  # behind the first step of the third training
            raise KeyboardInterrupt
        return batch(*arguments)

    monkeypatch.setattr(PhantomDataset, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        compare(recipes, tmp_path / "out", cache, Budget())
    moved = shutil.move(tmp_path / "out", tmp_path / "elsewhere" / "moved")
    compare(recipes, moved, cache, Budget())
    assert len(made) == 7  # and nothing was trained again
    for name in NAMES:
        stayed, gone_on = (
            load_checkpoint(place / name / "seed_0" / CHECKPOINT) for place in (tmp_path / "stayed", moved)
        )
        assert all(torch.equal(w, gone_on.weights[n]) for n, w in stayed.weights.items()), name
    teacher = load_checkpoint(moved / "unet3d" / "seed_0" / CHECKPOINT)
    teacher.weights["head.bias"] += 1
    save_checkpoint(moved / "unet3d" / "seed_0" / CHECKPOINT, teacher)
    with pytest.raises(InputError, match=r"does not hold the (teacher's|first) weights that this training began"):
        compare(recipes, moved, cache, Budget())


def test_printed_figures_stand_beside_ours_and_say_whose_they_are(file: Path, recipe: Recipe) -> None:
    checkpoint = type("Checkpoint", (), {"source": "3 phantoms", "seconds": 60.0, "cpu_seconds": 45.0})()
    scores = {"tumor": {"dice": 0.5, "precision": 0.25, "mcc": 0.125, "hd95_mm": math.inf}}
    run = Run("ours", 0, scores, checkpoint, 10, {}, 0.5, 1.25)  # type: ignore[arg-type]
    page = comparison_in_words("T", {"ours": replace(recipe, network={"name": "ucanet"})}, [run], Budget(), "testing")
    assert "| `ucanet` | tumor | dice | 0.8496 | LTVS (private), five seeds | paper 2" in page
    assert "| ours | 0.500 |" in page and page.index("0.500") < page.index("What the papers print")
    assert "| ours | inf |" in page and "0.250" not in page  # paper 2 prints no precision
    without = replace(run, seed=1, scores={"tumor": {"dice": math.nan}})
    both = comparison_in_words("T", {"ours": recipe}, [run, without], Budget(), "testing")
    assert "| ours | 0.500 (1 of 2) |" in both
    sizes = "| ours | `ucanet` | 10 | 5,910,000 | 1.2 | 60 | 45 | 0.50 |"
    assert sizes in page and machine() in page
    page = comparison_in_words("T", {"ours": replace(recipe, network={"name": "mpunet"})}, [run], Budget(), "testing")
    assert "| ours | 0.250 |" in page and "| ours | 0.125 |" in page  # but paper 5 does
    assert "| `mpunet` | liver | mcc | 0.917395 | LiTS17, 20 test scans | paper 5" in page
    assert "| `mpunet` | train time | 107 s | paper 5" in page and "| `mpunet` | parameters | 22,557,009 |" in page


def test_what_is_printed_is_of_networks_that_there_are_and_agrees_with_itself() -> None:
    by_place = {(f.network, f.table, f.paper, f.data, f.structure, f.metric): f for f in PUBLISHED}
    assert len(by_place) == len(PUBLISHED)
    for (*place, metric), figure in by_place.items():
        assert figure.network in NETWORKS and metric in OVERLAP_METRICS
        is_difference, is_misprint = metric == VOLUME_SIMILARITY, figure.value == 1.066  # paper 1, Table III
        assert is_misprint or -2 * is_difference <= figure.value <= 1 + is_difference, figure
        dice = by_place.get((*place, "dice"))
        if metric == IOU and dice is not None:
            assert figure.value < dice.value < 2 * figure.value / (1 + figure.value) + 0.03, figure
        voe = by_place.get((*place, VOLUME_SIMILARITY))
        if metric == PRECISION and voe is not None and figure.table != "Table III":
            recall = by_place[(*place, RECALL)]
            by_equation_14 = 2 * (recall.value - figure.value) / (recall.value + figure.value)
            assert voe.value == pytest.approx(by_equation_14, abs=0.01), figure  # so it is the usual precision
    of_paper = Counter(figure.paper for figure in PUBLISHED)
    # Tables I and II: 7 networks twice each, III: 3; Tables 1 and 2: 13, section 3.2; 6; 4 networks, 2 structures; 5.
    assert [of_paper[paper] for paper in (PAPER_1, PAPER_2, PAPER_3, PAPER_4, PAPER_5)] == [170, 53, 6, 32, 30]
    assert len(COSTS) == 12 and {cost.network for cost in COSTS} <= {*NETWORKS}


def test_an_answer_is_judged_as_the_labels_of_its_classes(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    """Of a network without the liver, the classes are other numbers than the labels."""
    data = replace(recipe.data, structures=("tumor", "vessel"), validation_seeds=(3, 4))
    recipe = replace(recipe, data=data, optimization=replace(recipe.optimization, steps=1))
    checkpoint = Trainer(recipe, tmp_path, PhantomDataset(folder, range(3), recipe), {}).run()
    cache = tmp_path / "cache"
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[4:8] = 3
    write_case(case_path(case_folder(cache, recipe), 3), Case((labels * 50).astype(np.int16), labels))
    for name, _ in checkpoint.network().named_parameters():
        checkpoint.weights[name] = checkpoint.weights[name] * 0
    checkpoint.weights["head.bias"][2] = 1.0  # all is class 2, the vessel
    (case,) = judge(checkpoint, recipe, "validation", cache, overlap_alone=True).cases
    assert case.scores["vessel"]["dice"] == pytest.approx(2 * 4 / (4 + 16))
    save_checkpoint(tmp_path / BEST, checkpoint)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(plain(asdict(recipe))), encoding="utf-8")
    asked = ["evaluate", tmp_path / BEST, tmp_path / "recipe.yaml", "--part", "validation", "--cache", cache]
    assert main.run([*map(str, asked), "-o", str(tmp_path / "scores"), "-q"]) == 0
    with (tmp_path / "scores" / "scores.csv").open(encoding="utf-8") as rows:
        written = {(row["structure"], row["metric"]): row["value"] for row in csv.DictReader(rows)}
    assert float(written["vessel", "dice"]) == case.scores["vessel"]["dice"]
    whole = judge(checkpoint, recipe, "validation", cache)
    assert whole.cases[0].scores["vessel"]["dice"] == case.scores["vessel"]["dice"] and whole.cpu_s > 0
    assert "hd95_mm" in whole.cases[0].scores["vessel"]
    assert whole.curves["vessel"].average_precision == 4 / 16 and math.isnan(whole.curves["tumor"].average_precision)


@pytest.mark.parametrize(("organ", "likely"), [(True, 0.75), (False, 0.25)])
def test_the_organ_is_as_likely_as_all_that_lies_in_it(
    recipe: Recipe, folder: Path, tmp_path: Path, organ: bool, likely: float
) -> None:
    recipe = replace(recipe, data=replace(recipe.data, validation_seeds=(3, 4)))
    weights = {name: 0 * value for name, value in build_network(recipe).state_dict().items()}
    write_case(case_path(case_folder(tmp_path / "cache", recipe), 3), read_case(case_path(folder, 0)))
    checkpoint = Checkpoint(recipe, weights, {}, 1, 0.0, 3)  # four classes, all alike
    judged = judge(checkpoint, recipe, "validation", tmp_path / "cache", Definitions(organ), overlap_alone=True)
    assert judged.curves["liver"].threshold.tolist() == [likely] and judged.curves["tumor"].threshold.tolist() == [0.25]


def test_the_command_writes_tables_curves_and_pictures(
    file: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyvista", reason="pyvista is not installed (extra [pages])")
    asked = ["compare", file, "--only", "unet3d", "--surfaces", "--cache", cache, "-o", tmp_path / "out", "--json"]
    assert main.run([str(word) for word in asked]) == 0
    (trained,) = json.loads(capsys.readouterr().out)["trainings"]
    assert "surface_dice" in trained["scores"]["liver"]
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "## HD95, mm" in page and "![Precision over recall" in page
    for picture in ("precision_recall.png", "dice.png"):
        with Image.open(tmp_path / "out" / picture) as drawn:
            assert picture in page and drawn.width == 3 * 460 + 190 and len(drawn.getcolors(10**6)) > 9
    with (tmp_path / "out" / "dice.csv").open(encoding="utf-8") as rows:
        measured = [*csv.DictReader(rows)]
    last = load_checkpoint(tmp_path / "out" / "trainings" / "unet3d" / "seed_0" / CHECKPOINT)
    assert {row["structure"]: float(row["dice"]) for row in measured if row["step"] == "6"} == last.scores
    assert {row["step"] for row in measured} == {"3", "6"} and last.cpu_seconds > 0
    with (tmp_path / "out" / "precision_recall.csv").open(encoding="utf-8") as rows:
        recalls = [float(row["recall"]) for row in csv.DictReader(rows) if row["structure"] == "liver"]
    assert recalls == sorted(recalls) and recalls[-1] == 1
