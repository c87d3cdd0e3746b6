# SPDX-License-Identifier: Apache-2.0
"""Makes the training cases of a recipe: `python -m liver_seg_ros.training.generate --recipe config/training/...yaml`.

Of phantoms or of a data set, as the recipe says. Validation cases come first, so that a training can start as soon as
some of the others are there. What is there already is not made again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from liver_seg_ros.outputs.folder import check_folder
from liver_seg_ros.training.cases import case_folder, case_path, make_case, write_case
from liver_seg_ros.training.command import run_command
from liver_seg_ros.training.recipe import Recipe, read_recipe
from liver_seg_ros.training.source_cases import source_cases
from liver_seg_ros.training.sources.about import PHANTOMS

#: Of phantoms and of data sets; its name is older than these.
DEFAULT_CACHE = Path("build/phantoms")

_log = logging.getLogger(__name__)


def generate(recipe: Recipe, seeds: Iterable[int], cache: Path) -> Path:
    """Make and keep the cases of `seeds` that are not there yet; returns their folder."""
    folder = case_folder(cache, recipe)
    for seed in seeds:
        path = case_path(folder, seed)
        if path.exists():
            continue
        started = time.monotonic()
        case = make_case(seed, recipe)
        write_case(path, case)
        _log.info("%s: %s voxels, %.1f s", path, case.image.shape, time.monotonic() - started)
    return folder


def main(arguments: list[str] | None = None) -> None:
    """The command. Raises `InputError` where the recipe is at fault."""
    parser = argparse.ArgumentParser(prog="python -m liver_seg_ros.training.generate", description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="config/training/<name>.yaml")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where cases are kept (%(default)s)")
    parser.add_argument("--part", default="1/1", help="e.g. 2/3: the second of three processes that share the work")
    options = parser.parse_args(arguments)
    try:
        part, parts = (int(number) for number in options.part.split("/"))
    except ValueError:
        parser.error(f"--part {options.part}: give two whole numbers such as 1/2")
    if not 1 <= part <= parts:
        parser.error(f"--part {options.part}: the first number must be 1 to the second")
    check_folder(options.cache, "--cache")
    recipe = read_recipe(options.recipe)
    if recipe.data.source == PHANTOMS.name:
        training, validation = recipe.data.seeds_of_phantoms
        generate(recipe, [*validation, *training][part - 1 :: parts], options.cache)
    else:
        cases = source_cases(recipe, options.cache)
        cases.make(cases.subjects[part - 1 :: parts])


if __name__ == "__main__":
    sys.exit(run_command(main))
