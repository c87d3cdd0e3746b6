# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's TensorRT: the library itself, as JetPack installs it, or TensorRT-RTX from PyPI; their interface is one."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from liver_seg_ros.errors import InputError

#: Python modules, the one to prefer first.
LIBRARIES = ("tensorrt", "tensorrt_rtx_bindings")

#: Of the library itself: the one of JetPack 6.1. Those before lack what strongly typed int8 networks need.
OLDEST = (10, 3)


class EngineError(RuntimeError):
    """TensorRT cannot parse the model, build it or load the engine."""


def load_tensorrt() -> Any:
    """TensorRT's Python module. Raises `InputError` saying what to install where there is none, or none new enough."""
    for library in LIBRARIES:
        try:
            trt = import_module(library)
        except ImportError:
            continue
        if not hasattr(trt, "__version__"):  # something else of that name, such as a program beside the one that runs
            continue
        if not is_rtx(trt) and _numbers(trt.__version__) < OLDEST:
            raise InputError(
                f"TensorRT {trt.__version__} is too old, {'.'.join(map(str, OLDEST))} is needed; "
                "on a Jetson it comes with JetPack 6.1 and later"
            )
        return trt
    raise InputError(
        "TensorRT is not installed; on a Jetson it comes with JetPack, on x86_64 install it with: "
        "pip install 'liver_seg_ros[tensorrt]'"
    )


def is_rtx(trt: Any) -> bool:
    """Whether the module is TensorRT-RTX, whose engines hold for every RTX GPU and are finished on the GPU at hand."""
    return str(trt.__name__).startswith("tensorrt_rtx")


def version_of(trt: Any) -> str:
    """E.g. "TensorRT 10.3.0"; an engine holds only for the version that built it."""
    return f"TensorRT{'-RTX' if is_rtx(trt) else ''} {trt.__version__}"


def quiet_logger(trt: Any) -> tuple[Any, list[str]]:
    """A logger that prints nothing, and the list to which it adds each error in one line."""
    errors: list[str] = []

    class Collecting(trt.ILogger):  # a class only once the library is loaded
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                errors.append(" ".join(message.split()))

    return Collecting(), errors


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
