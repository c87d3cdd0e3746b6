"""ONNX Runtime on the CPU: the runtime that works everywhere, and the reference for the others."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle

if TYPE_CHECKING:
    import onnxruntime

NAME = "onnxruntime"

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
#: Per `output` of a bundle, the types that its graph may give, the usual one first.
_OUTPUT_TYPES = {
    "logits": tuple(_FLOATS),
    "softmax": ("tensor(float16)",),
    "argmax": ("tensor(uint8)",),
}


def unavailable() -> str | None:
    """Why ONNX Runtime cannot be used here, or None where it can."""
    return None if find_spec("onnxruntime") else "the Python package 'onnxruntime' is not installed"


def load(bundle: ModelBundle, variant: str | None = None) -> OnnxRuntime:
    """Load `bundle`'s plain weights, or its variant of that name, on all CPU cores this process may use.

    Raises:
        InputError: no such variant, its file is missing or damaged or no ONNX model that ONNX Runtime can execute, or
            its input or output is not as `bundle` describes it.
    """
    import onnxruntime

    weights = bundle.weights_of(variant)
    precision = bundle.spec.precision if variant is None else bundle.variant(variant).precision
    onnxruntime.set_default_logger_severity(4)  # errors come as exceptions; warnings on stderr help no user
    threads = _usable_cores()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # The arena keeps the largest activations until the session ends and rounds them up: a 3D U-Net on 96^3 voxels
    # peaked at 441 MB with it and at 268 MB without, in the same time.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(weights), sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        reason = " ".join(str(error).split())
        raise InputError(f"{weights} is not a model that ONNX Runtime can run: {reason}") from error
    _check_contract(session, bundle, weights)
    return OnnxRuntime(session, threads, precision)


class OnnxRuntime:
    """A `Runtime` around one ONNX Runtime session."""

    name = NAME

    def __init__(self, session: onnxruntime.InferenceSession, threads: int, precision: str) -> None:
        self.device = f"CPU, {threads} thread{'s' if threads != 1 else ''}"
        self.precision = precision
        self._session: onnxruntime.InferenceSession | None = session
        self._input_name = session.get_inputs()[0].name
        self._input_type = _FLOATS[session.get_inputs()[0].type]

    def run(self, batch: NDArray[np.floating]) -> NDArray[np.generic]:
        if self._session is None:
            raise RuntimeError("this runtime was closed")
        values = batch.astype(self._input_type, copy=False)
        answer: NDArray[np.generic] = self._session.run(None, {self._input_name: values})[0]
        return answer

    def close(self) -> None:
        self._session = None


def _check_contract(session: onnxruntime.InferenceSession, bundle: ModelBundle, weights: Path) -> None:
    """Refuse a model with other inputs, outputs or fixed sizes than `bundle`'s module describes."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    classes = len(bundle.spec.labels)
    output_types = _OUTPUT_TYPES[bundle.spec.output]
    is_labels = bundle.spec.output == "argmax"
    if (
        len(inputs) != 1
        or len(outputs) != 1
        or inputs[0].type not in _FLOATS
        or outputs[0].type not in output_types
        or not _matches(inputs[0].shape, 1)
        or not _matches(outputs[0].shape, None if is_labels else classes)
    ):
        output = "uint8 (B, K, J, I)" if is_labels else f"{_name(output_types)} (B, {classes}, K, J, I)"
        described = "; ".join(f"{node.name} {node.type} {node.shape}" for node in [*inputs, *outputs])
        raise InputError(
            f"{weights} must take one float (B, 1, K, J, I) and give one {output} with "
            f"K, J, I of any size; it has {described}"
        )


def _matches(shape: list[int | str | None], channels: int | None) -> bool:
    """Whether `shape` is (B, channels, K, J, I) with free K, J, I, or (B, K, J, I) for no channels.

    Exporters name free sizes or leave them None.
    """
    leading = 1 if channels is None else 2
    if len(shape) != leading + 3 or any(isinstance(size, int) for size in shape[leading:]):
        return False
    return channels is None or not isinstance(shape[1], int) or shape[1] == channels


def _name(types: tuple[str, ...]) -> str:
    return types[0].removeprefix("tensor(").removesuffix(")")


def _usable_cores() -> int:
    """Cores this process may run on; a container or taskset often grants fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
