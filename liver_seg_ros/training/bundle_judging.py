# SPDX-License-Identifier: Apache-2.0
"""How good a folder of models is on a part of a data set's split: whole CTs in, as on the robot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.case_scores import CaseScores, Definitions, score_case
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.labels import Structure
from liver_seg_ros.training.cases import phantom_of
from liver_seg_ros.training.judging import seeds_of
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.sources.about import PHANTOMS
from liver_seg_ros.training.sources.catalog import divided, open_source, without
from liver_seg_ros.training.sources.subject import PARTS, Scan
from liver_seg_ros.volume import LabelVolume, Volume

_Scan = tuple[str, Volume, LabelVolume, tuple[Structure, ...]]


def judge_bundles(
    models: Path,
    recipe: Recipe,
    part: str,
    definitions: Definitions,
    progress: Callable[[float], None] = lambda done: None,
) -> list[CaseScores]:
    """Every metric of every scan, of the structures that both the truth and the recipe speak about.

    Args:
        models: a folder of bundles, as `--models` takes it.
        recipe: whose `data` says on what, and how it is divided.
        part: one of `subject.PARTS`.
        definitions: what is scored how.
        progress: told how much is done, 0 to 1.

    Raises:
        InputError: no such models or part, color pictures, or a scan that cannot be read.
    """
    if part not in PARTS:
        raise InputError(f"a split has the parts {', '.join(PARTS)}, and not '{part}'")
    if recipe.data.is_of_pictures:
        raise InputError(f"models are fed CTs, and '{recipe.data.source}' holds color pictures; give a checkpoint")
    segmenter, scores = load_default_segmenter(models), list[CaseScores]()
    count, scans = _scans(recipe, part)
    for number, (name, ct, truth, spoken) in enumerate(scans):
        progress(number / count)
        structures = [structure for structure in recipe.structures if structure in spoken]
        scores.append(score_case(name, segmenter.segment(ct).labels, truth, structures, definitions))
    return scores


def _scans(recipe: Recipe, part: str) -> tuple[int, Iterator[_Scan]]:
    """How many, and each when it is asked for."""
    if recipe.data.source == PHANTOMS.name:
        seeds = seeds_of(recipe, part)
        return len(seeds), (_phantom(seed, recipe) for seed in seeds)
    data = recipe.data
    data_set = without(open_source(data.source, Path(data.folder or "")), data.without)
    subjects = divided(data_set, data.split, data.split_seed).parts[part]
    loaded = ((subject.name, subject.load()) for subject in subjects)
    return len(subjects), (
        (name, scan.ct, scan.truth.labels, tuple(scan.truth.structures))
        for name, scan in loaded
        if isinstance(scan, Scan)
    )


def _phantom(seed: int, recipe: Recipe) -> _Scan:
    phantom = phantom_of(seed, recipe)
    return f"phantom {seed}", phantom.ct, phantom.labels, recipe.structures
