# SPDX-License-Identifier: Apache-2.0
"""Running an engine of TensorRT: tensors bound by name, copies beside the work.

A sequence of windows goes through two sets of buffers and three streams: while one window is computed, the answer of
the one before is copied back and the next one is copied in. On a Jetson, whose GPU works in the CPU's memory, nothing
is copied at all. By hand, as TensorRT's package has no layer above this, and ONNX Runtime's hides the engine that a
robot must know to be the right one (docs/decisions.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.runtimes.base import Batch, arrays_of
from liver_seg_ros.inference.runtimes.contract import Port
from liver_seg_ros.inference.runtimes.out_of_memory import says_out_of_memory, too_little_gpu_memory
from liver_seg_ros.inference.runtimes.tensorrt import cuda
from liver_seg_ros.inference.runtimes.tensorrt.library import EngineError, is_rtx, quiet_logger

_SETS = 2  # one is computed on while the other is copied

_DTYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8"}


@dataclass(frozen=True)
class BufferPlan:
    """The memory that an engine's inputs and output take.

    Attributes:
        input_bytes: of each input in one set, for the largest batch.
        output_bytes: likewise, of the output.
        sets: how many there are.
        mapped: whether CPU and GPU share them; otherwise each has its own.
    """

    input_bytes: tuple[int, ...]
    output_bytes: int
    sets: int
    mapped: bool


def plan_buffers(inputs: Sequence[Port], output: Port, largest: Sequence[tuple[int, ...]], mapped: bool) -> BufferPlan:
    """For batches of up to `largest`, a shape per input; the output has the first one's voxels, for each class."""
    batch, _, *sides = largest[0]
    classes = [size or 1 for size in output.shape[1 : -len(sides)]]
    return BufferPlan(
        input_bytes=tuple(
            int(np.prod(shape)) * np.dtype(port.dtype).itemsize for port, shape in zip(inputs, largest, strict=True)
        ),
        output_bytes=batch * int(np.prod(sides)) * int(np.prod(classes)) * np.dtype(output.dtype).itemsize,
        sets=_SETS,
        mapped=mapped,
    )


class LoadedEngine:
    """A deserialized engine and what must live as long as it.

    Attributes:
        engine: TensorRT's own.
        inputs, outputs: its tensors.
        errors: what TensorRT's logger said, newest last.
        trt: TensorRT's module.
    """

    def __init__(self, trt: Any, data: bytes) -> None:
        """Raises `EngineError` where TensorRT refuses it and `MemoryError` where the GPU cannot hold it."""
        self.trt = trt
        self._logger, self.errors = quiet_logger(trt)
        self._runtime = trt.Runtime(self._logger)
        self.engine = self._runtime.deserialize_cuda_engine(data)
        if self.engine is None:
            raise self.error("TensorRT refuses the engine")
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        for index in range(self.engine.num_io_tensors):
            name = self.engine.get_tensor_name(index)
            dtype = self.engine.get_tensor_dtype(name).name
            shape = tuple(size if size >= 0 else None for size in self.engine.get_tensor_shape(name))
            is_input = self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (self.inputs if is_input else self.outputs).append(Port(name, _DTYPES.get(dtype, dtype), shape))

    def error(self, what: str) -> Exception:
        """`what` went wrong, with TensorRT's reason."""
        reason = self.errors[-1] if self.errors else "it does not say why"
        return too_little_gpu_memory() if says_out_of_memory(reason) else EngineError(f"{what}: {reason}")


