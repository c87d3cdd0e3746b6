# SPDX-License-Identifier: Apache-2.0
"""The whole path, from a CT file to mesh files, on two cores: seconds per stage and peak memory.

    .venv/bin/python benchmarks/whole_path.py                   a phantom of 512x512x300 voxels
    .venv/bin/python benchmarks/whole_path.py --ct CT           another CT
    .venv/bin/python benchmarks/whole_path.py --size 256,256,150 --seed 3

Prints Markdown. The measured work runs in a fresh process that does nothing else and may use two cores; making the
phantom is not part of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _machine import machine

CORES = 2
SEED = 9_001  # never trained on: no recipe may name a seed from 9000 on (training/recipe.py)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ct", type=Path, help="file or DICOM folder; a phantom where not given")
    parser.add_argument("--size", default="512,512,300", help="of the phantom, voxels I,J,K")
    parser.add_argument("--spacing-mm", default="0.75,0.75,1.0", help="of the phantom, mm I,J,K")
    parser.add_argument("--seed", type=int, default=SEED, help="of the phantom")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # what the fresh process does
    options = parser.parse_args()
    _pin_to(CORES)
    with tempfile.TemporaryDirectory() as name:
        if options.measure:
            json.dump(_measure(options.measure, Path(name)), sys.stdout)
            return
        ct = options.ct or _phantom(options, Path(name))
        worker = [sys.executable, __file__, "--measure", str(ct)]
        report = json.loads(subprocess.run(worker, check=True, stdout=subprocess.PIPE, text=True).stdout)
    sys.stdout.write(_markdown(report))


def _pin_to(cores: int) -> None:
    """Leave this process and its children `cores` cores, as the target machine has."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))


def _phantom(options: argparse.Namespace, folder: Path) -> Path:
    command = [sys.executable, "-m", "liver_seg_ros.cli.main", "phantom", "-o", str(folder), "--json"]
    command += [
        "--seed",
        str(options.seed),
        "--size",
        options.size,
        "--spacing-mm",
        options.spacing_mm,
        "--phase",
        "portal_venous",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "ct.nii.gz"


def _measure(ct: Path, output: Path) -> dict[str, Any]:
    """From the file at `ct` to meshes under `output`; imports stand here because they are part of the memory."""
    from liver_seg_ros.files.meshes import write_mesh
    from liver_seg_ros.files.volumes import read_volume
    from liver_seg_ros.inference.segmenter import load_default_segmenter
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.reconstruction.pipeline import reconstruct
    from liver_seg_ros.report import build_report

    stages = Stages()
    with stages.stage("read"):
        volume = read_volume(ct)
    segmentation = load_default_segmenter().segment(volume)
    stages.seconds.update(segmentation.seconds)
    reconstruction = reconstruct(segmentation.labels)
    stages.seconds.update(reconstruction.seconds)
    with stages.stage("write meshes"):
        for mesh in reconstruction.meshes:
            write_mesh(output / f"{mesh.structure.name}.ply", mesh)
    return build_report(
        source=ct.name,
        uid=volume.uid,
        geometry=volume.geometry,
        measurements=reconstruction.measurements,
        seconds=stages.seconds,
        message=segmentation.message,
    ).to_dict()


def _markdown(report: dict[str, Any]) -> str:
    size = "x".join(map(str, report["geometry"]["size"]))
    spacing = "x".join(f"{s:g}" for s in report["geometry"]["spacing_mm"])
    rows = [f"| {stage} | {seconds:.2f} |" for stage, seconds in report["seconds"].items()]
    triangles = sum(s["triangles"] or 0 for s in report["structures"].values())
    return "\n".join(
        [
            f"{size} voxels of {spacing} mm, from file to meshes ({triangles} triangles). {machine()}.",
            "",
            "| stage | seconds |",
            "| --- | ---: |",
            *rows,
            f"| **all** | **{sum(report['seconds'].values()):.2f}** |",
            "",
            f"Peak memory: {report['peak_memory_mb'] / 1000:.2f} GB.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
