"""ONNX Runtime on the CPU: the runtime that works everywhere, and the reference for the others."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle

if TYPE_CHECKING:
    import onnxruntime

NAME = "onnxruntime"


def unavailable() -> str | None:
    """Why ONNX Runtime cannot be used here, or None where it can."""
    return None if find_spec("onnxruntime") else "the Python package 'onnxruntime' is not installed"


def load(bundle: ModelBundle) -> OnnxRuntime:
    """Load `bundle` on all CPU cores this process may use.

    Raises:
        InputError: the file is no ONNX model that ONNX Runtime can execute, or its input or output is not as `bundle`
            describes it.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # errors come as exceptions; warnings on stderr help no user
    threads = _usable_cores()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # The arena keeps the largest activations until the session ends and rounds them up: a 3D U-Net on 96^3 voxels
    # peaked at 441 MB with it and at 268 MB without, in the same time.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            str(bundle.weights), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        raise InputError(f"{bundle.weights} is not a model that ONNX Runtime can run: {error}") from error
    _check_contract(session, bundle)
    return OnnxRuntime(session, threads)


class OnnxRuntime:
    """A `Runtime` around one ONNX Runtime session."""

    name = NAME

    def __init__(self, session: onnxruntime.InferenceSession, threads: int) -> None:
        self.device = f"CPU, {threads} thread{'s' if threads != 1 else ''}"
        self._session: onnxruntime.InferenceSession | None = session
        self._input_name = session.get_inputs()[0].name

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._session is None:
            raise RuntimeError("this runtime was closed")
        logits: NDArray[np.float32] = self._session.run(None, {self._input_name: batch})[0]
        return logits

    def close(self) -> None:
        self._session = None


def _check_contract(session: onnxruntime.InferenceSession, bundle: ModelBundle) -> None:
    """Refuse a model with other inputs, outputs or fixed sizes than `bundle`'s module describes."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    classes = len(bundle.spec.labels)
    if (
        len(inputs) != 1
        or len(outputs) != 1
        or {inputs[0].type, outputs[0].type} != {"tensor(float)"}
        or not _matches(inputs[0].shape, 1)
        or not _matches(outputs[0].shape, classes)
    ):
        described = "; ".join(f"{node.name} {node.type} {node.shape}" for node in [*inputs, *outputs])
        raise InputError(
            f"{bundle.weights} must take one float (B, 1, K, J, I) and give one float (B, {classes}, K, J, I) with "
            f"K, J, I of any size; it has {described}"
        )


def _matches(shape: list[int | str | None], channels: int) -> bool:
    """Whether `shape` is (B, channels, K, J, I) with free K, J, I; exporters name free sizes or leave them None."""
    return (
        len(shape) == 5
        and (shape[1] == channels or not isinstance(shape[1], int))
        and not any(isinstance(size, int) for size in shape[2:])
    )


def _usable_cores() -> int:
    """Cores this process may run on; a container or taskset often grants fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
