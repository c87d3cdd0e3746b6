# SPDX-License-Identifier: Apache-2.0
"""What `liver-seg evaluate` does with a network in place of labels: loaded only then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from liver_seg_ros.evaluation.case_scores import CaseScores, Definitions
from liver_seg_ros.extras import need


def scores_of_network(
    model: Path,
    recipe: Path,
    variant: str | None,
    part: str,
    cache: Path,
    definitions: Definitions,
    progress: Callable[[float], None],
) -> list[CaseScores]:
    """Of a checkpoint (`.pt`) or a folder of models, on a part of what a recipe's `data` says.

    Raises:
        InputError: as `judging.judge` and `bundle_judging.judge_bundles`; or without the extra [train].
    """
    need("train", "judging a network")
    from liver_seg_ros.training.bundle_judging import judge_bundles
    from liver_seg_ros.training.checkpoint import load_checkpoint
    from liver_seg_ros.training.judging import judge
    from liver_seg_ros.training.recipe import CHECKPOINT_SUFFIX
    from liver_seg_ros.training.variants import choose_recipe

    chosen = choose_recipe(recipe, variant)
    if model.suffix == CHECKPOINT_SUFFIX:
        return judge(load_checkpoint(model), chosen, part, cache, definitions, progress=progress).cases
    return judge_bundles(model, chosen, part, definitions, progress)
