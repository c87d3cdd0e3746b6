# SPDX-License-Identifier: Apache-2.0
"""A localizer for which all of a CT is liver: painted scans have none that a trained one would know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from liver_seg_ros.inference.bundle import BundleSpec, ModelBundle, Postprocessing
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.inference.input_spec import InputSpec


def write_localizer(folder: Path) -> ModelBundle:
    """Into a folder that is made."""
    image, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", channels, "K", "J", "I"])
        for name, channels in (("image", 1), ("logits", 2))
    )
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["image", "zero"], ["background"]),
            helper.make_node("Add", ["background", "nine"], ["liver"]),
            helper.make_node("Concat", ["background", "liver"], ["logits"], axis=1),
        ],
        "all",
        [image],
        [logits],
        [numpy_helper.from_array(np.float32(value), name) for name, value in (("zero", 0), ("nine", 9))],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    spec = BundleSpec(
        name="all",
        version="0",
        stage="localize",
        input=InputSpec((6.0, 6.0, 6.0), (-200.0, 300.0), (32, 32, 32), 0.25, 4),
        labels={0: "background", 1: "liver"},
        postprocessing=Postprocessing({"liver": 0.0}, 500.0),
        trained_on="nothing",
        scores={},
        license="Apache-2.0",
        intended_use="benchmarks",
    )
    return write_bundle(folder, network, spec)
