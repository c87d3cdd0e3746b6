# SPDX-License-Identifier: Apache-2.0
"""The networks: whether they are whole, and what would run them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from liver_seg_ros.doctor.finding import Finding, Level
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.model_folders import find_models_dir, model_folders
from liver_seg_ros.inference.runtimes.cache_folder import cache_folder
from liver_seg_ros.inference.runtimes.choice import choose, unavailable_runtimes


def network_findings(models_dir: Path | None = None) -> Iterator[Finding]:
    """Each model with the checksums of all of its weights, and each runtime."""
    try:
        folders = model_folders(find_models_dir(models_dir))
    except InputError as error:
        yield Finding("models", Level.PROBLEM, str(error), "install the package again, or give --models")
        folders = []
    for folder in folders:
        yield _model(folder)
    yield from _runtimes()


def _model(folder: Path) -> Finding:
    name = f"model {folder.name}"
    try:
        bundle = load_bundle(folder)
        for variant in bundle.spec.variants:
            bundle.weights_of(variant)
        choice = choose("auto", bundle)
    except InputError as error:
        return Finding(name, Level.PROBLEM, str(error), "copy the folder again from where it came from")
    spec = bundle.spec
    whole = f"{1 + len(spec.variants)} files of weights match their checksums"
    return Finding(
        name, Level.OK, f"{spec.name} {spec.version}: {whole}; runs on {choice.runtime} in {choice.precision}"
    )


def _runtimes() -> Iterator[Finding]:
    reasons = unavailable_runtimes()
    without = reasons.pop("tensorrt", None)
    if without is None:
        engines = len(list((cache_folder() / "engines").glob("*.engine")))
        found = f"works; {engines} engines are kept in {cache_folder()}"
        advice = "" if engines else "liver-seg build makes them ahead, so that no robot waits"
        yield Finding("TensorRT and GPU", Level.OK if engines else Level.WARNING, found, advice)
    else:
        yield Finding(
            "TensorRT and GPU", Level.WARNING, without, "the processor runs the networks, several times slower"
        )
    for name, reason in reasons.items():
        yield Finding(f"runtime {name}", Level.WARNING, reason, f"pip install 'liver_seg_ros[{name}]'")
