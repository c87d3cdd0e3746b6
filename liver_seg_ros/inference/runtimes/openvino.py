# SPDX-License-Identifier: Apache-2.0
"""OpenVINO on the CPU: about twice as fast as ONNX Runtime in fp32, and more in int8 where the processor has it.

The network is compiled once, for free sizes: measured on the shipped models it is as fast as one compiled for the
window's size, and needs no compilation when another CT has other windows. Nothing is kept on disk: reading and
compiling both shipped models takes 0.15 s, OpenVINO's cache saves 0.06 s of it, and it was seen to load a damaged file
as if it were whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.inference.runtimes.base import DEFAULTS, Batch, LoadOptions, arrays_of
from liver_seg_ros.inference.runtimes.contract import Port, check_contract, in_order
from liver_seg_ros.inference.runtimes.cpu import cpu_device, usable_cores
from liver_seg_ros.inference.runtimes.out_of_memory import says_out_of_memory, too_little_memory

if TYPE_CHECKING:
    import openvino

NAME = "openvino"


def unavailable() -> str | None:
    """Why OpenVINO cannot be used here, or None where it can."""
    return None if find_spec("openvino") else "the Python package 'openvino' is not installed (the extra [openvino])"


def load(bundle: ModelBundle, variant: str | None = None, options: LoadOptions = DEFAULTS) -> OpenVino:
    """Load `bundle`'s plain weights, or its variant of that name, on all CPU cores this process may use.

    Raises:
        InputError: no such variant, its file is missing or damaged or no ONNX model that OpenVINO can execute, or its
            input or output is not as `bundle` describes it.
    """
    from openvino.frontend import FrontEndManager

    weights = bundle.weights_of(variant)
    threads = usable_cores()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": threads,
        # Threads bound to cores wait for whatever else runs there, and on a robot something does.
        "ENABLE_CPU_PINNING": False,
        # Where the processor has bfloat16, OpenVINO would take it by itself: faster, but not what was scored.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    try:
        # The frontend by name: `read_model` would let all of them try a damaged file, and one prints errors of its own.
        frontend = FrontEndManager().load_by_framework("onnx")
        model = frontend.convert(frontend.load(str(weights)))
        compile_model = partial(_core().compile_model, model, "CPU", settings)
        request = compile_model().create_infer_request()
    except Exception as error:  # the frontend's exceptions have no common base of their own
        raise InputError(f"{weights} is not a model that OpenVINO can run: {_reason(error)}") from error
    inputs, outputs = ([_port(node) for node in nodes] for nodes in (model.inputs, model.outputs))
    check_contract(weights, bundle.spec, inputs, outputs)
    return OpenVino(request, compile_model, in_order(inputs, bundle.spec), threads, bundle.precision_of(variant))


@cache
def _core() -> openvino.Core:
    """The only one of this process, which stays.

    The CPU plugin of each core gives signal handlers a stack of its own (`sigaltstack`, for AMX), which goes
    with it. Where several came and went, the one in use was gone: the next signal was a segmentation fault (2026.4).
    """
    import openvino

    return openvino.Core()


class OpenVino:
    """A `Runtime` around a request of one compiled OpenVINO model; `compile_model` compiles it anew."""

    name = NAME
    largest_window = None
    largest_batch = 1

    def __init__(
        self,
        request: openvino.InferRequest,
        compile_model: Callable[[], openvino.CompiledModel],
        inputs: Sequence[Port],
        threads: int,
        precision: str,
    ) -> None:
        self.device = cpu_device(threads)
        self.precision = precision
        self._request: openvino.InferRequest | None = request
        self._compile_model: Callable[[], openvino.CompiledModel] | None = compile_model
        self._inputs = inputs

    def run(self, batch: Batch) -> NDArray[np.generic]:
        return self._infer(batch).copy()

    def run_sequence(self, batches: Iterable[Batch]) -> Iterator[NDArray[np.generic]]:
        return (self._infer(batch) for batch in batches)

    def release_memory(self) -> None:
        if self._request is not None:
            self._request.get_compiled_model().release_memory()

    def close(self) -> None:
        self._request = self._compile_model = None

    def _infer(self, batch: Batch) -> NDArray[np.generic]:
        """The answer in OpenVINO's own memory, which the next inference writes to again."""
        if self._compile_model is None:
            raise RuntimeError("this runtime was closed")
        if self._request is None:
            self._request = self._compile_model().create_infer_request()
        arrays = arrays_of(batch)
        taken = zip(self._inputs, arrays, strict=True)
        values = {port.name: np.ascontiguousarray(array, dtype=port.dtype) for port, array in taken}
        try:
            self._request.infer(values, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            if says_out_of_memory(str(error)):
                # The compiled model would go on asking for that memory, for smaller windows too.
                self._request = None
                raise too_little_memory(arrays[0].shape) from error
            raise
        answer: NDArray[np.generic] = self._request.get_output_tensor().data
        return answer


def _port(node: openvino.Output) -> Port:
    shape = node.partial_shape
    sizes = tuple(size.get_length() if size.is_static else None for size in shape) if shape.rank.is_static else ()
    return Port(node.any_name, np.dtype(node.element_type.to_dtype()).name, sizes)


def _reason(error: Exception) -> str:
    """What OpenVINO says last; before it stand the places in its own source code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "it does not say why"
