# SPDX-License-Identifier: Apache-2.0
"""TensorRT, and TensorRT-RTX: engines built from ONNX, kept, and run on the GPU."""

from liver_seg_ros.inference.runtimes.tensorrt.runtime import engine_ahead, load, unavailable

__all__ = ["engine_ahead", "load", "unavailable"]
