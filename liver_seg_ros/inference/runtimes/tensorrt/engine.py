# SPDX-License-Identifier: Apache-2.0
"""Engines of bundles, and the folder that keeps them: one is built once per model, GPU and TensorRT, then read.

A file holds one line of JSON, which says what the engine was built from and for, and then the engine itself. What does
not fit the model, the machine or its own checksum is built anew, and a warning says why. Its name holds what may
rightly differ side by side: model, number format, weights, GPU.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import BundleSpec, ModelBundle
from liver_seg_ros.inference.input_spec import IMAGE
from liver_seg_ros.inference.runtimes.base import LoadOptions
from liver_seg_ros.inference.runtimes.cache_folder import cache_folder
from liver_seg_ros.inference.runtimes.tensorrt.build import ShapeRange, build_engine
from liver_seg_ros.inference.runtimes.tensorrt.gpu import Gpu
from liver_seg_ros.inference.runtimes.tensorrt.library import EngineError, is_rtx, version_of
from liver_seg_ros.short_repr import short_repr

#: Engines of TensorRT-RTX are finished on the GPU that runs them; it builds for these unless told otherwise.
ANY_RTX = Gpu("any RTX GPU", "8.0 and later")

_FORMAT = "liver_seg_ros engine 1"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineKey:
    """What an engine was built from and for; it is used only where all of it fits.

    Attributes:
        weights: sha256 of the ONNX file.
        tensorrt: library and version.
        gpu: its name.
        compute_capability: of that GPU.
        precision: number format of the weights.
        profile: smallest, usual and largest shape of each input, e.g. "1x1x8x8x8 1x1x64x64x64 2x1x64x64x64".
    """

    weights: str
    tensorrt: str
    gpu: str
    compute_capability: str
    precision: str
    profile: str


@dataclass(frozen=True)
class Engine:
    """A serialized engine.

    Attributes:
        data: what TensorRT loads.
        path: where it is kept.
        key: see `EngineKey`.
        built: whether it was built just now; False where it was read.
    """

    data: bytes
    path: Path
    key: EngineKey
    built: bool

    __repr__ = short_repr


def profile_of(spec: BundleSpec, largest_batch: int, name: str = IMAGE) -> ShapeRange:
    """Of an input: from the smallest window to the patch along every axis, tuned for one window of the patch's size.

    Of slices, which are run as many at once as the patch says, from one to that many.
    """
    channels = spec.input.channels[name]
    i, j, k = spec.input.patch
    least_k, least_j, least_i = spec.input.least_window
    if spec.input.slices:
        return ShapeRange((1, channels, least_j, least_i), (k, channels, j, i), (k, channels, j, i))
    return ShapeRange(
        (1, channels, least_k, least_j, least_i), (1, channels, k, j, i), (largest_batch, channels, k, j, i)
    )


def profiles_of(spec: BundleSpec, largest_batch: int) -> ShapeRange | dict[str, ShapeRange]:
    """`profile_of` each input by name; of the only one, whatever the graph calls it, that alone."""
    profiles = {name: profile_of(spec, largest_batch, name) for name in spec.input.inputs}
    return profiles if len(profiles) > 1 else profiles[IMAGE]


def engine_key(trt: Any, bundle: ModelBundle, variant: str | None, gpu: Gpu, largest_batch: int) -> EngineKey:
    """What the engine of `bundle`'s variant, or of its plain weights for None, must have been built from and for.

    Args:
        trt: TensorRT's module.
        gpu: that of this machine; TensorRT-RTX takes no notice of it.
    """
    if is_rtx(trt):
        gpu = ANY_RTX
    return EngineKey(
        weights=bundle.sha256 if variant is None else bundle.variant(variant).sha256,
        tensorrt=version_of(trt),
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        precision=bundle.precision_of(variant),
        profile=" ".join(
            "x".join(map(str, shape))
            for name in bundle.spec.input.inputs
            for shape in profile_of(bundle.spec, largest_batch, name)
        ),
    )


def engine_path(bundle: ModelBundle, key: EngineKey, cache_dir: Path | None) -> Path:
    """Where the engine is kept, e.g. `~/.cache/liver_seg_ros/engines/liver-segmenter-fp16-68c972984866-orin.engine`."""
    parts = (bundle.spec.name, key.precision, key.weights[:12], key.gpu)
    name = "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts)
    return cache_folder(cache_dir) / "engines" / f"{name}.engine"


def prepare_engine(
    trt: Any, bundle: ModelBundle, variant: str | None, gpu: Gpu, options: LoadOptions, anew: str | None = None
) -> Engine:
    """The engine of `bundle`'s variant, or of its plain weights for None: read where it is there and fits, else built.

    Args:
        trt: TensorRT's module.
        gpu: that of this machine.
        options: see `LoadOptions`.
        anew: why one that is there and fits is not to be used.

    Raises:
        InputError: the weights are missing or damaged, or TensorRT cannot build them.
        CancelledError: `options.cancelled()` was true; an engine that was there is untouched.
    """
    key = engine_key(trt, bundle, variant, gpu, options.largest_batch)
    path = engine_path(bundle, key, options.cache_dir)
    data, reason = (None, anew) if anew else read_engine(path, key)
    if data is not None:
        return Engine(data, path, key, built=False)
    if reason is not None:
        _log.warning("the engine %s %s; it is built anew", path, reason)
    weights = bundle.weights_of(variant)
    try:
        data = build_engine(
            weights.read_bytes(),
            profiles_of(bundle.spec, options.largest_batch),
            workspace_mb=options.workspace_mb,
            timing_cache=path.with_name(re.sub(r"[^A-Za-z0-9.]+", "-", f"{key.gpu} {key.tensorrt}") + ".timing"),
            stage=f"build the engine of {bundle.spec.name}",
            progress=options.progress,
            cancelled=options.cancelled,
        )
    except EngineError as error:
        raise InputError(f"{weights}: {error}") from error
    try:
        _write_engine(path, key, data)
    except (InputError, OSError) as error:
        _log.warning(
            "the engine could not be kept and will be built again next time: %s. Name a folder with LIVER_SEG_CACHE",
            error,
        )
    return Engine(data, path, key, built=True)


def read_engine(path: Path, key: EngineKey) -> tuple[bytes | None, str | None]:
    """The engine in `path` where it is whole and fits `key`; else None and why not. Neither where there is none."""
    try:
        header, _, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"cannot be read ({error.strerror})"
    try:
        described = json.loads(header)
        built_for = EngineKey(**described["key"])
        whole = described["format"] == _FORMAT and described["sha256"] == hashlib.sha256(data).hexdigest()
    except (ValueError, KeyError, TypeError):
        return None, "is not an engine of this package"
    for field in fields(EngineKey):
        found, wanted = getattr(built_for, field.name), getattr(key, field.name)
        if found != wanted:
            return None, f"was built for {field.name.replace('_', ' ')} {found}, not {wanted}"
    return (data, None) if whole else (None, "is damaged")


def _write_engine(path: Path, key: EngineKey, data: bytes) -> None:
    header = {"format": _FORMAT, "key": asdict(key), "sha256": hashlib.sha256(data).hexdigest()}
    with written_beside(path) as beside:
        beside.write_bytes(json.dumps(header).encode() + b"\n" + data)
