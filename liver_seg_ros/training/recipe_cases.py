# SPDX-License-Identifier: Apache-2.0
"""A recipe's cases, of phantoms or of a data set, as its training and its judges ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from liver_seg_ros.training.case_dataset import CaseDataset
from liver_seg_ros.training.cases import Case, case_folder
from liver_seg_ros.training.mistakes import Mistakes
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.picture_dataset import PictureDataset
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.source_cases import source_cases
from liver_seg_ros.training.source_dataset import SourceDataset
from liver_seg_ros.training.sources.about import PHANTOMS
from liver_seg_ros.training.sources.subject import TRAINING, VALIDATION


def training_and_validation(recipe: Recipe, cache: Path) -> tuple[CaseDataset, Mapping[int, Case]]:
    """What is trained on, and what is validated on: of a data set whose split has no such part, nothing.

    Raises:
        InputError: none of these cases has been made yet, or one is damaged.
    """
    mistakes = Mistakes(recipe).centers if recipe.optimization.mistakes else None
    if recipe.data.source == PHANTOMS.name:
        folder = case_folder(cache, recipe)
        seeds, others = recipe.data.seeds_of_phantoms
        return PhantomDataset(folder, seeds, recipe, mistakes), PhantomDataset(folder, others, recipe).cases
    cases = source_cases(recipe, cache)
    kind = PictureDataset if recipe.data.is_of_pictures else SourceDataset
    training = kind(cases, TRAINING, mistakes)
    has_validation = bool(cases.division.parts[VALIDATION])
    return training, kind(cases, VALIDATION).cases if has_validation else {}
