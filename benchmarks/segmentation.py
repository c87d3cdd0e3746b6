# SPDX-License-Identifier: Apache-2.0
"""Segmentation against MONAI's sliding windows in PyTorch: the same weights, the same CT, the same run, two cores.

    .venv/bin/python benchmarks/segmentation.py                     a phantom of 512x512x300 voxels, about six minutes
    .venv/bin/python benchmarks/segmentation.py --size 256,256,150 --spacing-mm 1.5,1.5,2 --slices 75,300
    .venv/bin/python benchmarks/segmentation.py --parts runtimes,cold      of baseline, runtimes, growth and cold

Prints Markdown. The baseline runs the fine network eagerly in float32 over the whole CT at the network's spacing, in
windows of 128x128x128 voxels that overlap by half, with MONAI's `sliding_window_inference`, brings the logits of all
classes to the CT's grid, and takes the arg-max. It resamples the CT and cleans the labels as we do, so that windows,
runtimes and grids are what is compared. Every run is a fresh process that reads the CT from a file; making that file is
not part of it.
"Growth" is the same body in more and thinner slices. "MB above" is peak memory less that of the CT and its labels.
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

CORES = 2
SEED = 9_001  # never trained on
BASELINE_WINDOW, BASELINE_OVERLAP = (128, 128, 128), 0.5
PARTS = ("baseline", "runtimes", "growth", "cold")
STRUCTURES = ("liver", "tumor", "vessel")
LARGEST_LOSS = 0.005


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="512,512,300", help="of the phantom, voxels I,J,K (%(default)s)")
    parser.add_argument("--spacing-mm", default="0.75,0.75,1.0", help="of the phantom, mm I,J,K (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the phantom (%(default)s)")
    parser.add_argument("--models", type=Path, help="folder of the models; the shipped ones if not given")
    parser.add_argument("--slices", default="100,300,600,1000", help="of the growth (%(default)s)")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure (%(default)s)")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)  # what a fresh process does
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    if options.run:
        kind, *arguments = options.run
        json.dump(_RUNS[kind](options.models, *arguments), sys.stdout)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_phantom(folder, options)
        _heading(options)
        parts = options.parts.split(",")
        if "baseline" in parts or "runtimes" in parts:
            _compare(folder, options.models, "baseline" in parts, "runtimes" in parts)
        if "growth" in parts:
            _growth(folder, options.models, [int(n) for n in options.slices.split(",")])
        if "cold" in parts:
            _cold_start(folder, options.models)


def _compare(folder: Path, models: Path | None, with_baseline: bool, all_runtimes: bool) -> None:
    """Ours in each runtime and number format, or as chosen automatically; the baseline last, it takes minutes."""
    names = _fresh(models, "choices") if all_runtimes else [["auto", "auto"]]
    runs: dict[str, dict[str, Any]] = {}
    for runtime, precision in names:
        run = _fresh(models, "ours", str(folder / "ct.npz"), runtime, precision, str(folder / f"{runtime}-{precision}"))
        runs[run["name"]] = run
    if with_baseline:
        runs["baseline"] = _fresh(models, "baseline", str(folder / "ct.npz"), str(folder / "baseline"))
    stages = list(dict.fromkeys(stage for run in runs.values() for stage in run["seconds"] if stage != "load"))
    _table(
        ["seconds", *runs],
        [[stage, *(_number(run["seconds"].get(stage)) for run in runs.values())] for stage in stages],
    )
    totals = {
        name: sum(seconds for stage, seconds in run["seconds"].items() if stage != "load") for name, run in runs.items()
    }
    rows = [["all", *(f"**{total:.2f}**" for total in totals.values())]]
    if with_baseline:
        rows.append(["times as fast", *(f"{totals['baseline'] / total:.1f}" for total in totals.values())])
        rows.append(
            [
                "of its network alone",
                *(f"{runs['baseline']['seconds']['segment'] / total:.1f}" for total in totals.values()),
            ]
        )
    rows.append(["load", *(_number(run["seconds"].get("load")) for run in runs.values())])
    rows.append(["peak memory, GB", *(f"{run['peak_mb'] / 1000:.2f}" for run in runs.values())])
    rows.append(["million voxels run", *(f"{run['voxels'] / 1e6:.1f}" for run in runs.values())])
    for structure in STRUCTURES:
        rows.append([f"Dice, {structure}", *(f"{run['dice'][structure]:.4f}" for run in runs.values())])
    if with_baseline:
        against = {name: _dice_between(run["labels"], runs["baseline"]["labels"]) for name, run in runs.items()}
        for structure in STRUCTURES:
            rows.append([f"Dice with the baseline, {structure}", *(f"{d[structure]:.4f}" for d in against.values())])
        losses = [max(runs["baseline"]["dice"][s] - run["dice"][s] for s in STRUCTURES) for run in runs.values()]
        rows.append(
            ["largest loss of Dice", *(f"{loss:+.4f}{'' if loss <= LARGEST_LOSS else ' (!)'}" for loss in losses)]
        )
    _table(["", *runs], rows)


def _growth(folder: Path, models: Path | None, counts: list[int]) -> None:
    rows = []
    for count in counts:
        path = _with_slices(folder, count)
        run = _fresh(models, "ours", str(path), "auto", "auto", str(folder / "grown"))
        seconds = sum(s for stage, s in run["seconds"].items() if stage != "load")
        rows.append(
            [str(count), f"{seconds:.2f}", f"{run['peak_mb'] / 1000:.2f}", f"{run['peak_mb'] - run['data_mb']:.0f}"]
        )
        path.unlink()
    _table(["slices", "seconds", "peak memory, GB", "MB above"], rows)


def _cold_start(folder: Path, models: Path | None) -> None:
    started = time.time()
    run = _fresh(models, "cold", str(folder / "ct.npz"))
    rows = [
        ["Python has started", f"{run['python'] - started:.2f}"],
        ["the package is imported", f"{run['imported'] - started:.2f}"],
        ["ready to segment", f"{run['ready'] - started:.2f}"],
        ["first labels", f"{run['first'] - started - run['reading']:.2f}"],
        ["second labels, from the first", f"{run['second'] - run['first']:.2f}"],
    ]
    _table(["cold start, the CT already in memory", "seconds"], rows)
    sys.stdout.write(f"PyTorch imported: {'yes' if run['torch'] else 'no'}.\n")


def _fresh(models: Path | None, *arguments: str) -> Any:
    """What `_RUNS` gives in a process of its own."""
    command = [sys.executable, __file__, *(["--models", str(models)] if models else []), "--run", *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _run_choices(models: Path | None) -> list[tuple[str, str]]:
    """Every runtime and number format that runs all models here."""
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.inference.bundle import PRECISIONS, load_bundle
    from liver_seg_ros.inference.model_folders import find_models_dir, model_folders
    from liver_seg_ros.inference.runtimes.choice import RUNTIMES, choose

    bundles = [load_bundle(folder) for folder in model_folders(find_models_dir(models))]
    found = []
    for runtime in RUNTIMES:
        for precision in PRECISIONS:
            try:
                for bundle in bundles:
                    choose(runtime, bundle, precision)
            except InputError:
                continue
            found.append((runtime, precision))
    return found


def _run_ours(models: Path | None, ct: str, runtime: str, precision: str, output: str) -> dict[str, Any]:
    from liver_seg_ros.inference import sliding
    from liver_seg_ros.inference.segmenter import load_default_segmenter
    from liver_seg_ros.report import peak_memory_mb

    volume, truth = _read(ct)
    segmenter = load_default_segmenter(models, runtime, precision)
    voxels, choose_windows = [0], sliding.choose_windows

    def counted(*arguments: Any) -> Any:
        windows = choose_windows(*arguments)
        voxels[0] += windows.voxels
        return windows

    sliding.choose_windows = counted
    result = segmenter.segment(volume)
    peak_mb = peak_memory_mb()
    return {
        "name": segmenter.runtime_name.partition(" (")[0],
        "seconds": result.seconds,
        "peak_mb": peak_mb,
        "data_mb": (volume.array.nbytes + result.labels.array.nbytes) / 1e6,
        "voxels": voxels[0],
        "dice": _dice(result.labels.array, truth()),
        "labels": _written(result.labels.array, output),
    }


def _run_baseline(models: Path | None, ct: str, output: str) -> dict[str, Any]:
    """MONAI's way with the fine network alone; windows, logits and labels of the whole CT."""
    import torch
    from _onnx_in_torch import OnnxInTorch
    from monai.inferers import sliding_window_inference

    from liver_seg_ros.inference.bundle import load_bundle
    from liver_seg_ros.inference.model_folders import SEGMENTER, find_models_dir
    from liver_seg_ros.inference.postprocessing import clean_labels
    from liver_seg_ros.inference.preprocessing import normalize
    from liver_seg_ros.inference.resampling import resample_to_spacing
    from liver_seg_ros.progress import Stages, never_cancelled, no_progress
    from liver_seg_ros.report import peak_memory_mb

    torch.set_num_threads(CORES)
    volume, truth = _read(ct)
    stages = Stages(no_progress, never_cancelled)
    with stages.timed("load"):
        bundle = load_bundle(find_models_dir(models) / SEGMENTER)
        network = OnnxInTorch(bundle.weights).eval()
    voxels = [0]

    def counted(batch: torch.Tensor) -> torch.Tensor:
        voxels[0] += batch.numel()
        answer: torch.Tensor = network(batch)
        return answer

    with torch.inference_mode():
        with stages.timed("resample"):
            hu, _ = resample_to_spacing(volume.array, volume.geometry, bundle.spec.input.spacing_mm)
            if bundle.spec.values == "normalized":
                hu = normalize(hu, bundle.spec.input.hu_window)
            image = torch.from_numpy(hu)[None, None]
        with stages.timed("segment"):
            logits = sliding_window_inference(
                image, BASELINE_WINDOW, 1, counted, overlap=BASELINE_OVERLAP, mode="gaussian"
            )
        with stages.timed("upsample"):
            full = torch.nn.functional.interpolate(logits, size=volume.array.shape, mode="trilinear")
            labels = full.argmax(dim=1)[0].to(torch.uint8).numpy()
            del full, logits
    with stages.timed("postprocess"):
        labels = clean_labels(labels, volume.geometry, bundle.spec.postprocessing)
    return {
        "seconds": stages.seconds,
        "peak_mb": peak_memory_mb(),
        "data_mb": (volume.array.nbytes + labels.nbytes) / 1e6,
        "voxels": voxels[0],
        "dice": _dice(labels, truth()),
        "labels": _written(labels, output),
    }


