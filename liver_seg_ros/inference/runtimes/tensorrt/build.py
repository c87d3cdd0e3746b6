# SPDX-License-Identifier: Apache-2.0
"""From an ONNX model to an engine of NVIDIA's TensorRT. Building needs no GPU with TensorRT-RTX, running does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.runtimes.tensorrt.build_progress import build_monitor
from liver_seg_ros.inference.runtimes.tensorrt.library import EngineError, is_rtx, load_tensorrt, quiet_logger
from liver_seg_ros.progress import Cancelled, Progress, never_cancelled, no_progress


class ShapeRange(NamedTuple):
    """The shapes of one input that an engine takes, batch and channels first."""

    smallest: tuple[int, ...]
    usual: tuple[int, ...]  # the one that the engine is tuned for
    largest: tuple[int, ...]


def build_engine(
    model: bytes,
    shapes: ShapeRange | Mapping[str, ShapeRange],
    *,
    workspace_mb: int | None = None,
    timing_cache: Path | None = None,
    stage: str = "build the engine",
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> bytes:
    """The serialized engine of a serialized ONNX model, in the number formats that the model states (strongly typed).

    Args:
        model: with its weights inside.
        shapes: of the model's only input, or of each by name.
        workspace_mb: limit of the scratch memory of one layer, 10^6 bytes; None for the library's own.
        timing_cache: a file for what was measured of single layers, read and written, so that a similar engine is built
            faster. TensorRT-RTX measures nothing and has none.
        stage: what `progress` and a cancellation call this work.
        progress, cancelled: called from TensorRT's own threads.

    Raises:
        InputError: TensorRT is not installed, or `shapes` names other inputs than the model has.
        EngineError: an operator that TensorRT does not know, shapes that the model cannot take, or too little memory.
        CancelledError: `cancelled()` was true.
    """
    trt = load_tensorrt()
    logger, errors = quiet_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise EngineError(f"TensorRT cannot parse the model: {_first_error(parser)}")
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, network, shapes))
    if workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mb * 1_000_000)
    if is_rtx(trt):
        timing_cache = None
    if timing_cache is not None:
        known = config.create_timing_cache(_read(timing_cache)) or config.create_timing_cache(b"")  # None: damaged
        config.set_timing_cache(known, False)
    # Held in a variable: the configuration does not keep the monitor alive.
    config.progress_monitor = monitor = build_monitor(trt, stage, progress, cancelled)
    engine = builder.build_serialized_network(network, config)
    if monitor.stopped_by is not None:
        raise monitor.stopped_by
    if engine is None:
        raise EngineError(f"TensorRT cannot build the model: {errors[0] if errors else 'it does not say why'}")
    if timing_cache is not None:
        _write(timing_cache, bytes(config.get_timing_cache().serialize()))
    progress(stage, 1.0)
    return bytes(engine)


def _profile(builder: Any, network: Any, shapes: ShapeRange | Mapping[str, ShapeRange]) -> Any:
    names = [network.get_input(n).name for n in range(network.num_inputs)]
    by_name = {names[0]: shapes} if isinstance(shapes, ShapeRange) else shapes
    if set(names) != set(by_name):
        raise InputError(f"shapes are given for {', '.join(by_name)}, but the model's inputs are {', '.join(names)}")
    profile = builder.create_optimization_profile()
    for name, shape in by_name.items():
        profile.set_shape(name, *shape)
    return profile


def _read(timing_cache: Path) -> bytes:
    """Nothing where there is none yet; TensorRT itself checks whether it fits."""
    try:
        return timing_cache.read_bytes()
    except OSError:
        return b""


def _write(timing_cache: Path, data: bytes) -> None:
    try:
        with written_beside(timing_cache) as path:
            path.write_bytes(data)
    except (InputError, OSError):
        pass  # the next build takes longer; that the engine itself cannot be kept will be said


def _first_error(parser: Any) -> str:
    """In one line: where the parser stopped, and why."""
    if not parser.num_errors:
        return "it does not say why"
    error = parser.get_error(0)
    reason = f"{error.code().name.replace('_', ' ').lower()}, {' '.join(error.desc().split())}"
    operator = error.node_operator()
    return f"operator {operator} of node '{error.node_name()}': {reason}" if operator else reason
