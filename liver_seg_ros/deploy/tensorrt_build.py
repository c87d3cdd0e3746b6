"""From an ONNX model to an engine of NVIDIA's TensorRT. Building needs no GPU with TensorRT-RTX, running does."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

from liver_seg_ros.errors import InputError

#: TensorRT itself, as JetPack installs it, or TensorRT-RTX, which is on PyPI: one interface, two names.
LIBRARIES = ("tensorrt", "tensorrt_rtx_bindings")


class EngineError(RuntimeError):
    """TensorRT cannot parse the model or build it."""


class ShapeRange(NamedTuple):
    """The shapes of one input that an engine takes, batch and channels first."""

    smallest: tuple[int, ...]
    usual: tuple[int, ...]  # the one that the engine is tuned for
    largest: tuple[int, ...]


def load_tensorrt() -> Any:
    """TensorRT's Python module. Raises `InputError` saying what to install where there is none."""
    for library in LIBRARIES:
        try:
            return import_module(library)
        except ImportError:
            continue
    raise InputError(
        "TensorRT is not installed; on a Jetson it comes with JetPack, on x86_64 install it with: "
        "pip install 'liver_seg_ros[deploy]'"
    )


def build_engine(model: bytes, shapes: Mapping[str, ShapeRange]) -> bytes:
    """The serialized engine of a serialized ONNX model, in the number formats that the model states (strongly typed).

    Args:
        model: with its weights inside.
        shapes: per input of the model, by name.

    Raises:
        InputError: TensorRT is not installed, or `shapes` names other inputs than the model has.
        EngineError: an operator that TensorRT does not know, or shapes that the model cannot take.
    """
    trt = load_tensorrt()
    logger, errors = _quiet_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise EngineError(f"TensorRT cannot parse the model: {_first_error(parser)}")
    names = [network.get_input(n).name for n in range(network.num_inputs)]
    if set(names) != set(shapes):
        raise InputError(f"shapes are given for {', '.join(shapes)}, but the model's inputs are {', '.join(names)}")

    profile = builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, *shape)
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineError(f"TensorRT cannot build the model: {errors[0] if errors else 'it does not say why'}")
    return bytes(engine)


def _first_error(parser: Any) -> str:
    """In one line: where the parser stopped, and why."""
    if not parser.num_errors:
        return "it does not say why"
    error = parser.get_error(0)
    reason = f"{error.code().name.replace('_', ' ').lower()}, {' '.join(error.desc().split())}"
    operator = error.node_operator()
    return f"operator {operator} of node '{error.node_name()}': {reason}" if operator else reason


def _quiet_logger(trt: Any) -> tuple[Any, list[str]]:
    """A logger that prints nothing, and the list to which it adds each error in one line."""
    errors: list[str] = []

    class Collecting(trt.ILogger):  # a class only once the library is loaded
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                errors.append(" ".join(message.split()))

    return Collecting(), errors