def _run_cold(models: Path | None, ct: str) -> dict[str, Any]:
    python = time.time()
    from liver_seg_ros.inference.segmenter import load_default_segmenter

    imported = time.time()
    segmenter = load_default_segmenter(models)
    ready = time.time()
    volume, _ = _read(ct)
    read = time.time()
    segmenter.segment(volume)
    first = time.time()
    segmenter.segment(volume)
    second = time.time()
    return {
        "python": python,
        "imported": imported,
        "ready": ready,
        "reading": read - ready,
        "first": first,
        "second": second,
        "torch": "torch" in sys.modules,
    }


def _write_phantom(folder: Path, options: argparse.Namespace) -> None:
    """In a process of its own, so that others do not start with what its memory was."""
    arguments = [str(options.seed), options.size, options.spacing_mm, str(folder / "ct.npz")]
    _fresh(None, "phantom", *arguments)


def _run_phantom(models: Path | None, seed: str, size: str, spacing_mm: str, path: str) -> None:
    from liver_seg_ros.phantom import PhantomOptions, generate_phantom

    i, j, k = (int(n) for n in size.split(","))
    x, y, z = (float(mm) for mm in spacing_mm.split(","))
    phantom = generate_phantom(int(seed), PhantomOptions((i, j, k), (x, y, z), phase="portal_venous"))
    geometry = phantom.ct.geometry
    hu, truth = phantom.ct.array, phantom.labels.array
    np.savez(path, hu=hu, truth=truth, spacing=geometry.spacing_mm, origin=geometry.origin_mm)


