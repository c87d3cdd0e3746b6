# SPDX-License-Identifier: Apache-2.0
"""How good a trained network is on a part of a data set's split, on the grid that it works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray
from torch.nn.functional import softmax

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.case_scores import ALL, CaseScores, Definitions, score_case
from liver_seg_ros.evaluation.metrics import OVERLAP_METRICS, mean_iou, structure_mask
from liver_seg_ros.evaluation.overlap import overlap
from liver_seg_ros.evaluation.precision_recall import PrecisionRecall, PrecisionRecallCounter
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, Structure
from liver_seg_ros.training.cases import Case, case_folder, case_path, class_of_values, read_case
from liver_seg_ros.training.checkpoint import Checkpoint
from liver_seg_ros.training.generate import generate
from liver_seg_ros.training.prediction import logits_of
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.source_cases import source_cases
from liver_seg_ros.training.sources.about import PHANTOMS
from liver_seg_ros.training.sources.subject import PARTS, TESTING, TRAINING
from liver_seg_ros.volume import LabelVolume

#: Phantoms of the part "testing": no recipe may name them.
TESTING_SEEDS = range(9100, 9104)

Labels = NDArray[np.uint8]

#: Of a recipe's `data`, whose images are judged on; how they become an input is the network's own.
_WHOSE = (
    "source", "folder", "split", "split_seed", "without", "fewest_slices", "bad_cases", "phases", "tumor_count",
    "variations", "training_seeds", "validation_seeds", "coarse_scans",
)  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """What a network did on a part of a data set.

    Attributes:
        cases: every figure of every case.
        curves: structure -> its precision over recall, over the voxels of all cases together, by the network's softmax.
        cpu_s: seconds of processor that the network took for a case, on average; the same as without curves.
    """

    cases: list[CaseScores]
    curves: Mapping[str, PrecisionRecall]
    cpu_s: float


def judge(
    checkpoint: Checkpoint,
    recipe: Recipe,
    part: str,
    cache: Path,
    definitions: Definitions | None = None,
    overlap_alone: bool = False,
    progress: Callable[[float], None] = lambda done: None,
) -> Judgement:
    """Every metric of every case, curves, and how long it took, on the CPU.

    Distances are in mm by the network's spacing: where a recipe resamples every scan to one size, they are not those
    of the patient. Pictures have no mm: of them overlap alone is scored.

    Args:
        checkpoint: whose network, and how it is fed.
        recipe: whose `data` says on what, and how it is divided.
        part: "training", "validation" or "testing"; of phantoms the last are `TESTING_SEEDS`.
        cache: where cases are kept; those missing are made.
        definitions: what is scored how.
        overlap_alone: leave out surfaces, lesions and centerlines, which take the longest and no paper's table has.
        progress: told how much is done, 0 to 1.

    Raises:
        InputError: no such part, no case in it, or a scan that cannot be read where the recipe refuses such.
    """
    own, chosen = checkpoint.recipe, definitions or Definitions()
    data = replace(own.data, **{name: getattr(recipe.data, name) for name in _WHOSE})
    judged = replace(own, data=data, initial=None, distillation=None)
    network, value_of = checkpoint.network(), _values(own)
    scores, cpu_s = [], 0.0
    counters = {structure: PrecisionRecallCounter() for structure in own.structures}
    cases = cases_of(judged, part, cache)
    for number, (name, case) in enumerate(cases.items()):
        progress(number / len(cases))
        truth = value_of[class_of_values(own)[case.labels]]
        found = np.empty_like(truth)
        parts, first = logits_of(network, case.image, judged), 0
        while True:
            started = process_time()
            logits = next(parts, None)
            cpu_s += process_time() - started
            if logits is None:
                break
            slices = slice(first, first := first + logits.shape[1])
            found[slices] = value_of[logits.argmax(dim=0).numpy()]
            _count(counters, softmax(logits, dim=0).numpy(), truth[slices], chosen.organ)
        if overlap_alone or own.data.is_of_pictures:
            scores.append(_overlaps(name, found, truth, own, chosen))
        else:
            grid = Geometry((truth.shape[2], truth.shape[1], truth.shape[0]), own.data.grid_mm)
            labels = (LabelVolume(found, grid), LabelVolume(truth, grid))
            scores.append(score_case(name, *labels, own.structures, chosen))
    curves = {structure.name: counter.curve for structure, counter in counters.items()}
    return Judgement(scores, curves, cpu_s / len(cases))


def _count(
    counters: Mapping[Structure, PrecisionRecallCounter], probability: NDArray[np.float32], truth: Labels, organ: bool
) -> None:
    """Count one part of a case, `probability` `(C, ...)`; that of the organ is that of all that is not background."""
    for number, (structure, counter) in enumerate(counters.items(), 1):
        is_organ = organ and structure is LIVER
        likely = 1 - probability[0] if is_organ else probability[number]
        counter.add(np.clip(likely, 0, 1), structure_mask(truth, structure.value, organ))


def seeds_of(recipe: Recipe, part: str) -> range:
    """The phantoms of a part."""
    training, validation = recipe.data.seeds_of_phantoms
    return TESTING_SEEDS if part == TESTING else training if part == TRAINING else validation


def _overlaps(name: str, found: Labels, truth: Labels, recipe: Recipe, definitions: Definitions) -> CaseScores:
    scores: dict[str, dict[str, float]] = {}
    for structure in recipe.structures:
        pair = (structure_mask(labels, structure.value, definitions.organ) for labels in (found, truth))
        both = overlap(*pair)
        scores[structure.name] = {metric: getattr(both, metric) for metric in OVERLAP_METRICS}
    values = [s.value for s in recipe.structures] + [0] * definitions.background_in_mean
    return CaseScores(name, {**scores, ALL: {"mean_iou": mean_iou(found, truth, values)}})


def cases_of(recipe: Recipe, part: str, cache: Path) -> Mapping[str, Case]:
    """The cases of a part by name, made where they are missing. Raises `InputError` as `judge` does."""
    if part not in PARTS:
        raise InputError(f"a split has the parts {', '.join(PARTS)}, and not '{part}'")
    if recipe.data.source == PHANTOMS.name:
        seeds = seeds_of(recipe, part)
        generate(recipe, seeds, cache)
        folder = case_folder(cache, recipe)
        return {f"phantom {seed}": read_case(case_path(folder, seed)) for seed in seeds}
    cases = source_cases(recipe, cache)
    subjects = cases.division.parts[part]
    cases.make(subjects)
    found = {s.name: read_case(path) for s in subjects if (path := cases.path(s)).is_file()}
    if not found:
        raise InputError(f"{cases.data_set.about.title}: no scan is left in the part '{part}' of the split")
    return found


def _values(recipe: Recipe) -> Labels:
    """Label value of each class of the network."""
    return np.array([0, *(structure.value for structure in recipe.structures)], np.uint8)
