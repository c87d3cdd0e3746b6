# SPDX-License-Identifier: Apache-2.0
"""`liver-seg info`: what a file is, and what would run on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liver_seg_ros.cli.options import (
    Acquisition,
    Debug,
    Json,
    ModelsFolder,
    Precision,
    Quiet,
    Runtime,
    SeriesUid,
    Verbose,
    Whose,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liver_seg_ros.geometry import Geometry
    from liver_seg_ros.inference.bundle import ModelBundle
    from liver_seg_ros.labels import Structure

EXAMPLES = (
    "liver-seg info",
    "liver-seg info ct.nii.gz",
    "liver-seg info dicom_folder --runtime onnxruntime --json",
)


def command(
    path: Annotated[
        Path | None, typer.Argument(metavar="PATH", help="A CT or labels: a file, or a folder of DICOM or masks.")
    ] = None,
    models: ModelsFolder = None,
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    series: SeriesUid = None,
    acquisition: Acquisition = None,
    whose: Whose = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Show what a file holds, what `segment` would run, and why.

    Of a CT or labels: size, spacing, orientation, values. Of the models: which runtime and numbers, and why not others.
    """
    from liver_seg_ros.cli.console import print_facts, print_json
    from liver_seg_ros.report import versions

    facts: dict[str, Any] = {}
    if path is not None:
        facts["file"] = describe_file(path, series, acquisition, whose)
    facts["inference"] = describe_inference(models, runtime, precision)
    facts["versions"] = versions()
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def describe_file(
    path: Path, series_uid: str | None = None, acquisition: str | None = None, whose: str | None = None
) -> dict[str, Any]:
    """What `path` holds, and what labels are taken for. With `whose`, the value of `--labels`, it must be labels.

    Raises `InputError` where it is neither a CT nor labels: the reason why it is no CT, unless it is labels of which
    nobody says what they mean.
    """
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.files.found_labels import UnknownLabelsError
    from liver_seg_ros.files.volumes import read_volume

    if whose is not None:
        return describe_labels(path, whose)
    try:
        volume = read_volume(path, series_uid, acquisition)
    except InputError as no_ct:
        try:
            labels = describe_labels(path)
        except UnknownLabelsError:
            raise
        except InputError:
            raise no_ct from None
        # Zeros are not much of a label file: say what is wrong with it as a CT.
        if "voxels" in labels and not any(labels["voxels"].values()):
            raise
        return labels
    low, high = int(volume.array.min()), int(volume.array.max())
    series = {"uid": volume.uid} if "." in volume.uid else {}  # what is no DICOM has another one at each reading
    return {"path": str(path), "kind": "CT", **series, **_grid(volume.geometry), "hu_min": low, "hu_max": high}


def describe_labels(path: Path, whose: str | None = None) -> dict[str, Any]:
    """What the labels at `path` are and what each of them is taken for."""
    from liver_seg_ros.files.dicom_labels import describe_dicom_labels
    from liver_seg_ros.files.label_sources import find_labels_in, is_segmentation_object, scheme_of

    def facts(source: str, taken_for: Mapping[str, Structure | None]) -> dict[str, Any]:
        named = {name: structure.name if structure else "left out" for name, structure in taken_for.items()}
        return {"path": str(path), "kind": "labels", "labels_of": source, "taken_for": named}

    if is_segmentation_object(path):  # its voxels lie on the grid of a CT, which is not known here
        return facts(*describe_dicom_labels(path, scheme_of(whose)))
    found = find_labels_in(path, whose)
    return {
        **facts(found.source, found.taken_for),
        **_grid(found.labels.geometry),
        "voxels": found.labels.counts(),
    }


def describe_inference(models_dir: Path | None, runtime: str, precision: str) -> dict[str, Any]:
    """The models and the runtimes that `segment` would use, and why these. Nothing is loaded or built.

    {"problem": one line} where nothing was asked for and `segment` could not run; what was asked for and cannot be had
    raises `InputError`.
    """
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.inference.bundle import load_bundle
    from liver_seg_ros.inference.model_folders import VARIABLE, find_models_dir, model_folders
    from liver_seg_ros.inference.runtimes.choice import AUTO

    try:
        folders = model_folders(find_models_dir(models_dir))
        models = {folder.name: _model(load_bundle(folder), runtime, precision) for folder in folders}
    except InputError as error:
        if models_dir is not None or runtime != AUTO or precision != AUTO:
            raise
        return {"problem": str(error)}
    if models_dir is not None:
        found = "given with --models"
    else:
        found = f"named by {VARIABLE}" if os.environ.get(VARIABLE) else "shipped"
    return {"why_models": found, **models}


def _model(bundle: ModelBundle, runtime: str, precision: str) -> dict[str, Any]:
    from liver_seg_ros.inference.runtimes.choice import choose

    spec = bundle.spec
    choice = choose(runtime, bundle, precision)
    return {
        "name": spec.name,
        "version": spec.version,
        "folder": str(bundle.folder),
        "sha256": bundle.sha256,
        "spacing_mm": spec.input.spacing_mm,
        "labels": list(spec.labels.values()),
        "trained_on": spec.trained_on,
        "runtime": choice.runtime,
        "precision": choice.precision,
        "why": choice.why,
        "other_runtimes": choice.others,
    }


def _grid(geometry: Geometry) -> dict[str, Any]:
    from liver_seg_ros.report import describe_geometry

    grid = describe_geometry(geometry)
    return {
        "size": grid.size,
        "spacing_mm": grid.spacing_mm,
        "orientation": grid.orientation,
        "extent_mm": [round(length, 1) for length in geometry.extent_mm],
    }