def _with_slices(folder: Path, count: int) -> Path:
    """The same body in `count` slices, each of them the nearest of the phantom's."""
    with np.load(folder / "ct.npz") as phantom:
        hu, truth, spacing, origin = (phantom[name] for name in ("hu", "truth", "spacing", "origin"))
    nearest = ((np.arange(count) + 0.5) * len(hu) / count).astype(int)
    spacing[2] *= len(hu) / count
    path = folder / f"ct{count}.npz"
    np.savez(path, hu=hu[nearest], truth=truth[nearest], spacing=spacing, origin=origin)
    return path


def _read(ct: str) -> tuple[Any, Any]:
    """The volume, and how to get the truth: after the memory was measured."""
    from liver_seg_ros.geometry import Geometry
    from liver_seg_ros.volume import Volume

    with np.load(ct) as phantom:
        hu, spacing, origin = phantom["hu"], tuple(phantom["spacing"]), tuple(phantom["origin"])
    geometry = Geometry(hu.shape[::-1], spacing, origin)

    def truth() -> Any:
        with np.load(ct) as phantom:
            return phantom["truth"]

    return Volume(hu, geometry, "phantom"), truth


def _dice(labels: Any, truth: Any) -> dict[str, float]:
    from liver_seg_ros.evaluation.dice import dice
    from liver_seg_ros.geometry import Geometry
    from liver_seg_ros.volume import LabelVolume

    geometry = Geometry(labels.shape[::-1])
    return dice(LabelVolume(labels, geometry), LabelVolume(truth, geometry))


def _dice_between(labels: str, others: str) -> dict[str, float]:
    return _dice(np.load(labels), np.load(others))


def _written(labels: Any, output: str) -> str:
    np.save(f"{output}.npy", labels)
    return f"{output}.npy"


_RUNS = {
    "phantom": _run_phantom,
    "choices": _run_choices,
    "ours": _run_ours,
    "baseline": _run_baseline,
    "cold": _run_cold,
}


def _heading(options: argparse.Namespace) -> None:
    from importlib.metadata import version

    size, spacing = options.size.replace(",", "x"), options.spacing_mm.replace(",", "x")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "monai", "openvino", "onnxruntime"))
    sys.stdout.write(f"Phantom {options.seed}: {size} voxels of {spacing} mm. {machine()}; {libraries}.\n")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _table(heading: list[str], rows: list[list[str]]) -> None:
    lines = [heading, ["---", *(["---:"] * (len(heading) - 1))], *rows]
    sys.stdout.write("\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
