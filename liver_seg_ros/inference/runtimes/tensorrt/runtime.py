# SPDX-License-Identifier: Apache-2.0
"""TensorRT on an NVIDIA GPU: JetPack's on a Jetson, TensorRT-RTX on a workstation. No PyTorch is needed.

`engine` gives the engine, `execution` runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.inference.runtimes.base import DEFAULTS, LoadOptions
from liver_seg_ros.inference.runtimes.contract import check_contract, in_order
from liver_seg_ros.inference.runtimes.tensorrt.engine import ANY_RTX, Engine, prepare_engine, profile_of
from liver_seg_ros.inference.runtimes.tensorrt.gpu import compute_capability, no_gpu, not_for_rtx
from liver_seg_ros.inference.runtimes.tensorrt.library import EngineError, is_rtx, load_tensorrt

if TYPE_CHECKING:
    from liver_seg_ros.inference.runtimes.tensorrt.execution import TensorRt


def unavailable() -> str | None:
    """Why TensorRT cannot be used here, or None where it can."""
    if (reason := no_gpu()) is not None:
        return reason
    try:
        trt = load_tensorrt()
    except InputError as error:
        return str(error)
    return not_for_rtx(compute_capability()) if is_rtx(trt) else None


def engine_ahead(bundle: ModelBundle, variant: str | None = None, options: LoadOptions = DEFAULTS) -> Engine:
    """The engine that `load` would run, built where needed. TensorRT-RTX needs no GPU for it.

    Raises:
        InputError: TensorRT is not installed or cannot build the weights, or it is the one that builds for the GPU at
            hand and there is none.
        CancelledError: `options.cancelled()` was true.
    """
    trt = load_tensorrt()
    if is_rtx(trt):
        return prepare_engine(trt, bundle, variant, ANY_RTX, options)
    if (reason := no_gpu()) is not None:
        raise InputError(f"TensorRT builds for the GPU at hand: {reason}")
    from liver_seg_ros.inference.runtimes.tensorrt.cuda import Device

    device = Device()
    try:
        return prepare_engine(trt, bundle, variant, device.gpu, options)
    finally:
        device.close()


def load(bundle: ModelBundle, variant: str | None = None, options: LoadOptions = DEFAULTS) -> TensorRt:
    """Load `bundle`'s plain weights, or its variant of that name, on the first GPU; the engine is built where needed.

    Raises:
        InputError: TensorRT cannot be used here or cannot build the weights, the graph's input or output is not as
            `bundle` describes it, or there is too little memory on the GPU.
        CancelledError: `options.cancelled()` was true while the engine was built.
    """
    if (reason := unavailable()) is not None:
        raise InputError(f"TensorRT cannot be used: {reason}")
    # Not at the top: without a driver's Python bindings it cannot be imported.
    from liver_seg_ros.inference.runtimes.tensorrt.cuda import CudaError, Device
    from liver_seg_ros.inference.runtimes.tensorrt.execution import LoadedEngine, TensorRt

    trt = load_tensorrt()
    weights = bundle.weights_of(variant)
    device = None
    try:
        device = Device()
        engine = prepare_engine(trt, bundle, variant, device.gpu, options)
        try:
            loaded = LoadedEngine(trt, engine.data)
        except EngineError as error:
            if engine.built:
                raise
            engine = prepare_engine(trt, bundle, variant, device.gpu, options, anew=f"cannot be loaded ({error})")
            loaded = LoadedEngine(trt, engine.data)
        check_contract(weights, bundle.spec, loaded.inputs, loaded.outputs)
        ports = in_order(loaded.inputs, bundle.spec)
        largest = [profile_of(bundle.spec, options.largest_batch, name).largest for name in bundle.spec.input.inputs]
        return TensorRt(
            device, loaded, ports, largest, engine.key.precision, engine.path, cuda_graphs=options.cuda_graphs
        )
    except BaseException as error:
        if device is not None:
            device.close()
        if isinstance(error, (EngineError, CudaError, MemoryError)):
            raise InputError(f"TensorRT cannot run {weights}: {error}") from error
        raise
