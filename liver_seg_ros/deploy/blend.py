# SPDX-License-Identifier: Apache-2.0
"""Weights between two networks: `python -m liver_seg_ros.deploy.blend NEW OLD --share 0.25 --version V --bundle DIR`.

A network that is taught on forgets some of what it knew. On the straight line between its old weights and its new ones
often lies one that has most of both (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"), at no cost when
it runs. That holds where one was trained from the other, or both from a third; of strangers the middle is noise, so
score what comes out.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from liver_seg_ros.checked_fields import read_mapping
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import Calibration, ModelBundle, load_bundle
from liver_seg_ros.inference.bundle_writing import bundle_place, write_bundle
from liver_seg_ros.inference.lineage import told_once
from liver_seg_ros.training.command import run_command
from liver_seg_ros.training.provenance import intended_use, together, whose


def blend_bundles(
    new: ModelBundle,
    old: ModelBundle,
    share: float,
    version: str,
    folder: Path,
    scores: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> ModelBundle:
    """Write the bundle whose plain weights are `share` times those of `new` and the rest those of `old`.

    Args:
        new: whose name, windows and postprocessing the result takes.
        old: of the same architecture, exported the same way.
        share: 0 gives `old`, 1 gives `new`.
        version: of the result.
        folder: where, e.g. `models/segmenter`.
        scores: measured of these very weights, which are another network than either; those of the two are not taken.
        overwrite: see `write_bundle`.

    Returns:
        The bundle, without variants.

    Raises:
        InputError: a share outside of 0 to 1, networks that differ in more than their weights, or a file in the way.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share {share:g}: give 0, all of {old.folder}, to 1, all of {new.folder}")
    spec, other = new.spec, old.spec
    for name in ("stage", "labels", "input", "values", "output"):
        if getattr(spec, name) != getattr(other, name):
            raise InputError(f"{new.folder} and {old.folder} differ in '{name}'; blend networks that differ in weights")
    images = together(spec.training_data, other.training_data)
    parts = [(share, spec), (1 - share, other)]
    blended = replace(
        spec,
        version=version,
        scores=scores or {},
        calibration=Calibration(),
        failures=(),
        training_data=images,
        intended_use=intended_use(images),
        trained_on=told_once(
            whose(
                images,
                "the weighted mean of the weights of two networks. "
                + " ".join(f"{part:.0%} {of.name} {of.version} ({of.trained_on.rstrip('.')})." for part, of in parts),
            )
        ),
    )
    return write_bundle(folder, _blended(new, old, share).SerializeToString(), blended, overwrite)


def _blended(new: ModelBundle, old: ModelBundle, share: float) -> onnx.ModelProto:
    model, other = (onnx.load(str(bundle.weights)) for bundle in (new, old))
    theirs = {tensor.name: numpy_helper.to_array(tensor) for tensor in other.graph.initializer}
    differ = f"{new.folder} and {old.folder} are not of one architecture: "
    if {tensor.name for tensor in model.graph.initializer} != theirs.keys():
        raise InputError(differ + "their graphs name other weights")
    for tensor in model.graph.initializer:
        mine = numpy_helper.to_array(tensor)
        its = theirs[tensor.name]
        if mine.shape != its.shape or mine.dtype != its.dtype:
            raise InputError(f"{differ}'{tensor.name}' is {mine.shape} {mine.dtype} and {its.shape} {its.dtype}")
        if np.issubdtype(mine.dtype, np.floating):
            mean = share * mine.astype(np.float64) + (1 - share) * its
            tensor.CopyFrom(numpy_helper.from_array(mean.astype(mine.dtype), tensor.name))
        elif not np.array_equal(mine, its):  # shapes and axes
            raise InputError(f"{differ}'{tensor.name}' differs")
    return model


def main(arguments: list[str] | None = None) -> None:
    """The command. Raises `InputError` where a bundle is missing or damaged or the two do not fit."""
    parser = argparse.ArgumentParser(prog="python -m liver_seg_ros.deploy.blend", description=__doc__)
    parser.add_argument("new", type=Path, help="folder of a bundle; the result takes its name and settings")
    parser.add_argument("old", type=Path, help="folder of the other")
    parser.add_argument("--share", type=float, required=True, help="of the new weights, 0 to 1")
    parser.add_argument("--version", required=True, help="of the result")
    parser.add_argument("--bundle", type=Path, required=True, help="folder to write, e.g. models/segmenter")
    parser.add_argument("--scores", type=Path, default=None, help="JSON with scores measured of these weights")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that this command did not write")
    options = parser.parse_args(arguments)
    bundle_place(options.bundle, (options.scores,), options.overwrite)
    new, old = load_bundle(options.new), load_bundle(options.old)
    scores = read_mapping(options.scores, "file of scores") if options.scores else None
    bundle = blend_bundles(new, old, options.share, options.version, options.bundle, scores, options.overwrite)
    sys.stderr.write(f"wrote {bundle.folder}: {bundle.weights.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
