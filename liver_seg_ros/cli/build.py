# SPDX-License-Identifier: Apache-2.0
"""`liver-seg build`: TensorRT's engines ahead of time, so that no robot waits for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liver_seg_ros.cli.help import NETWORKS, OUTPUT
from liver_seg_ros.cli.options import Debug, Json, ModelsFolder, Precision, Quiet, Verbose

if TYPE_CHECKING:
    from liver_seg_ros.inference.bundle import ModelBundle
    from liver_seg_ros.inference.runtimes.base import LoadOptions

EXAMPLES = (
    "liver-seg build",
    "liver-seg build --precision fp16 --cache /var/cache/liver_seg",
)


def command(
    models: ModelsFolder = None,
    precision: Precision = "auto",
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where engines are kept; tell `segment` by LIVER_SEG_CACHE.",
            show_default="LIVER_SEG_CACHE, or ~/.cache/liver_seg_ros",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    workspace_mb: Annotated[
        int | None,
        typer.Option(min=1, metavar="MB", help="Most scratch memory of a layer, MB.", rich_help_panel=NETWORKS),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Build the engines of TensorRT ahead of time.

    Takes seconds on a workstation and minutes on a Jetson, once per model, GPU and version of TensorRT; `segment` and
    the ROS node build what is missing by themselves. Other runtimes need nothing built.
    """
    from liver_seg_ros.cli.console import print_facts, print_json
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.inference.bundle import load_bundle
    from liver_seg_ros.inference.model_folders import find_models_dir, model_folders
    from liver_seg_ros.inference.runtimes.base import LoadOptions
    from liver_seg_ros.inference.runtimes.cache_folder import cache_folder
    from liver_seg_ros.outputs.folder import check_folder

    check_folder(cache_folder(cache), "--cache")
    bundles = {folder.name: load_bundle(folder) for folder in model_folders(find_models_dir(models))}
    with shown_progress(quiet, as_json) as progress:
        options = LoadOptions(cache_dir=cache, workspace_mb=workspace_mb, progress=progress)
        engines = {name: _build(bundle, precision, options) for name, bundle in bundles.items()}
    if as_json:
        print_json(engines)
    elif not quiet:
        print_facts(engines)


def _build(bundle: ModelBundle, precision: str, options: LoadOptions) -> dict[str, Any]:
    from time import perf_counter

    from liver_seg_ros.errors import WriteError
    from liver_seg_ros.inference.runtimes.choice import weights_for
    from liver_seg_ros.inference.runtimes.tensorrt import engine_ahead

    variant, why = weights_for("tensorrt", bundle, precision)
    began = perf_counter()
    engine = engine_ahead(bundle, variant, options)
    if not engine.path.is_file():  # `segment` could do without, and so it was only warned of
        raise WriteError.of(engine.path)
    return {
        "model": bundle.spec.name,
        "version": bundle.spec.version,
        "precision": engine.key.precision,
        "why": why,
        "engine": str(engine.path),
        "megabytes": round(len(engine.data) / 1e6, 1),
        "state": "built" if engine.built else "was there and fits",
        "seconds": round(perf_counter() - began, 2),
        "tensorrt": engine.key.tensorrt,
        "gpu": engine.key.gpu,
        "compute_capability": engine.key.compute_capability,
    }
