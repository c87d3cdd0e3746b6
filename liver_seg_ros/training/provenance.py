# SPDX-License-Identifier: Apache-2.0
"""Whose images a network has learned from, and how: what its checkpoint carries, and its model card says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from liver_seg_ros.inference.bundle import TRAINING_DATA
from liver_seg_ros.plain import plain
from liver_seg_ros.training.recipe import AugmentationRecipe, Recipe
from liver_seg_ros.training.sources.about import PHANTOMS

#: Nobody knows, the first of what a bundle may say.
UNSAID, SYNTHETIC, MIXED, PATIENTS = TRAINING_DATA

_WHOSE = {
    SYNTHETIC: "Synthetic data only, no patient's image: {source}",
    MIXED: "Images of patients and synthetic ones: {source}",
    PATIENTS: "Images of patients: {source}",
    UNSAID: "Whose images is not known: {source}",
}
_UNKNOWN = "Unknown: the checkpoint does not say what it was trained on"
_LIMITS = "not a medical device, not for clinical use, not validated on patients."
_INTENDED_USE = {
    SYNTHETIC: "Trained on synthetic data only;",
    MIXED: "Trained on patients and synthetic data;",
    PATIENTS: "Trained on patients;",
    UNSAID: "It is not known whose images it was trained on;",
}


#: SPDX's word where nobody stated the license of something, and that of what this package makes itself.
NO_LICENSE, OWN_LICENSE = "NOASSERTION", "Apache-2.0"


@dataclass(frozen=True)
class Provenance:
    """What is known of the images that a training draws from.

    Attributes:
        images: whose they are, one of `TRAINING_DATA`.
        source: which, in words.
        data: what else the card says of them, by name, in plain values: license, citation, split, numbers of scans.
    """

    images: str
    source: str
    data: Mapping[str, Any] = field(default_factory=dict)


def together(images: str, others: str) -> str:
    """Whose images both are, one of `TRAINING_DATA`: not known where one is not."""
    if UNSAID in (images, others):
        return UNSAID
    return images if images == others else MIXED


def whose(images: str, source: str) -> str:
    """`source` with whose images these are, one of `TRAINING_DATA`, before it."""
    return _WHOSE[images].format(source=source)


def of_phantoms(recipe: Recipe, count: int) -> Provenance:
    """That of so many of a recipe's phantoms."""
    training, validation = recipe.data.seeds_of_phantoms
    split = f"seeds {_range(training)} to train on, {_range(validation)} to validate on"
    data = {"name": PHANTOMS.name, "title": PHANTOMS.title, "license": PHANTOMS.license, "split": split}
    return Provenance(SYNTHETIC, phantoms_in_words(recipe, count), data)


def phantoms_in_words(recipe: Recipe, count: int) -> str:
    """Which phantoms of this package a recipe's cases are."""
    data, seeds = recipe.data, recipe.data.seeds_of_phantoms[0]
    phases = ", ".join(f"{phase} {share:.0%}" for phase, share in (data.phases or {}).items())
    tumors = "" if data.tumor_count is None else f"; {data.tumor_count[0]} to {data.tumor_count[1]} tumors each"
    variations = ""
    if set(data.variations) != {"plain"}:
        total = sum(data.variations.values())
        variations = "; " + ", ".join(f"{share / total:.0%} {kind}" for kind, share in data.variations.items())
    return f"{count} phantoms of this package (seeds {_range(seeds)}; contrast phases {phases}{tumors}{variations})"


def trained_on(images: str, source: str, steps: int, batch: int, began_with: str) -> str:
    """The sentences of a model card: which images, how long, what it began with; unknown where `source` is empty."""
    what = whose(images, source) if source else _UNKNOWN
    began = f" Began with the weights of {began_with}." if began_with else ""
    return f"{what}, {steps} steps of {batch} patches.{began}"


def protocol(recipe: Recipe) -> dict[str, Any]:
    """How a recipe trains, in plain values: what a card says beside the data. Of augmentation, what is not off."""
    off = AugmentationRecipe()
    changed = [f.name for f in fields(off) if getattr(off, f.name) != getattr(recipe.augmentation, f.name)]
    data = recipe.data
    values: dict[str, Any] = {
        "network": recipe.network,
        "loss": recipe.loss,
        "preprocessing": {
            name: value
            for name in ("spacing_mm", "size", "hu_window", "margin_mm", "fewest_slices")
            if (value := getattr(data, name))
        },
        "augmentation": {name: getattr(recipe.augmentation, name) for name in changed},
        "optimization": asdict(recipe.optimization),
    }
    if recipe.distillation is not None:
        values["distillation"] = {name: value for name, value in recipe.distillation.items() if name != "teacher"}
    return dict(plain(values))


def license_of_weights(images: str, stated: str | None) -> str:
    """The license of weights by SPDX's name: as whoever exports them states it. What learned from nothing but our own
    phantoms is ours to license; what images of patients leave to their weights, nobody here can say."""
    return stated or (OWN_LICENSE if images == SYNTHETIC else NO_LICENSE)


def _range(seeds: range) -> str:
    return f"{seeds.start} to {seeds.stop - 1}"


def intended_use(images: str) -> str:
    """What a network is for and what it is not for, by whose images it has learned from."""
    return f"Research and demonstration. {_INTENDED_USE[images]} {_LIMITS}"
