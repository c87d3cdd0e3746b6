# SPDX-License-Identifier: Apache-2.0
"""Which runtimes there are, which of them work here, which weights each would run, and making one.

What "auto" takes is the first of `RUNTIMES` that works on this machine, and for it

    tensorrt       fp16 where the bundle has it, else fp32
    openvino       int8 where the bundle has it and the processor multiplies 8-bit integers in hardware, else fp32
    onnxruntime    fp32
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import PRECISIONS, ModelBundle
from liver_seg_ros.inference.runtimes.base import DEFAULTS, LoadOptions, Runtime
from liver_seg_ros.inference.runtimes.cpu import INT8_FLAGS, int8_instructions

AUTO = "auto"

#: Runtime names, the one to prefer first; each has a module of its name in this folder.
RUNTIMES = ("tensorrt", "openvino", "onnxruntime")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What would run a bundle, and why.

    Attributes:
        runtime: its name.
        variant: the bundle's variant, None for its plain weights.
        precision: of these weights.
        why: in words.
        others: {runtime: why not this one} of all others.
    """

    runtime: str
    variant: str | None
    precision: str
    why: str
    others: dict[str, str]


def create_runtime(name: str, bundle: ModelBundle, precision: str = AUTO, options: LoadOptions = DEFAULTS) -> Runtime:
    """Load `bundle` into the runtime called `name`, or for "auto" into the first that runs it.

    Args:
        name: a name of `RUNTIMES`, or "auto".
        bundle: the network.
        precision: one of `bundle.PRECISIONS`, or "auto".
        options: see `LoadOptions`.

    Raises:
        InputError: as `choose`, or the runtime refuses the weights.
        CancelledError: `options.cancelled()` was true while an engine was built.
    """
    usable, _ = _usable(name, bundle, precision)
    refused: list[str] = []
    for runtime in usable:
        variant, why = weights_for(runtime, bundle, precision)
        try:
            loaded: Runtime = _module(runtime).load(bundle, variant, options)
        except InputError as error:
            if runtime == usable[-1]:
                raise
            refused.append(f"{runtime} cannot be used: {error}")
        else:
            break
    for reason in refused:
        _log.warning("%s; taken instead: %s", reason, loaded.name)
    _log.info("%s runs on %s; %s", bundle.spec.name, loaded.name, why)
    return loaded


def choose(name: str, bundle: ModelBundle, precision: str = AUTO) -> Choice:
    """What `create_runtime` would load first, and why, without loading it.

    Raises:
        InputError: no such runtime or precision, or the runtime asked for cannot be used here or has no such weights in
            the bundle, or none can.
    """
    usable, reasons = _usable(name, bundle, precision)
    runtime = usable[0]
    variant, why = weights_for(runtime, bundle, precision)
    for other in RUNTIMES:
        if other != runtime and other not in reasons:
            reasons[other] = f"works here too, and comes after {runtime}" if name == AUTO else "not asked for"
    first = "the first in order of speed that works here" if name == AUTO else "asked for"
    return Choice(runtime, variant, bundle.precision_of(variant), f"{first}; {why}", reasons)


def weights_for(runtime: str, bundle: ModelBundle, precision: str = AUTO) -> tuple[str | None, str]:
    """Which variant of `bundle` the runtime would run, None for its plain weights, and why; be it available or not.

    Raises:
        InputError: no such precision, or the bundle has no such weights for the runtime.
    """
    _check_precision(precision)
    if lacking := _lacks(runtime, bundle, precision):
        raise InputError(f"{runtime}: {lacking}")
    there = _precisions(runtime, bundle)
    if precision != AUTO:
        return there[precision], f"{precision} was asked for"
    if runtime == "tensorrt":
        if "fp16" in there:
            return there["fp16"], "fp16, as the model has it"
        return None, "fp32, as the model has no fp16 weights for it"
    if runtime == "openvino":
        instructions = int8_instructions()
        if "int8" not in there:
            return None, "fp32, as the model has no int8 weights for it"
        if instructions is None:
            return None, f"fp32, as the processor has none of {', '.join(INT8_FLAGS)}, without which int8 may saturate"
        return there["int8"], f"int8, as the processor has {instructions}"
    return None, "fp32, the reference"


def unavailable_runtimes() -> dict[str, str]:
    """{name: why it cannot be used on this machine} of the runtimes that cannot."""
    reasons = {name: _module(name).unavailable() for name in RUNTIMES}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _usable(name: str, bundle: ModelBundle, precision: str) -> tuple[list[str], dict[str, str]]:
    """Those of the runtimes asked for that can run `bundle`, in order, at least one; and why the others cannot."""
    _check_precision(precision)
    reasons = unavailable_runtimes()
    if name not in (AUTO, *RUNTIMES):
        hint = f"; not available here: {_joined(reasons)}" if reasons else ""
        raise InputError(f"unknown runtime '{name}'; valid are: {', '.join([AUTO, *RUNTIMES])}{hint}")
    for runtime in RUNTIMES:
        if runtime not in reasons and (lacking := _lacks(runtime, bundle, precision)):
            reasons[runtime] = lacking
    asked_for = RUNTIMES if name == AUTO else (name,)
    usable = [runtime for runtime in asked_for if runtime not in reasons]
    if not usable and name == AUTO:
        raise InputError(f"no runtime can run the model in {bundle.folder}: {_joined(reasons)}")
    if not usable:
        raise InputError(f"runtime '{name}' cannot be used: {reasons[name]}")
    return usable, reasons


def _check_precision(precision: str) -> None:
    if precision not in (AUTO, *PRECISIONS):
        raise InputError(f"unknown precision '{precision}'; valid are: {', '.join([AUTO, *PRECISIONS])}")


def _lacks(runtime: str, bundle: ModelBundle, precision: str) -> str | None:
    """That `bundle` has no such weights for `runtime`, and which it has; None where it has them."""
    there = _precisions(runtime, bundle)
    if precision in (AUTO, *there):
        return None
    return f"the model in {bundle.folder} has no {precision} weights for it, but {', '.join(there)}"


def _precisions(runtime: str, bundle: ModelBundle) -> dict[str, str | None]:
    """{precision: variant} of what `bundle` has for `runtime`; None stands for its plain weights."""
    there: dict[str, str | None] = {bundle.spec.precision: None}
    for name, variant in bundle.spec.variants.items():
        if runtime in variant.runtimes:
            there.setdefault(variant.precision, name)
    return there


def _module(name: str) -> ModuleType:
    return import_module(f"liver_seg_ros.inference.runtimes.{name}")


def _joined(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
