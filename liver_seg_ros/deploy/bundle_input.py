# SPDX-License-Identifier: Apache-2.0
"""What a trained network has to be fed on the robot: a bundle's `input`, from its recipe and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.input_spec import CT_VIEW, LIVER_VIEW, InputSpec
from liver_seg_ros.networks import NETWORKS
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.slices import channels, is_of_slices


def bundle_input(recipe: Recipe, network: nn.Module, settings: Mapping[str, Any]) -> InputSpec:
    """The bundle's `input`.

    Args:
        recipe: what the network was trained by.
        network: as the recipe builds it.
        settings: `patch`, `overlap` and, where the network or the recipe do not say otherwise, `fixed_window` and
            `view` (see `InputSpec`).

    Raises:
        InputError: a network that a CT cannot be fed to, or a window that it does not take; which setting to change.
        KeyError: a setting is missing.
    """
    name, slices = recipe.network["name"], is_of_slices(recipe)
    row = NETWORKS[name]
    if (len(row.size) == 2) != slices:
        kind, fed = ("slices", "volumes") if len(row.size) == 2 else ("volumes", "slices")
        shape = "[i, j, 1]" if len(row.size) == 2 else "[i, j, k] of more than one slice"
        raise InputError(f"network '{name}' takes {kind}, and its recipe feeds {fed}; give optimization.patch: {shape}")
    taken = int(getattr(network, "channels_in", 1))
    if taken != channels(recipe):
        neighbors = f"data.neighbors: {taken // 2} or " if slices and taken % 2 else ""
        raise InputError(
            f"network '{name}' takes {taken} channels, and its recipe feeds {channels(recipe)} of a CT; "
            f"give {neighbors}network.channels_in: {channels(recipe)}"
        )
    patch, only = tuple(settings["patch"]), _only_window(recipe, network)
    if only is not None and patch[: len(only)] != only:
        shown = " x ".join(str(n) for n in only)
        wanted = [*only, "slices at once"] if slices else list(only)
        raise InputError(
            f"network '{name}' takes windows of {shown} voxels alone, as it was built and trained; "
            f"in the bundle's settings give patch: [{', '.join(map(str, wanted))}], not {list(patch)}"
        )
    fixed = only is not None or settings.get("fixed_window", False)
    whole = recipe.data.margin_mm is None and (fixed or recipe.data.size is not None)
    return InputSpec(
        spacing_mm=recipe.data.grid_mm,
        hu_window=recipe.data.window,
        patch=settings["patch"],
        overlap=settings["overlap"],
        divisor=int(network.size_multiple),  # type: ignore[arg-type]
        slices=slices,
        neighbors=recipe.data.neighbors,
        inputs=row.inputs,
        fixed_window=fixed,
        size=recipe.data.size,
        view=settings.get("view", CT_VIEW if whole else LIVER_VIEW),
    )


def _only_window(recipe: Recipe, network: nn.Module) -> tuple[int, ...] | None:
    """The only window that fits, `(i, j, k)` or `(i, j)`; None where any of the right multiple does."""
    if hasattr(network, "image_size"):
        return tuple(int(n) for n in network.image_size[::-1])  # type: ignore[index]
    return tuple(recipe.optimization.patch) if getattr(network, "spans_window", False) else None
