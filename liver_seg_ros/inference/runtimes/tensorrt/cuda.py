# SPDX-License-Identifier: Apache-2.0
"""The little of CUDA that running an engine needs: a context, streams, events, and memory that both sides see.

Through the driver's interface (`cuda.bindings.driver`), which belongs to the driver and not to a CUDA toolkit, so that
any toolkit's TensorRT goes with it. TensorRT works in the device's primary context; so does this.

By hand, and not by NVIDIA's `cuda.core`, for two reasons (1.2.2): page-locked memory that is mapped into the GPU's
addresses, which a Jetson needs to copy nothing, cannot be asked for there; and its errors carry a text and no status,
so that too little memory would have to be told from a fault by words. See docs/decisions.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import driver
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.runtimes.out_of_memory import too_little_gpu_memory
from liver_seg_ros.inference.runtimes.tensorrt.gpu import Gpu

Handle = Any  # of a stream or an event; opaque


class CudaError(RuntimeError):
    """A call of the CUDA driver failed."""


def call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """What `function` of the driver gives besides its status: nothing, one value or a tuple.

    Raises:
        MemoryError: there is too little memory on the GPU.
        CudaError: anything else went wrong.
    """
    status, *values = function(*arguments)
    if status == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        raise too_little_gpu_memory()
    if status != driver.CUresult.CUDA_SUCCESS:
        raise CudaError(f"{function.__name__} failed: {getattr(status, 'name', status)}")
    if not values:
        return None
    return values[0] if len(values) == 1 else tuple(values)


class Device:
    """The first GPU and its primary context.

    Attributes:
        gpu: what it is.
    """

    def __init__(self) -> None:
        call(driver.cuInit, 0)
        self._device = call(driver.cuDeviceGet, 0)
        self._context = call(driver.cuDevicePrimaryCtxRetain, self._device)
        self.bind()
        attribute = driver.CUdevice_attribute
        major = self._attribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        minor = self._attribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        name = call(driver.cuDeviceGetName, 256, self._device)
        self.gpu = Gpu(
            name=name.split(b"\0", 1)[0].decode(),
            compute_capability=f"{major}.{minor}",
            shares_memory=bool(self._attribute(attribute.CU_DEVICE_ATTRIBUTE_INTEGRATED)),
            memory_mb=int(call(driver.cuDeviceTotalMem, self._device)) // 1_000_000,
        )

    def bind(self) -> None:
        """Make the context that of the calling thread; a node runs on another thread than it loads on."""
        call(driver.cuCtxSetCurrent, self._context)

    def close(self) -> None:
        call(driver.cuDevicePrimaryCtxRelease, self._device)

    def _attribute(self, attribute: Any) -> int:
        return int(call(driver.cuDeviceGetAttribute, attribute, self._device))


class Buffer:
    """Memory for one tensor: page-locked for the CPU, so that copies run beside the work, and its twin for the GPU.

    Where both share their memory there is no twin and no copy: the GPU is given the same bytes.

    Attributes:
        address: for the GPU.
    """

    def __init__(self, size: int, dtype: str, mapped: bool) -> None:
        self._dtype = np.dtype(dtype)
        self._size = size
        self._mapped = mapped
        self.address = 0
        self._host = int(call(driver.cuMemHostAlloc, size, driver.CU_MEMHOSTALLOC_DEVICEMAP if mapped else 0))
        try:
            self.address = int(
                call(driver.cuMemHostGetDevicePointer, self._host, 0) if mapped else call(driver.cuMemAlloc, size)
            )
        except BaseException:
            self.close()
            raise
        self._bytes = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._host))

    def array(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """The CPU's side of it as an array of this shape, which may be smaller than the memory."""
        count = int(np.prod(shape)) * self._dtype.itemsize
        if count > self._size:
            raise InputError(f"{shape} {self._dtype} needs {count} bytes and there are {self._size}")
        return self._bytes[:count].view(self._dtype).reshape(shape)

    def upload(self, shape: tuple[int, ...], stream: Handle) -> None:
        """Queue the copy of `array(shape)` to the GPU."""
        if not self._mapped:
            call(driver.cuMemcpyHtoDAsync, self.address, self._host, self.array(shape).nbytes, stream)

    def download(self, shape: tuple[int, ...], stream: Handle) -> None:
        """Queue the copy from the GPU into `array(shape)`."""
        if not self._mapped:
            call(driver.cuMemcpyDtoHAsync, self._host, self.address, self.array(shape).nbytes, stream)

    def close(self) -> None:
        if not self._mapped and self.address:
            call(driver.cuMemFree, self.address)
        call(driver.cuMemFreeHost, self._host)


def new_stream() -> Handle:
    """A queue of work that does not wait for the default one."""
    return call(driver.cuStreamCreate, driver.CUstream_flags.CU_STREAM_NON_BLOCKING)


def new_event() -> Handle:
    """A mark in a stream that others can wait for."""
    return call(driver.cuEventCreate, driver.CUevent_flags.CU_EVENT_DISABLE_TIMING)


def mark(event: Handle, stream: Handle) -> None:
    """Set the event when the stream has done what it was given so far."""
    call(driver.cuEventRecord, event, stream)


def wait_in(stream: Handle, event: Handle) -> None:
    """Let what the stream is given from now on wait for the event."""
    call(driver.cuStreamWaitEvent, stream, event, 0)


def wait_for(event: Handle) -> None:
    """Wait here for the event."""
    call(driver.cuEventSynchronize, event)


def finish(stream: Handle) -> None:
    """Wait here until the stream has nothing left to do."""
    call(driver.cuStreamSynchronize, stream)


def drop_stream(stream: Handle) -> None:
    call(driver.cuStreamDestroy, stream)


def drop_event(event: Handle) -> None:
    call(driver.cuEventDestroy, event)
