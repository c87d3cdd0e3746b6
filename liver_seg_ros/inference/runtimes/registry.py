"""Which runtimes there are, which of them work here, and making one by name."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.inference.runtimes.base import Runtime

AUTO = "auto"

#: Runtime name -> its module, the one to prefer first.
_MODULES = {"onnxruntime": "liver_seg_ros.inference.runtimes.onnxruntime"}


def create_runtime(name: str, bundle: ModelBundle) -> Runtime:
    """Load `bundle` into the runtime called `name`, or into the first that is available for "auto".

    Raises:
        InputError: no such runtime, or it is not available here (the message says why), or it refuses the weights.
    """
    unavailable = unavailable_runtimes()
    if name == AUTO:
        available = [candidate for candidate in _MODULES if candidate not in unavailable]
        if not available:
            raise InputError(f"no runtime is available to run the model: {_reasons(unavailable)}")
        name = available[0]
    if name not in _MODULES:
        hint = f"; not available here: {_reasons(unavailable)}" if unavailable else ""
        raise InputError(f"unknown runtime '{name}'; valid are: {', '.join([AUTO, *_MODULES])}{hint}")
    if name in unavailable:
        raise InputError(f"runtime '{name}' is not available here: {unavailable[name]}")
    runtime: Runtime = _module(name).load(bundle)
    return runtime


def unavailable_runtimes() -> dict[str, str]:
    """{name: why it cannot be used on this machine} of the runtimes that cannot."""
    reasons = {name: _module(name).unavailable() for name in _MODULES}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _module(name: str) -> ModuleType:
    return import_module(_MODULES[name])


def _reasons(unavailable: dict[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in unavailable.items())
