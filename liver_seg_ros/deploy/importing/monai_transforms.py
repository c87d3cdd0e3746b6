# SPDX-License-Identifier: Apache-2.0
"""The preprocessing that a MONAI bundle declares: each transform is taken over, known to change nothing, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector
from liver_seg_ros.inference.conventions import LPS, ORIENTATIONS

#: HU that nothing lies beyond: clipping there changes nothing.
EVERY_HU = (-32768.0, 32767.0)

#: What only reads, or changes types and shapes; with and without the "d" of those that take dictionaries.
_NEUTRAL = (
    "LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor", "CastToType",
    "ToDevice", "Identity", "SelectItems",
)  # fmt: skip


@dataclass(frozen=True)
class Declared:
    """What the transforms come to.

    Attributes:
        orientation: what the axes i, j, k grow to.
        spacing_mm: `(i, j, k)`; None where nothing is resampled.
        clip: see `TrainedNetwork`; None for an image that is standardized by itself.
        mean, deviation: the same.
    """

    orientation: str = LPS
    spacing_mm: Vector | None = None
    clip: tuple[float, float] | None = EVERY_HU
    mean: float = 0.0
    deviation: float = 1.0
    scaled: bool = False


def declared(transforms: Sequence[Any], path: Path) -> Declared:
    """What `transforms`, entries of the bundle's configuration in the file `path`, do with the image.

    Raises:
        InputError: a transform that is not known here, or does what this package cannot; it is named.
    """
    told = Declared()
    for transform in transforms:
        if not isinstance(transform, Mapping) or not isinstance(transform.get("_target_"), str):
            raise InputError(f"{path}: the transform {str(transform)[:60]} is no '_target_' with its options")
        if transform.get("_disabled_") is True or not _is_of_image(transform):
            continue
        name = transform["_target_"].rpartition(".")[2]
        plain = name.removesuffix("d").removesuffix("Dict")
        if plain in _NEUTRAL:
            continue
        if plain not in _TAKEN:
            raise InputError(
                f"{path}: the transform {name} is not known here; known are {', '.join((*_TAKEN, *_NEUTRAL))}"
            )
        try:
            told = _TAKEN[plain](told, transform)
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{path}: the transform {name}: {reason}") from error
    return told


def _orientation(told: Declared, options: Mapping[str, Any]) -> Declared:
    axes = options.get("axcodes")
    if axes not in ORIENTATIONS:
        raise ValueError(f"axcodes {axes} must be one of {', '.join(ORIENTATIONS)}")
    return replace(told, orientation=axes)


def _spacing(told: Declared, options: Mapping[str, Any]) -> Declared:
    mode = options.get("mode", "bilinear")
    mode = mode[0] if isinstance(mode, list) and mode else mode
    if mode not in ("bilinear", 1) or options.get("align_corners") or options.get("scale_extent"):
        raise ValueError(f"mode {mode} must be bilinear, without align_corners and scale_extent")
    i, j, k = (float(length) for length in _plain(options["pixdim"]))
    if min(i, j, k) <= 0:
        raise ValueError(f"pixdim {[i, j, k]} must be three positive lengths in mm")
    if told.scaled:
        raise ValueError("it must stand before the intensities are scaled")
    return replace(told, spacing_mm=(i, j, k))


def _scale_range(told: Declared, options: Mapping[str, Any]) -> Declared:
    low, high = float(_plain(options["a_min"])), float(_plain(options["a_max"]))
    to_low, to_high = options.get("b_min"), options.get("b_max")
    if to_low is None or to_high is None:
        raise ValueError("b_min and b_max must be given")
    deviation = (high - low) / (float(_plain(to_high)) - float(_plain(to_low)))
    clip = (low, high) if options.get("clip", False) else EVERY_HU
    return _scaled(told, clip, low - float(_plain(to_low)) * deviation, deviation)


def _normalize(told: Declared, options: Mapping[str, Any]) -> Declared:
    if options.get("nonzero"):
        raise ValueError("nonzero: the zeros of a CT are no background")
    mean, deviation = options.get("subtrahend"), options.get("divisor")
    if (mean is None) != (deviation is None):
        raise ValueError("subtrahend and divisor must be given both, or neither")
    if mean is None:
        return _scaled(told, None, 0.0, 1.0)
    return _scaled(told, EVERY_HU, float(_plain(mean)), float(_plain(deviation)))


def _scaled(told: Declared, clip: tuple[float, float] | None, mean: float, deviation: float) -> Declared:
    if told.scaled:
        raise ValueError("the intensities are scaled twice; known here is once")
    return replace(told, clip=clip, mean=mean, deviation=deviation, scaled=True)


_TAKEN = {
    "Orientation": _orientation,
    "Spacing": _spacing,
    "ScaleIntensityRange": _scale_range,
    "NormalizeIntensity": _normalize,
}


def _is_of_image(transform: Mapping[str, Any]) -> bool:
    """Whether a transform of a dictionary is about the image; one without keys is."""
    keys = transform.get("keys", "image")
    return "image" in ([keys] if isinstance(keys, str) else keys)


def _plain(value: Any) -> Any:
    """A value as it stands. Raises `ValueError` for a Python expression, which is not run."""
    parts = value if isinstance(value, list) else [value]
    if any(isinstance(part, str) or part is None for part in parts):
        raise ValueError(f"{value} is an expression or no number; expressions of a bundle are not run")
    return value
