# SPDX-License-Identifier: Apache-2.0
"""Favor a structure: `python -m liver_seg_ros.deploy.logit_adjustment FROM --add vessel=0.8 --version V --bundle TO`.

A network that was trained by cross-entropy leaves out what is rare and thin more often than it invents it. A constant
that is added to the logits of that structure moves the balance (Menon et al. 2021, "Long-tail learning via logit
adjustment", section 4.1). It is added to the bias of the last convolution, so it costs nothing when the network runs,
whatever runs it. How much, is to be chosen on data that nothing is judged by later.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import Calibration, ModelBundle, load_bundle
from liver_seg_ros.inference.bundle_writing import bundle_place, write_bundle
from liver_seg_ros.training.command import run_command


def adjust_logits(
    bundle: ModelBundle, added: Mapping[str, float], version: str, folder: Path, overwrite: bool = False
) -> ModelBundle:
    """Write the bundle whose network gives the logits of `bundle`, and so much more for some structures.

    Args:
        bundle: whose graph ends in a convolution with a bias.
        added: by the name of a label, background included; several classes of one label all get it.
        version: of the result.
        folder: where, e.g. `models/segmenter`.
        overwrite: see `write_bundle`.

    Returns:
        The bundle, without variants, scores and calibration, which are those of other logits.

    Raises:
        InputError: nothing to add, a label that the bundle has not, a number that is none, a graph with another end, or
            a file in the way.
    """
    spec = bundle.spec
    names = spec.class_names
    for name, value in added.items():
        if name not in names:
            raise InputError(f"{bundle.folder} has no label '{name}'; it has {', '.join(dict.fromkeys(names))}")
        if not isfinite(value):
            raise InputError(f"{name}={value}: give a finite number")
    if not any(added.values()):
        raise InputError("nothing to add: give for example vessel=0.8")
    model = onnx.load(str(bundle.weights))
    bias = _last_bias(model, len(names), bundle)
    moved = numpy_helper.to_array(bias) + np.array([added.get(name, 0.0) for name in names])
    bias.CopyFrom(numpy_helper.from_array(moved.astype(np.float32), bias.name))
    told = ", ".join(f"{value:+g} for {name}" for name, value in added.items())
    trained_on = f"{spec.trained_on.rstrip('.')}. Constants were added to its logits: {told}."
    adjusted = replace(
        spec, version=version, scores={}, calibration=Calibration(), failures=(), variants={}, trained_on=trained_on
    )
    return write_bundle(folder, model.SerializeToString(), adjusted, overwrite)


def _last_bias(model: onnx.ModelProto, classes: int, bundle: ModelBundle) -> onnx.TensorProto:
    output = model.graph.output[0].name
    node = next(node for node in model.graph.node if output in node.output)
    if bundle.spec.output == "logits" and node.op_type == "Conv" and len(node.input) == 3:
        found = [t for t in model.graph.initializer if t.name == node.input[2] and tuple(t.dims) == (classes,)]
        if found and sum(found[0].name in other.input for other in model.graph.node) == 1:
            return found[0]
    raise InputError(
        f"{bundle.weights} ends in {node.op_type}: only logits of a last convolution with its own bias are adjusted"
    )


def _parse(texts: Sequence[str]) -> dict[str, float]:
    added = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            added[name] = float(value)
        except ValueError:
            raise InputError(f"--add {text}: give LABEL=NUMBER, for example vessel=0.8") from None
    return added


def main(arguments: list[str] | None = None) -> None:
    """The command. Raises `InputError` where the bundle is missing or damaged, or cannot be adjusted so."""
    parser = argparse.ArgumentParser(prog="python -m liver_seg_ros.deploy.logit_adjustment", description=__doc__)
    parser.add_argument("source", type=Path, help="folder of the bundle to begin with")
    parser.add_argument("--add", nargs="+", required=True, metavar="LABEL=NUMBER", help="to the logits of a label")
    parser.add_argument("--version", required=True, help="of the result")
    parser.add_argument("--bundle", type=Path, required=True, help="folder to write, e.g. models/segmenter")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that this command did not write")
    options = parser.parse_args(arguments)
    bundle_place(options.bundle, (), options.overwrite)
    source, added = load_bundle(options.source), _parse(options.add)
    bundle = adjust_logits(source, added, options.version, options.bundle, options.overwrite)
    sys.stderr.write(f"wrote {bundle.folder}: {bundle.weights.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
