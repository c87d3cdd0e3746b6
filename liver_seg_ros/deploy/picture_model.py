# SPDX-License-Identifier: Apache-2.0
"""A network of color pictures as ONNX with a card; no bundle, for what runs on a robot is fed CTs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from liver_seg_ros.deploy.graph import DeployedNetwork
from liver_seg_ros.deploy.onnx_export import export_onnx
from liver_seg_ros.errors import InputError
from liver_seg_ros.outputs.folder import ResultFolder
from liver_seg_ros.training.checkpoint import Checkpoint
from liver_seg_ros.training.provenance import intended_use, license_of_weights, protocol, trained_on
from liver_seg_ros.training.recipe import PICTURE
from liver_seg_ros.training.slices import channels

ONNX, CARD = FILES = ("model.onnx", "MODEL_CARD.md")


def export_picture_model(
    checkpoint: Checkpoint, folder: Path, overwrite: bool = False, inputs: Iterable[Path] = ()
) -> Path:
    """Write the network, its normalization included, and what is known of it; returns the ONNX file.

    The model takes `image` `(B, 3, J, I)` float32, red, green and blue from 0 to 255, of the size that the card tells,
    and gives `softmax` `(B, classes, J, I)` float16.

    Args:
        checkpoint: what was trained.
        folder: where.
        overwrite: whether files called so may be replaced where this did not write them.
        inputs: files that must not be replaced.

    Raises:
        InputError: a network of CTs, or a file is in the way.
        ExportError: the ONNX model does not compute what the network computes.
    """
    recipe = checkpoint.recipe
    if recipe.stage != PICTURE:
        raise InputError(f"this network is of CTs, stage '{recipe.stage}'; make a bundle of it: --bundle")
    place = ResultFolder(folder, "export", FILES, inputs, overwrite, option="--picture-model")
    network = checkpoint.network()
    size, multiple = recipe.optimization.patch[1::-1], int(network.size_multiple)  # type: ignore[arg-type]
    free = None if hasattr(network, "image_size") else multiple
    graph = DeployedNetwork(network, recipe.data.window, "softmax")
    model = export_onnx(graph, size, free, {"image": channels(recipe)})
    with place.filled() as filled:
        (filled / ONNX).write_bytes(model)
        (filled / CARD).write_text(_card(checkpoint, size, free), encoding="utf-8")
    return folder / ONNX


def _card(checkpoint: Checkpoint, size: tuple[int, ...], multiple: int | None) -> str:
    recipe = checkpoint.recipe
    j, i = size
    which = f"{i} x {j} pixels" if multiple is None else f"multiples of {multiple} pixels, trained on {i} x {j}"
    known = {
        "trained on": trained_on(
            checkpoint.images, checkpoint.source, checkpoint.step, recipe.optimization.batch, checkpoint.began_with
        ),
        "intended use": intended_use(checkpoint.images),
        "license of the weights": license_of_weights(checkpoint.images, None),
        "input": f"image, (batch, {channels(recipe)}, J, I), red, green, blue from 0 to 255; {which}",
        "output": f"softmax, (batch, {len(recipe.labels)}, J, I): {', '.join(recipe.labels.values())}",
        "validation Dice": {name: round(score, 3) for name, score in checkpoint.scores.items()},
        "data": checkpoint.data,
        "protocol": protocol(recipe),
    }
    said = yaml.safe_dump(known, sort_keys=False, allow_unicode=True, width=120)
    head = f"# {recipe.network['name']}, color pictures\n\nNo bundle: it is fed pictures and not CTs."
    return f"{head}\n\n```yaml\n{said}```\n"
