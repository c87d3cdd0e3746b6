# SPDX-License-Identifier: Apache-2.0
"""ONNX to fp16 or to fp16 with int8 convolutions, by NVIDIA's modelopt; run by `quantization` as a script.

    python modelopt_job.py fp16 MODEL RESULT SAMPLE
    python modelopt_job.py int8 MODEL RESULT CALIBRATION KEPT...

SAMPLE and CALIBRATION are an .npz with one array `(N, channels, ...)` per input; KEPT are the names of nodes to leave
in fp16.
"""

from __future__ import annotations

import re
import sys

import numpy as np
import onnx


def to_fp16(model: str, sample: str) -> onnx.ModelProto:
    """AutoCast: every operator in fp16 whose values have room in it, inputs and outputs too.

    It runs the model to see those values; without a sample on images of one voxel, which few networks take.
    """
    from modelopt.onnx.autocast import convert_to_mixed_precision

    return convert_to_mixed_precision(model, low_precision_type="fp16", keep_io_types=False, calibration_data=sample)


def to_int8(model: str, result: str, calibration: str, kept: list[str]) -> None:
    """Explicit Q/DQ: weights per channel and stored in int8, inputs per tensor, both symmetric; the rest in fp16.

    The range of an input is the largest value that calibration met: on the shipped segmenter as good as the choice by
    entropy, and done in two thirds of the time.
    """
    from modelopt.onnx.quantization import quantize

    with np.load(calibration) as arrays:
        data = {name: arrays[name] for name in arrays.files}
    shapes = ",".join(f"{name}:{'x'.join(str(n) for n in (1, *array.shape[1:]))}" for name, array in data.items())
    quantize(
        model,
        quantize_mode="int8",
        calibration_data=data,
        calibration_method="max",
        calibration_shapes=shapes,
        calibration_eps=["cpu"],
        op_types_to_quantize=["Conv", "ConvTranspose", "Gemm", "MatMul"],
        nodes_to_exclude=[f"^{re.escape(name)}$" for name in kept],
        high_precision_dtype="fp16",
        direct_io_types=True,
        dq_only=True,
        output_path=result,
        log_level="ERROR",
    )


if __name__ == "__main__":
    if sys.argv[1] == "fp16":
        onnx.save(to_fp16(sys.argv[2], sys.argv[4]), sys.argv[3])
    else:
        to_int8(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
