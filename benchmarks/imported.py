# SPDX-License-Identifier: Apache-2.0
"""Imported models beside nnU-Net's own predictor: the same weights, the same CT, the same run, one core each.

    .venv/bin/python benchmarks/imported.py                                   a phantom of 128x128x80 voxels
    .venv/bin/python benchmarks/imported.py --size 256,256,150 --spacing-mm 1.5,1.5,2

Prints Markdown. nnU-Net, in an environment of its own that is made on the first run, trains each configuration for a
few steps on a phantom, which is enough for labels that are not noise, and labels that phantom (flips off); `liver-seg
import` makes bundles of the same folders, which label the whole CT on ONNX Runtime. Both read the CT from a file.
"Agree" is the share of voxels with the same label; "Dice" the smallest of the classes that nnU-Net found. nnU-Net adds
up weighted logits in half precision; "in single" is beside nnU-Net with single precision in its place and all else as
it is, both stages of the cascade. Each run is a fresh process; nnU-Net's seconds do not count the import of its
libraries, and neither do ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _machine import machine
from _nnunet_peer import peak_mb
from numpy.typing import NDArray

CONFIGURATIONS = ("3d_fullres", "2d", "3d_lowres", "3d_cascade_fullres")
SEED = 7
_PEER = Path(__file__).parent / "_nnunet_peer.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="128,128,80", help="of the phantom, voxels I,J,K (%(default)s)")
    parser.add_argument("--spacing-mm", default="2.8,2.8,4.0", help="of the phantom, mm I,J,K (%(default)s)")
    parser.add_argument("--steps", type=int, default=30, help="of training (%(default)s)")
    parser.add_argument("--run", nargs=3, metavar=("BUNDLE", "CT", "RESULT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.run:
        json.dump(_label(*map(Path, options.run)), sys.stdout)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = _write_phantom(folder, options)
        _ask(folder, {"train": [{**files, "spacing": _spacing(options), "names": list(CONFIGURATIONS),
                                 "steps": options.steps, "transpose": [0, 1, 2]}]})  # fmt: skip
        sys.stdout.write(f"{machine()}; phantom of {options.size} voxels of {options.spacing_mm} mm\n\n")
        sys.stdout.write(
            "| configuration | nnU-Net s | MB | ours s | MB | agree | Dice | agree, in single | Dice, in single |\n"
            "|---|---|---|---|---|---|---|---|---|\n"
        )
        for configuration in CONFIGURATIONS:
            sys.stdout.write(_row(folder, files, configuration) + "\n")
            sys.stdout.flush()


def _row(folder: Path, files: dict[str, str], configuration: str) -> str:
    """One configuration, labeled by both."""
    model = folder / "results" / "Dataset901_Phantom" / f"nnUNetTrainer__nnUNetPlans__{configuration}"
    theirs = {precision: folder / precision / configuration / "case.nii.gz" for precision in ("half", "single")}
    answers = {}
    for precision, path in theirs.items():
        path.parent.mkdir(parents=True)
        previous = str(folder / precision / "3d_lowres") if "cascade" in configuration else None
        asked = {"folder": str(model), "image": files["image"], "result": str(path), "previous": previous}
        [answers[precision]] = _ask(folder, {"predict": [{**asked, "single": precision == "single"}]})
    they = answers["half"]
    bundle, result = folder / "bundles" / configuration, folder / f"{configuration}.npy"
    command = [sys.executable, "-m", "liver_seg_ros", "import", str(model), "-o", str(bundle), "--quiet"]
    subprocess.run(command, check=True)
    run = [sys.executable, __file__, "--run", str(bundle), files["image"], str(result)]
    we = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)

    from liver_seg_ros.files.volumes import read_labels

    ours = np.load(result)
    agreement = " | ".join(_agreement(ours, read_labels(path).array) for path in theirs.values())
    figures = f"{they['seconds']:.1f} | {they['peak_mb']:.0f} | {we['seconds']:.1f} | {we['peak_mb']:.0f}"
    return f"| {configuration} | {figures} | {agreement} |"


def _agreement(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> str:
    """The share of voxels with the same class, and the smallest Dice of the classes of `second`, as two cells."""
    dice = [2 * ((first == n) & (second == n)).sum() / ((first == n).sum() + (second == n).sum())
            for n in np.unique(second)]  # fmt: skip
    return f"{(first == second).mean():.5f} | {min(dice):.4f}"


def _label(bundle: Path, ct: Path, result: Path) -> dict[str, float]:
    """What a fresh process does: the class of each voxel of the whole CT, as the bundle's network has it."""
    from liver_seg_ros.files.volumes import read_volume
    from liver_seg_ros.inference.bundle import load_bundle
    from liver_seg_ros.inference.network import load_network
    from liver_seg_ros.progress import Stages, never_cancelled, no_progress

    network = load_network(load_bundle(bundle), "onnxruntime")
    began = time.perf_counter()
    volume = read_volume(ct)
    stages = Stages(no_progress, never_cancelled)
    np.save(result, network.classes(volume.array, volume.geometry, stages, "segment", None, (0.0, 1.0)))
    return {"seconds": time.perf_counter() - began, "peak_mb": peak_mb()}


def _write_phantom(folder: Path, options: argparse.Namespace) -> dict[str, str]:
    from liver_seg_ros.files.volumes import write_labels, write_volume
    from liver_seg_ros.phantom import PhantomOptions, generate_phantom

    size = tuple(map(int, options.size.split(",")))
    spacing = tuple(map(float, options.spacing_mm.split(",")))
    phantom = generate_phantom(SEED, PhantomOptions(size, spacing, phase="portal_venous"))  # type: ignore[arg-type]
    image, labels = folder / "case_0000.nii.gz", folder / "labels.nii.gz"
    write_volume(image, phantom.ct)
    write_labels(labels, phantom.labels)
    return {"image": str(image), "labels": str(labels)}


def _spacing(options: argparse.Namespace) -> list[float]:
    """Of the plans, (k, j, i): a little wider than the CT's."""
    return [round(1.15 * float(length), 2) for length in reversed(options.spacing_mm.split(","))]


def _ask(folder: Path, request: dict[str, Any]) -> list[dict[str, float]]:
    from liver_seg_ros.deploy.tool_environment import NNUNET, tool_python

    paths = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    command = [str(tool_python(NNUNET)), str(_PEER), json.dumps(request)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **paths})
    answers: list[dict[str, float]] = json.loads(done.stderr.splitlines()[-1])
    return answers


if __name__ == "__main__":
    main()
