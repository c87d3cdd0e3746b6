# SPDX-License-Identifier: Apache-2.0
"""Several networks under one budget: trained with several seeds, judged on the same cases, mean over seeds."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from statistics import fmean, stdev

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.case_scores import Definitions, summarize
from liver_seg_ros.evaluation.precision_recall import PrecisionRecall
from liver_seg_ros.training.checkpoint import CHECKPOINT, Checkpoint, load_checkpoint
from liver_seg_ros.training.generate import generate
from liver_seg_ros.training.hardware import Hardware
from liver_seg_ros.training.judging import judge
from liver_seg_ros.training.recipe import CHECKPOINT_SUFFIX, Recipe
from liver_seg_ros.training.recipe_cases import training_and_validation
from liver_seg_ros.training.source_cases import source_cases
from liver_seg_ros.training.sources.about import PHANTOMS
from liver_seg_ros.training.sources.subject import TESTING
from liver_seg_ros.training.trainer import Trainer

#: The area under `Run.curves`, among the metrics of `Run.scores`.
AVERAGE_PRECISION = "average_precision"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Budget:
    """What every training gets.

    Attributes:
        seeds: each network is trained once with each.
        steps: in place of the recipe's; None leaves these.
        max_minutes: of each training.
    """

    seeds: tuple[int, ...] = (0,)
    steps: int | None = None
    max_minutes: float = math.inf


@dataclass(frozen=True)
class Run:
    """One training, judged.

    Attributes:
        variant: the recipe's name.
        seed: of weights and patches.
        scores: structure -> metric -> mean over the cases; `AVERAGE_PRECISION` is over the voxels of all of them.
        checkpoint: what came of it.
        parameters: how many the network has.
        curves: structure -> precision over recall.
        case_cpu_s: seconds of processor that the network takes for a case, on the CPU.
        file_mb: size of the checkpoint's file, which holds the optimizer's state beside the weights.
    """

    variant: str
    seed: int
    scores: Mapping[str, Mapping[str, float]]
    checkpoint: Checkpoint
    parameters: int
    curves: Mapping[str, PrecisionRecall]
    case_cpu_s: float
    file_mb: float


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds: mean, infinite where one is, and sample standard deviation (NaN of one seed alone)."""

    mean: float
    deviation: float
    count: int


def compare(
    recipes: Mapping[str, Recipe],
    output: Path,
    cache: Path,
    budget: Budget,
    part: str = TESTING,
    definitions: Definitions | None = None,
    overlap_alone: bool = True,
) -> list[Run]:
    """Train and judge every recipe with every seed; what an earlier run has trained is not trained again.

    Where a recipe begins with another one's weights (`initial: <name>.pt`) or is taught by it
    (`distillation.teacher: <name>`), that one is trained before it, with the same seed.

    Raises:
        InputError: a recipe waits for itself, surfaces of pictures; or as `Trainer` and `judge`.
    """
    pictures = [name for name, recipe in recipes.items() if recipe.data.is_of_pictures]
    if pictures and not overlap_alone:
        raise InputError(f"surfaces are measured in mm, and '{pictures[0]}' is of color pictures, which have none")
    runs = []
    for seed in budget.seeds:
        for name in _in_order(recipes):
            folder = output / name / f"seed_{seed}"
            recipe = _with_folders(_budgeted(recipes[name], budget, seed), {*recipes}, output, seed)
            checkpoint = _trained(recipe, folder, cache, budget.max_minutes)
            judged = judge(checkpoint, recipe, part, cache, definitions, overlap_alone)
            summary = summarize(judged.cases)
            means = {s: {m: figure.mean for m, figure in metrics.items()} for s, metrics in summary.items()}
            for structure, curve in judged.curves.items():
                means[structure][AVERAGE_PRECISION] = curve.average_precision
            parameters = sum(p.numel() for p in checkpoint.network().parameters())
            file_mb = (folder / CHECKPOINT).stat().st_size / 1e6
            runs.append(Run(name, seed, means, checkpoint, parameters, judged.curves, judged.cpu_s, file_mb))
            dice = ", ".join(f"{s} {m['dice']:.3f}" for s, m in means.items() if "dice" in m)
            _log.info("%s, seed %d: Dice %s", name, seed, dice)
    return runs


def spread(values: Sequence[float]) -> Spread:
    """Of those that have a value."""
    known = [value for value in values if not isnan(value)]
    if not known:
        return Spread(math.nan, math.nan, 0)
    if math.inf in known:
        return Spread(math.inf, math.nan, len(known))
    return Spread(fmean(known), stdev(known) if len(known) > 1 else math.nan, len(known))


def make_cases(recipe: Recipe, cache: Path) -> None:
    """What a training needs, made where it is missing."""
    if recipe.data.source == PHANTOMS.name:
        training, validation = recipe.data.seeds_of_phantoms
        generate(recipe, [*validation, *training], cache)
    else:
        cases = source_cases(recipe, cache)
        cases.make(cases.subjects)


def _trained(recipe: Recipe, folder: Path, cache: Path, max_minutes: float) -> Checkpoint:
    make_cases(recipe, cache)
    training, validation = training_and_validation(recipe, cache)
    folder.mkdir(parents=True, exist_ok=True)
    Trainer(recipe, folder, training, validation, max_minutes, Hardware()).run()
    return load_checkpoint(folder / CHECKPOINT)


def _budgeted(recipe: Recipe, budget: Budget, seed: int) -> Recipe:
    steps = recipe.optimization.steps if budget.steps is None else budget.steps
    return replace(recipe, optimization=replace(recipe.optimization, steps=steps, seed=seed))


def _with_folders(recipe: Recipe, names: set[str], output: Path, seed: int) -> Recipe:
    initial, distillation = recipe.initial, recipe.distillation
    first = _first_of(recipe)
    if first in names:
        initial = str(output / first / f"seed_{seed}" / CHECKPOINT)
    if distillation is not None and distillation["teacher"] in names:
        distillation = {**distillation, "teacher": str(output / distillation["teacher"] / f"seed_{seed}")}
    return replace(recipe, initial=initial, distillation=distillation)


def _needs(recipe: Recipe, names: set[str]) -> set[str]:
    teacher = None if recipe.distillation is None else recipe.distillation["teacher"]
    return {name for name in (_first_of(recipe), teacher) if name in names}


def _first_of(recipe: Recipe) -> str:
    """Name of the recipe whose weights this one begins with; empty where there is none."""
    return (recipe.initial or "").removesuffix(CHECKPOINT_SUFFIX)


def _in_order(recipes: Mapping[str, Recipe]) -> list[str]:
    """Names, each behind those that it needs."""
    waiting, ordered = dict(recipes), list[str]()
    while waiting:
        ready = [name for name, recipe in waiting.items() if not _needs(recipe, {*waiting})]
        if not ready:
            raise InputError(f"each of {', '.join(waiting)} begins with or is taught by another of them")
        ordered += ready
        for name in ready:
            del waiting[name]
    return ordered
