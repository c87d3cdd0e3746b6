# SPDX-License-Identifier: Apache-2.0
"""ONNX to int8 convolutions for CPUs, by OpenVINO's NNCF; run by `quantization` as a script.

    python nncf_job.py MODEL RESULT CALIBRATION KEPT...

CALIBRATION is an .npz with one array `(N, channels, ...)` per input; KEPT are the names of nodes to leave in fp32.
"""

from __future__ import annotations

import sys

import nncf
import numpy as np
import onnx
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
from nncf.quantization.range_estimator import RangeEstimatorParametersSet


def to_int8(model: onnx.ModelProto, calibration: str, kept: list[str]) -> onnx.ModelProto:
    """Q/DQ: weights per channel and symmetric, inputs per tensor and unsigned where they are never negative.

    The range of an input is the largest value that calibration met, where NNCF by itself would take the mean of the
    samples' largest; and biases are left as they are, since its correction of them quadrupled the shipped segmenter's
    error.
    """
    with np.load(calibration) as arrays:
        data = {name: arrays[name] for name in arrays.files}
    count = len(next(iter(data.values())))
    samples = [{name: array[n : n + 1] for name, array in data.items()} for n in range(count)]
    others = {node.op_type for node in model.graph.node} - {"Conv", "ConvTranspose", "Gemm", "MatMul"}
    return nncf.quantize(
        model,
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=count,
        ignored_scope=nncf.IgnoredScope(names=kept, types=sorted(others)),
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX, disable_bias_correction=True
        ),
    )


if __name__ == "__main__":
    onnx.save(to_int8(onnx.load(sys.argv[1]), sys.argv[3], sys.argv[4:]), sys.argv[2])
