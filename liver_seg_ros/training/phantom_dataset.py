# SPDX-License-Identifier: Apache-2.0
"""Phantoms as what a training draws from: the cases of some seeds that are on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from liver_seg_ros.training.case_dataset import CaseDataset, Mistaken
from liver_seg_ros.training.cases import case_path
from liver_seg_ros.training.provenance import of_phantoms
from liver_seg_ros.training.recipe import Recipe


class PhantomDataset(CaseDataset):
    """The cases of some seeds, and random patches of them.

    Args:
        folder: see `cases.case_folder`.
        seeds: those that this data set may use.
        recipe: what the patches look like.
        mistakes: see `CaseDataset`.
    """

    def __init__(self, folder: Path, seeds: Sequence[int], recipe: Recipe, mistakes: Mistaken | None = None) -> None:
        def paths() -> Mapping[int, Path]:
            return {seed: path for seed in seeds if (path := case_path(folder, seed)).is_file()}

        missing = (
            f"no training case of the seeds {seeds[0]} to {seeds[-1]} in {folder}; "
            "make some with: python -m liver_seg_ros.training.generate"
        )
        super().__init__(paths, recipe, lambda count: of_phantoms(recipe, count), missing, mistakes)
