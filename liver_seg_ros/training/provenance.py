"""Whose images a network has learned from: what its checkpoint carries, and its model card says."""

from __future__ import annotations

from liver_seg_ros.inference.bundle import TRAINING_DATA
from liver_seg_ros.training.recipe import Recipe

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


def together(images: str, others: str) -> str:
    """Whose images both are, one of `TRAINING_DATA`: not known where one is not."""
    if UNSAID in (images, others):
        return UNSAID
    return images if images == others else MIXED


def phantoms_in_words(recipe: Recipe, count: int) -> str:
    """Which phantoms of this package a recipe's cases are."""
    data, seeds = recipe.data, recipe.data.training_seeds
    phases = ", ".join(f"{phase} {share:.0%}" for phase, share in data.phases.items())
    tumors = "" if data.tumor_count is None else f"; {data.tumor_count[0]} to {data.tumor_count[1]} tumors each"
    variations = ""
    if set(data.variations) != {"plain"}:
        total = sum(data.variations.values())
        variations = "; " + ", ".join(f"{share / total:.0%} {kind}" for kind, share in data.variations.items())
    return (
        f"{count} phantoms of this package (seeds {seeds[0]} to {seeds[1] - 1}; contrast phases {phases}{tumors}"
        f"{variations})"
    )


def trained_on(images: str, source: str, steps: int, batch: int, began_with: str) -> str:
    """The sentences of a model card: which images, how long, what it began with; unknown where `source` is empty."""
    what = _WHOSE[images].format(source=source) if source else _UNKNOWN
    began = f" Began with the weights of {began_with}." if began_with else ""
    return f"{what}, {steps} steps of {batch} patches.{began}"


def intended_use(images: str) -> str:
    """What a network is for and what it is not for, by whose images it has learned from."""
    return f"Research and demonstration. {_INTENDED_USE[images]} {_LIMITS}"
