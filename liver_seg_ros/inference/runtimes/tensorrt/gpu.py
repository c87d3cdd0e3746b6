# SPDX-License-Identifier: Apache-2.0
"""The NVIDIA GPU of this machine, if there is one."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib.util import find_spec

_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR

#: What TensorRT-RTX 1.7 itself says that its engines run on, and everything from `_RTX_FROM` on.
_RTX_RUNS_ON = ((8, 0), (8, 6), (8, 9))
_RTX_FROM = (12, 0)

#: Of the extra [tensorrt].
BINDINGS = "cuda.bindings"


@dataclass(frozen=True)
class Gpu:
    """What an engine is built for, and where it runs.

    Attributes:
        name: e.g. "Orin".
        compute_capability: e.g. "8.7".
        shares_memory: whether it works in the memory of the CPU, as a Jetson's does.
        memory_mb: 10^6 bytes.
    """

    name: str
    compute_capability: str
    shares_memory: bool = False
    memory_mb: int = 0


def no_gpu() -> str | None:
    """Why no GPU can be used here, or None where one can. Takes no time where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed (libcuda.so.1 is not found)"
    error = driver.cuInit(0)
    if error == _NO_DEVICE:
        return "the NVIDIA driver finds no GPU"
    if error:
        return f"the NVIDIA driver does not start (CUDA error {error}); see what nvidia-smi says"
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    if not count.value:
        return "the NVIDIA driver finds no GPU"
    if find_spec("cuda") is None or find_spec(BINDINGS) is None:
        return "the Python package 'cuda-bindings' is not installed (pip install 'liver_seg_ros[tensorrt]')"
    return None


def compute_capability() -> tuple[int, int]:
    """Of the first GPU, e.g. (8, 7), asked of the driver without taking memory on the GPU. Needs `no_gpu() is None`."""
    driver, device, number = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_int()
    driver.cuInit(0)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    numbers = []
    for attribute in _CAPABILITY:
        driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        numbers.append(number.value)
    return numbers[0], numbers[1]


def not_for_rtx(capability: tuple[int, int]) -> str | None:
    """Why TensorRT-RTX runs nothing on a GPU of this compute capability, or None where it does.

    Asked before an engine is built: it builds for any RTX GPU, wherever it is, and refuses only when one is loaded.
    """
    if capability in _RTX_RUNS_ON or capability >= _RTX_FROM:
        return None
    return (
        f"TensorRT-RTX does not run on this GPU, whose compute capability is {capability[0]}.{capability[1]} (it runs "
        "on 8.0, 8.6, 8.9, and 12.0 and later); NVIDIA's TensorRT does"
    )
