# SPDX-License-Identifier: Apache-2.0
"""Checkpoint to model bundle: `python -m liver_seg_ros.deploy.export --checkpoint FILE --bundle models/<name>`.

A network of color pictures becomes no bundle: `--picture-model FOLDER` in place of `--bundle` (`picture_model`).
Scores measured elsewhere (`benchmarks/phantom_accuracy.py --json`) are put into the bundle with `--scores`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from liver_seg_ros.deploy.bundle_input import bundle_input
from liver_seg_ros.deploy.graph import DeployedNetwork
from liver_seg_ros.deploy.graph_sizes import traced_sizes
from liver_seg_ros.deploy.onnx_export import export_onnx
from liver_seg_ros.deploy.picture_model import export_picture_model
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import HU, NORMALIZED, OUTPUTS, BundleSpec, ModelBundle, Postprocessing
from liver_seg_ros.inference.bundle_writing import bundle_place, write_bundle
from liver_seg_ros.outputs.folder import check_folder
from liver_seg_ros.training.checkpoint import Checkpoint, load_checkpoint
from liver_seg_ros.training.command import run_command
from liver_seg_ros.training.provenance import SYNTHETIC, intended_use, license_of_weights, protocol, trained_on
from liver_seg_ros.training.recipe import PICTURE
from liver_seg_ros.training.slices import is_of_slices

DEFAULT_SETTINGS = Path("config/training/bundles.yaml")

_INPUTS = {"float32": torch.float32, "float16": torch.float16}


def export_bundle(
    checkpoint: Checkpoint,
    folder: Path,
    settings: dict[str, Any],
    scores: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> ModelBundle:
    """Write the bundle of a trained network.

    Args:
        checkpoint: what was trained.
        folder: where, e.g. `models/segmenter`.
        settings: `name`, `version`, `patch`, `overlap`, `min_volume_mm3`, `margin_mm` (see `BundleSpec`) and, where the
            defaults are not wanted, `values` ("hu"), `output` ("logits"), `input` ("float32"), `license` (of the
            weights; see `provenance.license_of_weights`), `gaussian_mm`, and `fixed_window` and `view` of the input.
        scores: measured on held-out cases; the checkpoint's validation scores are added.
        overwrite: see `write_bundle`.

    Raises:
        InputError: a setting is missing or invalid, a network of pictures, or a file is in the way.
        ExportError: the ONNX model does not compute what the network computes.
    """
    _check_is_of_cts(checkpoint)
    network = checkpoint.network()
    spec = described(checkpoint, network, settings, scores)
    size, multiple = traced_sizes(spec.input)
    window = checkpoint.recipe.data.window if spec.values == HU else None
    dtype = _INPUTS[_choice(settings, "input", tuple(_INPUTS))]
    graph = DeployedNetwork(network, window, spec.output)
    return write_bundle(folder, export_onnx(graph, size, multiple, spec.input.channels, dtype=dtype), spec, overwrite)


def described(
    checkpoint: Checkpoint, network: nn.Module, settings: dict[str, Any], scores: dict[str, Any] | None = None
) -> BundleSpec:
    """What the bundle of a checkpoint and its network says of itself; arguments and errors as of `export_bundle`."""
    recipe = checkpoint.recipe
    try:
        return BundleSpec(
            name=settings["name"],
            version=settings["version"],
            stage=recipe.stage,
            input=bundle_input(recipe, network, settings),
            labels=recipe.labels,
            postprocessing=Postprocessing(
                settings["min_volume_mm3"], settings["margin_mm"], gaussian_mm=settings.get("gaussian_mm", {})
            ),
            trained_on=trained_on(
                checkpoint.images,
                checkpoint.source,
                checkpoint.step,
                recipe.optimization.batch,
                checkpoint.began_with,
            ),
            scores={
                _validation(checkpoint.images): {name: round(score, 3) for name, score in checkpoint.scores.items()},
                **(scores or {}),
            },
            license=license_of_weights(checkpoint.images, settings.get("license")),
            intended_use=intended_use(checkpoint.images),
            values=_choice(settings, "values", (HU, NORMALIZED)),
            output=_choice(settings, "output", OUTPUTS),
            training_data=checkpoint.images,
            provenance={**({"data": checkpoint.data} if checkpoint.data else {}), "protocol": protocol(recipe)},
        )
    except KeyError as error:
        raise InputError(f"the bundle's settings lack {error}; see {DEFAULT_SETTINGS}") from error


def main(arguments: list[str] | None = None) -> None:
    """The command. Raises `InputError` where a file is missing or damaged or a setting invalid."""
    parser = argparse.ArgumentParser(prog="python -m liver_seg_ros.deploy.export", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a training's checkpoint.pt")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--bundle", type=Path, help="folder to write, e.g. models/segmenter")
    kind.add_argument("--picture-model", type=Path, help="folder to write a network of color pictures to, no bundle")
    parser.add_argument(
        "--settings",
        type=Path,
        default=DEFAULT_SETTINGS,
        help="bundle settings per stage, <stage>_slices for a network of slices (%(default)s)",
    )
    parser.add_argument("--scores", type=Path, default=None, help="JSON with scores measured on held-out cases")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that this command did not write")
    options = parser.parse_args(arguments)
    if options.picture_model is not None:
        check_folder(options.picture_model, "--picture-model")
        pictures = load_checkpoint(options.checkpoint)
        model = export_picture_model(pictures, options.picture_model, options.overwrite, (options.checkpoint,))
        sys.stderr.write(f"wrote {model}: {model.stat().st_size / 1e6:.1f} MB\n")
        return
    bundle_place(options.bundle, (options.checkpoint, options.settings, options.scores), options.overwrite)
    checkpoint = load_checkpoint(options.checkpoint)
    _check_is_of_cts(checkpoint)
    section = checkpoint.recipe.stage + ("_slices" if is_of_slices(checkpoint.recipe) else "")
    settings = _read(options.settings).get(section)
    if not isinstance(settings, dict):
        raise InputError(f"{options.settings} has no settings for stage '{section}'")
    scores = _read(options.scores) if options.scores else None
    bundle = export_bundle(checkpoint, options.bundle, settings, scores, options.overwrite)
    sys.stderr.write(f"wrote {bundle.folder}: {bundle.weights.stat().st_size / 1e6:.1f} MB\n")


def _check_is_of_cts(checkpoint: Checkpoint) -> None:
    if checkpoint.recipe.stage == PICTURE:
        raise InputError("a network of color pictures becomes no bundle, which is fed CTs; give --picture-model FOLDER")


def _validation(images: str) -> str:
    """What the checkpoint's scores are called: phantoms are of all contrast phases, others of whatever there was."""
    return "validation_dice_all_phases" if images == SYNTHETIC else "validation_dice"


def _choice(settings: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    """The setting, the first of `choices` where it is not given."""
    value = settings.get(name, choices[0])
    if value not in choices:
        raise InputError(f"the bundle's setting '{name}' is {value!r}; it must be one of {', '.join(choices)}")
    return str(value)


def _read(path: Path) -> dict[str, Any]:
    """A mapping from a YAML or JSON file (JSON is YAML)."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a mapping, not {json.dumps(values, default=str)[:40]}")
    return values


if __name__ == "__main__":
    sys.exit(run_command(main))
