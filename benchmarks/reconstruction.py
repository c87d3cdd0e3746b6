# SPDX-License-Identifier: Apache-2.0
"""Reconstruction against the naive pipeline: the same labels, the same outputs, the same run, two cores.

    .venv/bin/python benchmarks/reconstruction.py                     a phantom of 512x512x400 voxels
    .venv/bin/python benchmarks/reconstruction.py --size 256,256,200 --spacing-mm 1.5,1.5,2 --seed 9203
    .venv/bin/python benchmarks/reconstruction.py --ours-only

Prints Markdown: seconds per stage, peak memory above that of the labels, and how far each mesh is from the phantom's
exact surface. Each pipeline runs in a fresh process that reads the labels from a file; making the phantom is not part
of it.
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

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import SEGMENTED
from liver_seg_ros.report import peak_memory_mb
from liver_seg_ros.volume import LabelVolume

CORES = 2
SEED = 9_200  # never trained on
COLLISION_MARGIN_MM = 3.0  # the default
#: Stage of the table -> stages of the two pipelines that it sums.
PIPELINES = ("naive", "ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="512,512,400", help="of the phantom, voxels I,J,K (%(default)s)")
    parser.add_argument("--spacing-mm", default="0.75,0.75,0.8", help="of the phantom, mm I,J,K (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the phantom (%(default)s)")
    parser.add_argument("--ours-only", action="store_true", help="without the naive pipeline, which takes minutes")
    parser.add_argument("--run", nargs=2, metavar=("PIPELINE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    if options.run:
        pipeline, folder = options.run
        json.dump(_run(pipeline, Path(folder)), sys.stdout)
        return
    from liver_seg_ros.phantom import PhantomOptions, generate_phantom

    size, spacing = _triple(options.size, int), _triple(options.spacing_mm, float)
    phantom = generate_phantom(options.seed, PhantomOptions(size=size, spacing_mm=spacing, tumor_count=5))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "labels.npy", phantom.labels.array)
        geometry = phantom.labels.geometry
        (folder / "geometry.json").write_text(json.dumps([geometry.size, geometry.spacing_mm, geometry.origin_mm]))
        runs = {}
        for pipeline in ("ours",) if options.ours_only else PIPELINES:
            command = [sys.executable, __file__, "--run", pipeline, name]
            runs[pipeline] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        sys.stdout.write(_markdown(phantom, runs, folder))


def _triple(text: str, kind: type) -> Any:
    return tuple(kind(part) for part in text.split(","))


def _run(pipeline: str, folder: Path) -> dict[str, Any]:
    """In the fresh process: read the labels, run, write the meshes; returns seconds and memory."""
    size, spacing, origin = json.loads((folder / "geometry.json").read_text())
    labels = LabelVolume(np.load(folder / "labels.npy"), Geometry(size, spacing, origin))
    run = _naive if pipeline == "naive" else _ours
    before_mb = peak_memory_mb()
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    meshes, collision = run(labels, seconds)
    total = time.perf_counter() - start
    memory_mb = peak_memory_mb() - before_mb
    for kind, found in (("visual", meshes), ("collision", collision)):
        for name, (vertices, triangles) in found.items():
            np.savez(folder / f"{pipeline}-{kind}-{name}.npz", vertices=vertices, triangles=triangles)
    return {"seconds": seconds, "total": total, "memory_mb": memory_mb}


def _naive(labels: LabelVolume, seconds: dict[str, float]) -> tuple[dict[str, Any], dict[str, Any]]:
    from _naive_reconstruction import reconstruct_naively

    found = reconstruct_naively(labels, COLLISION_MARGIN_MM, seconds)
    return found["meshes"], found["collision"]


def _ours(labels: LabelVolume, seconds: dict[str, float]) -> tuple[dict[str, Any], dict[str, Any]]:
    from liver_seg_ros.planning.anatomy import prepare_anatomy
    from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct

    result = reconstruct(labels, ReconstructionOptions(collision_margin_mm=COLLISION_MARGIN_MM))
    seconds |= result.seconds
    start = time.perf_counter()
    prepare_anatomy(labels, result)
    seconds["distance fields"] = time.perf_counter() - start
    visual, collision = (
        {mesh.structure.name: (mesh.vertices_mm, mesh.triangles) for mesh in meshes}
        for meshes in (result.meshes, result.collision_meshes)
    )
    return visual, collision


def _markdown(phantom: Any, runs: dict[str, Any], folder: Path) -> str:
    from _surface_error import Truth

    geometry = phantom.labels.geometry
    size, spacing = ("x".join(f"{n:g}" for n in values) for values in (geometry.size, geometry.spacing_mm))
    lines = [
        f"Synthetic labels, phantom {phantom.seed}: {size} voxels of {spacing} mm. {machine()}.",
        "",
        "| pipeline | stage | seconds |",
        "| --- | --- | ---: |",
    ]
    for pipeline, run in runs.items():
        lines += [f"| {pipeline} | {stage} | {seconds:.2f} |" for stage, seconds in run["seconds"].items()]
        lines.append(f"| **{pipeline}** | **all** | **{run['total']:.2f}** |")
    lines += ["", "| pipeline | peak memory above the labels, GB |", "| --- | ---: |"]
    lines += [f"| {pipeline} | {run['memory_mb'] / 1000:.2f} |" for pipeline, run in runs.items()]
    if len(runs) == len(PIPELINES):
        naive, ours = (runs[pipeline] for pipeline in PIPELINES)
        ratio, share = naive["total"] / ours["total"], ours["memory_mb"] / naive["memory_mb"]
        lines += ["", f"{ratio:.1f} times as fast with {share:.2f} of the memory."]
    lines += [
        "",
        "| structure | pipeline | triangles | watertight | parts | volume | mean mm | 95 % mm |",
        "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for structure in SEGMENTED:
        truth = Truth(phantom, structure)
        for pipeline in runs:
            with np.load(folder / f"{pipeline}-visual-{structure.name}.npz") as mesh:
                error = truth.error(mesh["vertices"], mesh["triangles"])
            lines.append(
                f"| {structure.name} | {pipeline} | {error.triangles} | {'yes' if error.watertight else 'no'} | "
                f"{error.parts} | {error.volume_error:+.2%} | {error.mean_mm:.3f} | {error.percentile_95_mm:.3f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
