# SPDX-License-Identifier: Apache-2.0
"""The NVIDIA GPU of this machine, if there is one."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib.util import find_spec

_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE

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
