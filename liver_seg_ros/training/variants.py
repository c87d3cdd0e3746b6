# SPDX-License-Identifier: Apache-2.0
"""Recipes of one experiment: a recipe file may list `variants`, each of which says what is other than in the rest.

    variants:
      ucanet: {network: {name: ucanet}}
      without_csca: {network: {name: ucanet_none}, optimization: {batch: 2}}

`data`, `augmentation` and `optimization` are taken over field by field, all else as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from liver_seg_ros.checked_fields import read_mapping
from liver_seg_ros.errors import InputError
from liver_seg_ros.training.recipe import Recipe, recipe_from_dict

VARIANTS = "variants"
_BY_FIELD = ("data", "augmentation", "optimization")


def read_recipes(path: Path) -> dict[str, Recipe]:
    """The recipes of a file: its variants by name, or the one that it is by the file's name without its ending.

    Raises:
        InputError: as `read_recipe`; or `variants` that are no mapping of mappings.
    """
    path = Path(path)
    values = read_mapping(path, "recipe")
    variants = values.pop(VARIANTS, None)
    if variants is None:
        return {path.stem: recipe_from_dict(values, str(path))}
    if not isinstance(variants, dict) or not variants or not all(isinstance(v, dict) for v in variants.values()):
        raise InputError(f"{path}: {VARIANTS} must be a mapping of names to what is other in them")
    return {
        str(name): recipe_from_dict(_with(values, other), f"{path}, variant '{name}'")
        for name, other in variants.items()
    }


def choose_recipe(path: Path, variant: str | None) -> Recipe:
    """One recipe of a file. Raises `InputError` where it has several and none is named, or has none of that name."""
    recipes = read_recipes(path)
    if variant is None and len(recipes) == 1:
        return next(iter(recipes.values()))
    if variant not in recipes:
        raise InputError(f"{path}: name one of its variants with --variant: {', '.join(recipes)}")
    return recipes[variant]


def choose(files: Sequence[Mapping[str, Recipe]], only: str | None) -> dict[str, Recipe]:
    """Those of several files together, or those of them that are named, with commas between.

    Raises:
        InputError: a name that there is not, or that two files have.
    """
    names = [name for file in files for name in file]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two recipes are called {twice[0]}; rename one of them")
    recipes = {name: recipe for file in files for name, recipe in file.items()}
    chosen = names if only is None else [name.strip() for name in only.split(",")]
    unknown = [name for name in chosen if name not in recipes]
    if unknown:
        raise InputError(f"there is no variant '{unknown[0]}'; there are {', '.join(names)}")
    return {name: recipes[name] for name in chosen}


def _with(values: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**values, **other}
    for name in _BY_FIELD:
        if isinstance(values.get(name), dict) and isinstance(other.get(name), dict):
            merged[name] = {**values[name], **other[name]}
    return merged