class TensorRt:
    """A `Runtime` around one engine and one execution context."""

    name = "tensorrt"

    def __init__(
        self,
        device: cuda.Device,
        loaded: LoadedEngine,
        inputs: Sequence[Port],
        largest: Sequence[tuple[int, ...]],
        precision: str,
        path: Path,
        *,
        cuda_graphs: bool = True,
    ) -> None:
        """Make ready to run.

        Args:
            device: closed together with this.
            loaded: with one output, checked against the bundle.
            inputs: those of `loaded`, in the order in which a batch has them.
            largest: of each input, `(B, 1, K, J, I)` or `(B, C, J, I)`; larger batches or windows are refused.
            precision: of the weights.
            path: where the engine is kept; what TensorRT-RTX compiles is kept beside it.
            cuda_graphs: see `LoadOptions`.

        Raises:
            EngineError: TensorRT cannot make an execution context.
            MemoryError: there is too little memory on the GPU.
        """
        self.device = f"GPU {device.gpu.name}"
        self.precision = precision
        self._cuda_device = device
        self._loaded = loaded
        self._inputs, self._largest = list(inputs), list(largest)
        self.largest_batch = largest[0][0]
        *depth, j, i = largest[0][2:]
        self.largest_window = (depth[0] if depth else 1, j, i)
        (self._output,) = loaded.outputs
        self._kernels = _KernelCache(loaded, path.with_suffix(".kernels"), cuda_graphs) if is_rtx(loaded.trt) else None
        self._context = (
            loaded.engine.create_execution_context(self._kernels.config)
            if self._kernels
            else loaded.engine.create_execution_context()
        )
        if self._context is None:
            raise loaded.error("TensorRT cannot make an execution context")
        self._copy_in, self._compute, self._copy_out = (cuda.new_stream() for _ in range(3))
        plan = plan_buffers(self._inputs, self._output, self._largest, device.gpu.shares_memory)
        self._sets = [_BufferSet(self._inputs, self._output, plan) for _ in range(plan.sets)]
        self._shapes: list[tuple[int, ...]] = []
        self._answer_shape: tuple[int, ...] = ()
        self._closed = False

    def run(self, batch: Batch) -> NDArray[np.generic]:
        (answer,) = (found.copy() for found in self.run_sequence([batch]))
        return answer

    def run_sequence(self, batches: Iterable[Batch]) -> Iterator[NDArray[np.generic]]:
        if self._closed:
            raise RuntimeError("this runtime was closed")
        self._cuda_device.bind()
        running: deque[_BufferSet] = deque()
        try:
            for index, batch in enumerate(batches):
                buffers = self._sets[index % len(self._sets)]
                self._begin(buffers, batch)
                if running:
                    yield running.popleft().wait()
                running.append(buffers)
            while running:
                yield running.popleft().wait()
        finally:
            self._finish()  # where the caller stopped halfway, windows are still on their way
            if self._kernels is not None:
                self._kernels.save()

    def release_memory(self) -> None:
        """Nothing: the GPU's memory is taken once, for the largest window."""

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._cuda_device.bind()
        self._finish()
        self._context = self._kernels = None  # before the engine that they belong to
        for buffers in self._sets:
            buffers.close()
        for stream in (self._copy_in, self._compute, self._copy_out):
            cuda.drop_stream(stream)
        del self._loaded
        self._cuda_device.close()

    def _begin(self, buffers: _BufferSet, batch: Batch) -> None:
        """Queue everything from the batch to its answer."""
        arrays = arrays_of(batch)
        shapes = [array.shape for array in arrays]
        if shapes != self._shapes:
            self._take_shapes(shapes)
        buffers.answer_shape = self._answer_shape
        for buffer, array in zip(buffers.inputs, arrays, strict=True):
            np.copyto(buffer.array(array.shape), array, casting="same_kind")
            buffer.upload(array.shape, self._copy_in)
        cuda.mark(buffers.copied_in, self._copy_in)
        cuda.wait_in(self._compute, buffers.copied_in)
        self._enqueue(buffers)
        cuda.mark(buffers.computed, self._compute)
        cuda.wait_in(self._copy_out, buffers.computed)
        buffers.output.download(self._answer_shape, self._copy_out)
        cuda.mark(buffers.copied_out, self._copy_out)

    def _take_shapes(self, shapes: list[tuple[int, ...]]) -> None:
        for shape, largest in zip(shapes, self._largest, strict=True):
            if len(shape) != len(largest) or any(n > most for n, most in zip(shape, largest, strict=True)):
                raise InputError(f"the engine takes batches of up to {largest}, not {shape}")
        cuda.finish(self._compute)  # the context belongs to the windows on their way until they are computed
        self._shapes = []
        for port, shape in zip(self._inputs, shapes, strict=True):
            if not self._context.set_input_shape(port.name, shape):
                raise self._loaded.error(f"TensorRT does not take a batch of {shape}")
        self._answer_shape = tuple(self._context.get_tensor_shape(self._output.name))
        self._shapes = shapes

    def _enqueue(self, buffers: _BufferSet) -> None:
        for port, buffer in zip(self._inputs, buffers.inputs, strict=True):
            self._context.set_tensor_address(port.name, buffer.address)
        self._context.set_tensor_address(self._output.name, buffers.output.address)
        if not self._context.execute_async_v3(int(self._compute)):
            raise self._loaded.error("TensorRT cannot run the engine")

    def _finish(self) -> None:
        for stream in (self._copy_in, self._compute, self._copy_out):
            cuda.finish(stream)


class _BufferSet:
    """Inputs, output and marks of one window on its way.

    Attributes:
        answer_shape: of the window that it holds.
    """

    def __init__(self, inputs: Sequence[Port], output: Port, plan: BufferPlan) -> None:
        sizes = zip(inputs, plan.input_bytes, strict=True)
        self.inputs = [cuda.Buffer(size, port.dtype, plan.mapped) for port, size in sizes]
        self.output = cuda.Buffer(plan.output_bytes, output.dtype, plan.mapped)
        self.copied_in, self.computed, self.copied_out = (cuda.new_event() for _ in range(3))
        self.answer_shape: tuple[int, ...] = ()

    def wait(self) -> NDArray[np.generic]:
        """The answer, once it is there; in the buffer itself."""
        cuda.wait_for(self.copied_out)
        return self.output.array(self.answer_shape)

    def close(self) -> None:
        for event in (self.copied_in, self.computed, self.copied_out):
            cuda.drop_event(event)
        for buffer in self.inputs:
            buffer.close()
        self.output.close()


class _KernelCache:
    """What TensorRT-RTX compiled for the GPU at hand, kept in a file, so that the next start need not."""

    def __init__(self, loaded: LoadedEngine, path: Path, cuda_graphs: bool) -> None:
        self._path = path
        self.config = loaded.engine.create_runtime_config()
        if cuda_graphs:
            self.config.cuda_graph_strategy = loaded.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._cache = self.config.create_runtime_cache()
        if path.is_file():
            self._cache.deserialize(path.read_bytes())  # it checks by itself whether GPU and version are the same
        self.config.set_runtime_cache(self._cache)
        self._kept = self._serialized()

    def save(self) -> None:
        """Write the file anew where something was compiled since."""
        data = self._serialized()
        if len(data) == len(self._kept):
            return
        self._kept = data
        try:
            with written_beside(self._path) as beside:
                beside.write_bytes(data)
        except (InputError, OSError):
            pass  # compiled again next time; that the engine could not be kept either has been said

    def _serialized(self) -> bytes:
        return bytes(self._cache.serialize())
