# SPDX-License-Identifier: Apache-2.0
"""Whether NVIDIA's builder makes a half-precision engine of every network of the registry, at the size of its paper.

    .venv/bin/python benchmarks/fp16_builds.py                       every network, some minutes
    .venv/bin/python benchmarks/fp16_builds.py --only student ucanet

Prints Markdown. The networks have random weights and are exported in float16; building needs no GPU with TensorRT-RTX.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from inspect import signature

import torch
from _machine import machine

from liver_seg_ros.deploy.onnx_export import OPSET
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.runtimes.tensorrt.build import ShapeRange, build_engine
from liver_seg_ros.inference.runtimes.tensorrt.library import EngineError, load_tensorrt
from liver_seg_ros.networks import NETWORKS, create_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(NETWORKS), metavar="NAME", help="these; all if not given")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    trt = load_tensorrt()
    sys.stdout.write(f"{trt.__name__} {trt.__version__}. {machine()}.\n\n")
    sys.stdout.write("| network | input | fp16 engine, MB | seconds |\n| --- | --- | ---: | ---: |\n")
    for name in options.only or sorted(NETWORKS):
        start = time.perf_counter()
        try:
            engine = f"{len(_engine(name)) / 1e6:.1f}"
        except (EngineError, InputError) as error:
            engine = f"no: {error}"
        size = "x".join(map(str, NETWORKS[name].size))
        sys.stdout.write(f"| `{name}` | {size} | {engine} | {time.perf_counter() - start:.0f} |\n")
        sys.stdout.flush()


def _engine(name: str) -> bytes:
    torch.manual_seed(0)
    spec = NETWORKS[name]
    fixed = {"image_size": spec.size} if "image_size" in signature(spec.load()).parameters else {}
    network = create_network(name, **fixed, classes=4).eval().half()
    shape = (1, 1, *spec.size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's own deprecations
        program = torch.onnx.export(
            network,
            tuple(torch.zeros(shape, dtype=torch.float16) for _ in spec.inputs),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(spec.inputs),
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None
    model = program.model_proto.SerializeToString()
    return build_engine(model, dict.fromkeys(spec.inputs, ShapeRange(shape, shape, shape)))


if __name__ == "__main__":
    main()
