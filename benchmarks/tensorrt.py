# SPDX-License-Identifier: Apache-2.0
"""What TensorRT does with the shipped networks on the GPU at hand; in one command, on any workstation or Jetson.

    python benchmarks/tensorrt.py                                    shipped models, all of their variants
    python benchmarks/tensorrt.py --bundle my/model --windows 40
    python benchmarks/tensorrt.py --write-reference reference.npz    where there is ONNX Runtime, also without a GPU
    python benchmarks/tensorrt.py --reference reference.npz          where there is none

Needs the package, numpy, PyYAML and the Python packages of TensorRT (or TensorRT-RTX) and CUDA; the whole path of a CT
is timed too where the package's other dependencies are installed. Prints Markdown:

- of each network and number format: the seconds to build its engine and to load it from the cache, the first window, a
  window after that, with the copies beside the work or after it, with CUDA graphs (TensorRT-RTX) or without, GPU memory
  taken;
- how far its logits and labels are from those of ONNX Runtime in fp32 on the same windows, voxel by voxel.

The windows are made of numbers that a seed gives, no phantom and no patient: good for times and for the comparison of
two runtimes, and for nothing else.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from _machine import machine
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle
from liver_seg_ros.inference.runtimes import tensorrt
from liver_seg_ros.inference.runtimes.base import LoadOptions

MODELS = Path(__file__).resolve().parents[1] / "models"
#: Windows that are compared; times are taken over `--windows`.
COMPARED = 2
HEAD = (
    "network", "numbers", "build s", "cached s", "first ms", "window ms", "not overlapped", "no graphs", "Mvoxel/s",
    "GPU MB", "logits off", "labels differ", "Dice least",
)  # fmt: skip


def main() -> int:
    # NVIDIA's `tensorrt` is imported later, and Python would find this file first.
    sys.path = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parent]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, nargs="*", default=[], help="instead of the shipped models")
    parser.add_argument("--windows", type=int, default=20, help="that are timed (%(default)s)")
    parser.add_argument("--window", type=int, default=96, help="edge in voxels (%(default)s), a multiple of 16")
    parser.add_argument("--reference", type=Path, help="logits of ONNX Runtime, written by --write-reference")
    parser.add_argument("--write-reference", type=Path, help="write them, and end")
    options = parser.parse_args()
    folders = options.bundle or sorted(path.parent for path in MODELS.glob("*/model.yaml"))
    bundles = [load_bundle(folder) for folder in folders]
    if options.write_reference:
        logits = {bundle.spec.name: _by_onnxruntime(bundle, options.window) for bundle in bundles}
        np.savez_compressed(options.write_reference, **logits)
        sys.stdout.write(f"wrote {options.write_reference}\n")
        return 0
    if (reason := tensorrt.unavailable()) is not None:
        sys.stderr.write(f"TensorRT cannot run here: {reason}\n")
        return 1
    sys.stdout.write(
        f"{_gpu()}. {machine()}.\n\n| {' | '.join(HEAD)} |\n|{' --- |' * 2}{' ---: |' * (len(HEAD) - 2)}\n"
    )
    for bundle in bundles:
        expected = _reference(bundle, options)
        for variant in (None, *(name for name, v in bundle.spec.variants.items() if "tensorrt" in v.runtimes)):
            try:
                cells = _row(bundle, variant, expected, options)
            except InputError as error:
                cells = [bundle.spec.name, bundle.precision_of(variant), f"refused: {error}"]
                cells += [""] * (len(HEAD) - len(cells))
            sys.stdout.write(f"| {' | '.join(cells)} |\n")
            sys.stdout.flush()
    sys.stdout.write(
        "\nSeconds and milliseconds as measured; *not overlapped* and *no graphs* are ratios to *window ms*.\n"
        f"*Logits off*: the largest difference on {COMPARED} windows and, in brackets, the 99.9th percentile; *labels "
        "differ*: share of voxels.\n"
    )
    return _whole_path()


def _row(bundle: ModelBundle, variant: str | None, expected: NDArray | None, options: argparse.Namespace) -> list[str]:
    with tempfile.TemporaryDirectory() as cache:
        load = LoadOptions(cache_dir=Path(cache))
        before = _gpu_bytes()
        runtime, build_s = _timed(lambda: tensorrt.load(bundle, variant, load))
        runtime.close()
        runtime, cached_s = _timed(lambda: tensorrt.load(bundle, variant, load))
        try:
            windows = list(_windows(bundle, options.window, options.windows))
            _, first_s = _timed(lambda: runtime.run(windows[0]))
            for _ in runtime.run_sequence(windows[:3]):
                pass  # both sets of buffers have run
            overlapped_s = _timed(lambda: [None for _ in runtime.run_sequence(windows)])[1] / len(windows)
            apart_s = _timed(lambda: [runtime.run(window) for window in windows])[1] / len(windows)
            taken = before - _gpu_bytes()
            found = np.concatenate([runtime.run(window) for window in windows[:COMPARED]])
        finally:
            runtime.close()
        without, _ = _timed(lambda: tensorrt.load(bundle, variant, replace(load, cuda_graphs=False)))
        try:
            for _ in without.run_sequence(windows[:3]):
                pass
            plain_s = _timed(lambda: [None for _ in without.run_sequence(windows)])[1] / len(windows)
        finally:
            without.close()
    voxels = options.window**3
    return [
        bundle.spec.name,
        runtime.precision,
        f"{build_s:.1f}",
        f"{cached_s:.2f}",
        f"{first_s * 1e3:.1f}",
        f"{overlapped_s * 1e3:.2f}",
        f"{apart_s / overlapped_s:.2f}x",
        f"{plain_s / overlapped_s:.2f}x",
        f"{voxels / overlapped_s / 1e6:.0f}",
        f"{taken / 1e6:.0f}",
        *_compared(found, expected),
    ]


def _compared(found: NDArray, expected: NDArray | None) -> list[str]:
    if expected is None:
        return ["no reference"] * 3
    off = np.abs(found.astype(np.float32) - expected.astype(np.float32))
    ours, theirs = found.argmax(axis=1), expected.argmax(axis=1)
    dice = [
        2 * np.count_nonzero((ours == label) & (theirs == label)) / (both or 1)
        for label in range(1, found.shape[1])
        if (both := np.count_nonzero(ours == label) + np.count_nonzero(theirs == label))
    ]
    return [
        f"{off.max():.3g} ({np.quantile(off, 0.999):.3g})",
        f"{np.mean(ours != theirs):.2e}",
        f"{min(dice):.4f}" if dice else "none there",
    ]


def _reference(bundle: ModelBundle, options: argparse.Namespace) -> NDArray | None:
    if options.reference:
        logits: NDArray = np.load(options.reference)[bundle.spec.name]
        return logits
    try:
        return _by_onnxruntime(bundle, options.window)
    except ModuleNotFoundError:
        return None


def _by_onnxruntime(bundle: ModelBundle, edge: int) -> NDArray:
    """`(COMPARED, classes, K, J, I)` float16 logits of the plain weights."""
    from liver_seg_ros.inference.runtimes import onnxruntime

    runtime = onnxruntime.load(bundle)
    answers = [runtime.run(window) for window in _windows(bundle, edge, COMPARED)]
    return np.concatenate(answers).astype(np.float16)


def _windows(bundle: ModelBundle, edge: int, count: int) -> Iterator[NDArray[np.float32]]:
    """`(1, 1, K, J, I)` as the bundle wants its values: an organ with dark balls and bright rods in it, and noise."""
    rng = np.random.default_rng(0)
    k, j, i = np.ogrid[-1 : 1 : edge * 1j, -1 : 1 : edge * 1j, -1 : 1 : edge * 1j]
    for _ in range(count):
        hu = np.full((edge,) * 3, -90.0)
        hu[k**2 + (1.3 * j) ** 2 + i**2 < 0.8] = 105.0
        for _ in range(3):
            z, y, x = rng.uniform(-0.6, 0.6, 3)
            hu[(k - z) ** 2 + (j - y) ** 2 + (i - x) ** 2 < rng.uniform(0.05, 0.2) ** 2] = 60.0
            hu[np.broadcast_to((j - y - 0.3 * i) ** 2 + (k - z) ** 2 < 0.04**2, hu.shape)] = 175.0
        hu += rng.normal(0, 12, hu.shape)
        if bundle.spec.values == "normalized":
            low, high = bundle.spec.input.hu_window
            hu = (hu - (low + high) / 2) * 2 / (high - low)
        yield hu[None, None].astype(np.float32)


def _timed(work):
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def _gpu_bytes() -> int:
    """Free memory of the GPU."""
    from cuda.bindings import runtime

    _, free, _ = runtime.cudaMemGetInfo()
    return int(free)


def _gpu() -> str:
    from liver_seg_ros.inference.runtimes.tensorrt.cuda import Device
    from liver_seg_ros.inference.runtimes.tensorrt.library import load_tensorrt, version_of

    device = Device()
    name = device.gpu.name
    device.close()
    trt = load_tensorrt()
    return f"{name}, {version_of(trt)}"


def _whole_path() -> int:
    """Segment a phantom by TensorRT and by ONNX Runtime, where what that needs is installed."""
    try:
        from liver_seg_ros.inference.segmenter import load_default_segmenter
        from liver_seg_ros.phantom.generator import generate_phantom
        from liver_seg_ros.phantom.phantom_options import PhantomOptions
    except ModuleNotFoundError as error:
        sys.stdout.write(f"\nThe whole path was not timed: {error.name} is not installed.\n")
        return 0
    ct = generate_phantom(9004, PhantomOptions(size=(512, 512, 300), spacing_mm=(0.75, 0.75, 1.0))).ct
    seconds = {}
    cache = Path(tempfile.mkdtemp())
    try:
        for name in ("tensorrt", "onnxruntime"):
            try:
                segmenter = load_default_segmenter(runtime=name, options=LoadOptions(cache_dir=cache))
            except InputError as error:
                sys.stdout.write(f"\nThe whole path was not timed: {error}\n")
                return 1
            segmenter.segment(ct)
            _, seconds[name] = _timed(lambda segmenter=segmenter: segmenter.segment(ct))
    finally:
        shutil.rmtree(cache)
    ratio = seconds["onnxruntime"] / seconds["tensorrt"]
    sys.stdout.write(f"\nA phantom of 512x512x300 (synthetic) is segmented in {seconds['tensorrt']:.2f} s, ")
    sys.stdout.write(f"{ratio:.1f}x as fast as by ONNX Runtime on the processor in the same run.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
