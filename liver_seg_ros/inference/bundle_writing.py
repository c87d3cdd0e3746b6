# SPDX-License-Identifier: Apache-2.0
"""Writing a model bundle: all of its files appear at once, so that no half-written one is found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from liver_seg_ros.checked_fields import read_mapping
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import (
    CARD,
    DESCRIPTION,
    WEIGHTS,
    BundleSpec,
    ModelBundle,
    Variant,
    load_bundle,
    parse_spec,
    sha256_of,
)
from liver_seg_ros.inference.model_card import model_card
from liver_seg_ros.outputs.folder import ResultFolder

#: Of a cascade's first network.
WEIGHTS_BEFORE = "model_before.onnx"

_FILES = (WEIGHTS, DESCRIPTION, CARD, WEIGHTS_BEFORE)
#: As the folder's record calls whoever writes bundles.
_WRITER = "export"


def bundle_place(folder: Path, inputs: Iterable[Path | None] = (), overwrite: bool = False) -> ResultFolder:
    """Where `write_bundle` puts its files. Made before the work; raises `InputError` as `ResultFolder` does."""
    names = (*_FILES, *_variants_in(Path(folder))) if overwrite else _FILES
    return ResultFolder(Path(folder), _WRITER, names, inputs, overwrite, option="--bundle")


def write_bundle(
    folder: Path, onnx: bytes | Path, spec: BundleSpec, overwrite: bool = False, before: bytes | None = None
) -> ModelBundle:
    """Write a bundle, replacing one that was written into `folder` before, with its variants; other files there stay.

    Args:
        folder: where, e.g. `models/localizer`.
        onnx: the serialized ONNX model, or the file that holds it. It must not use external data files.
        spec: all that `model.yaml` says, without variants: `add_variant` adds them.
        overwrite: whether files called like those of a bundle may be replaced where nothing says that it is ours.
        before: of a cascade, the serialized first network, which `spec.before` calls `WEIGHTS_BEFORE`.

    Raises:
        InputError: a field of `spec` is invalid, the ONNX file cannot be read, or a file is in the way.
    """
    weights = _read_weights(onnx)
    others = {} if before is None else {WEIGHTS_BEFORE: before}
    return _write(Path(folder), bundle_place(folder, overwrite=overwrite), weights, replace(spec, variants={}), others)


def check_variants(bundle: ModelBundle, names: Iterable[str]) -> None:
    """Raise `InputError` where variants of these names cannot be put into `bundle`: see `add_variant`."""
    own = {variant.weights for variant in bundle.spec.variants.values()}
    for name in names:
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise InputError(f"a variant's name is of small letters, digits and underscores, not '{name}'")
        path = bundle.folder / _weights_of(name)
        if path.name not in own and path.exists():
            raise InputError(f"{path} is no variant of this bundle; move it away or choose another name")


def add_variant(
    bundle: ModelBundle,
    name: str,
    onnx: bytes,
    precision: str,
    runtimes: tuple[str, ...],
    scores: Mapping[str, float] | None = None,
    dice_loss: Mapping[str, float] | None = None,
    scored_on: str = "nothing",
) -> ModelBundle:
    """Put another number format of the same network into `bundle`, replacing a variant of that name.

    Args:
        bundle: as loaded; its folder is written anew.
        name: small letters, digits and underscores, e.g. "int8_qdq".
        onnx: the serialized model.
        precision, runtimes, scores, dice_loss, scored_on: see `Variant`.

    Returns:
        The bundle as it now is.

    Raises:
        InputError: the name or a field is invalid, a file of `bundle` was damaged meanwhile, or another file has the
            place of the new one.
    """
    check_variants(bundle, [name])
    files = _other_files(bundle)
    weights = _weights_of(name)
    variant = Variant(
        weights=weights,
        sha256=sha256_of(onnx),
        precision=precision,
        runtimes=runtimes,
        megabytes=round(len(onnx) / 1e6, 3),
        scores=dict(scores or {}),
        dice_loss=dict(dice_loss or {}),
        scored_on=scored_on,
    )
    spec = replace(bundle.spec, variants={**bundle.spec.variants, name: variant})
    # It is the bundle itself that is to change.
    place = ResultFolder(bundle.folder, _WRITER, (*_FILES, *files, weights), overwrite=True)
    return _write(bundle.folder, place, bundle.weights.read_bytes(), spec, {**files, weights: onnx})


def describe_anew(bundle: ModelBundle, **changes: Any) -> ModelBundle:
    """Write into `bundle` other values of fields of its `BundleSpec`, e.g. `calibration`; weights and variants stay.

    Raises:
        InputError: a field is invalid, or a file of `bundle` was damaged meanwhile.
    """
    files = _other_files(bundle)
    place = ResultFolder(bundle.folder, _WRITER, (*_FILES, *files), overwrite=True)
    return _write(bundle.folder, place, bundle.weights.read_bytes(), replace(bundle.spec, **changes), files)


def _weights_of(variant: str) -> str:
    return f"model_{variant}.onnx"


def _variants_in(folder: Path) -> list[str]:
    """File names of the variants that a bundle in `folder` has; of none, or one that nobody can read, nothing."""
    try:
        spec = parse_spec(read_mapping(folder / DESCRIPTION, "model description"), folder / DESCRIPTION)
    except InputError:
        return []
    return [variant.weights for variant in spec.variants.values()]


def _other_files(bundle: ModelBundle) -> dict[str, bytes]:
    """File name to content of all variants, and of a cascade's first network."""
    files = {variant.weights: bundle.weights_of(key).read_bytes() for key, variant in bundle.spec.variants.items()}
    first = bundle.before
    return files if first is None else {**files, first.weights.name: first.weights.read_bytes()}


def _write(
    folder: Path, place: ResultFolder, weights: bytes, spec: BundleSpec, others: Mapping[str, bytes]
) -> ModelBundle:
    """`others`: file name to content of variants and of the stage before."""
    description = {"weights": WEIGHTS, "sha256": sha256_of(weights), **asdict(spec)}
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=100)
    with place.filled() as new:
        (new / WEIGHTS).write_bytes(weights)
        for name, content in others.items():
            (new / name).write_bytes(content)
        (new / DESCRIPTION).write_text(text, encoding="utf-8")
        (new / CARD).write_text(model_card(description), encoding="utf-8")
        shown = folder / DESCRIPTION
        parse_spec(read_mapping(new / DESCRIPTION, "model description", shown), shown)
    return load_bundle(folder)


def _read_weights(onnx: bytes | Path) -> bytes:
    if isinstance(onnx, bytes):
        return onnx
    try:
        return Path(onnx).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the ONNX model {onnx}: {error.strerror}") from error
