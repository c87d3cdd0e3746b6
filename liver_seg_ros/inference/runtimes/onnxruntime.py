# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on the CPU: the runtime that works everywhere, and the reference for the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.inference.runtimes.base import DEFAULTS, Batch, LoadOptions, arrays_of
from liver_seg_ros.inference.runtimes.contract import Port, check_contract, in_order
from liver_seg_ros.inference.runtimes.cpu import cpu_device, int8_instructions, usable_cores
from liver_seg_ros.inference.runtimes.out_of_memory import says_out_of_memory, too_little_memory

if TYPE_CHECKING:
    import onnxruntime

NAME = "onnxruntime"

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


def unavailable() -> str | None:
    """Why ONNX Runtime cannot be used here, or None where it can."""
    return None if find_spec("onnxruntime") else "the Python package 'onnxruntime' is not installed"


def load(bundle: ModelBundle, variant: str | None = None, options: LoadOptions = DEFAULTS) -> OnnxRuntime:
    """Load `bundle`'s plain weights, or its variant of that name, on all CPU cores this process may use.

    Raises:
        InputError: no such variant, its file is missing or damaged or no ONNX model that ONNX Runtime can execute, or
            its input or output is not as `bundle` describes it.
    """
    import onnxruntime

    weights = bundle.weights_of(variant)
    onnxruntime.set_default_logger_severity(4)  # errors come as exceptions; warnings on stderr help no user
    threads = usable_cores()
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = threads
    # The arena keeps the largest activations until the session ends and rounds them up: a 3D U-Net on 96^3 voxels
    # peaked at 441 MB with it and at 268 MB without, in the same time.
    session_options.enable_cpu_mem_arena = False
    session_options.log_severity_level = 4
    precision = bundle.precision_of(variant)
    if precision == "int8" and int8_instructions() is None:
        session_options.add_session_config_entry("session.x64quantprecision", "1")  # sums that do not saturate
    try:
        session = onnxruntime.InferenceSession(
            str(weights), sess_options=session_options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        reason = " ".join(str(error).split())
        raise InputError(f"{weights} is not a model that ONNX Runtime can run: {reason}") from error
    inputs, outputs = ([_port(node) for node in nodes] for nodes in (session.get_inputs(), session.get_outputs()))
    check_contract(weights, bundle.spec, inputs, outputs)
    return OnnxRuntime(session, in_order(inputs, bundle.spec), threads, precision)


class OnnxRuntime:
    """A `Runtime` around one ONNX Runtime session."""

    name = NAME
    largest_window = None
    largest_batch = 1

    def __init__(
        self, session: onnxruntime.InferenceSession, inputs: Sequence[Port], threads: int, precision: str
    ) -> None:
        self.device = cpu_device(threads)
        self.precision = precision
        self._session: onnxruntime.InferenceSession | None = session
        self._inputs = inputs

    def run(self, batch: Batch) -> NDArray[np.generic]:
        if self._session is None:
            raise RuntimeError("this runtime was closed")
        arrays = arrays_of(batch)
        taken = zip(self._inputs, arrays, strict=True)
        values = {port.name: array.astype(port.dtype, copy=False) for port, array in taken}
        try:
            answer: NDArray[np.generic] = self._session.run(None, values)[0]
        except Exception as error:
            if says_out_of_memory(str(error)):
                raise too_little_memory(arrays[0].shape) from error
            raise
        return answer

    def run_sequence(self, batches: Iterable[Batch]) -> Iterator[NDArray[np.generic]]:
        return (self.run(batch) for batch in batches)

    def release_memory(self) -> None:
        """Nothing is kept: there is no arena."""

    def close(self) -> None:
        self._session = None


def _port(node: onnxruntime.NodeArg) -> Port:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)  # free sizes are names or None
    return Port(node.name, _DTYPES.get(node.type, node.type), shape)
