# SPDX-License-Identifier: Apache-2.0
"""Segmentation and reconstruction against the limits of the machine, and what that predicts for Jetson boards.

    .venv/bin/python benchmarks/roofline.py                      prints Markdown, about two minutes on two cores
    .venv/bin/python benchmarks/roofline.py --write              writes it to benchmarks/roofline.md
    .venv/bin/python benchmarks/roofline.py --size 256,256,150 --spacing-mm 1.5,1.5,2 --runtime onnxruntime

Operations are counted in the ONNX graphs, a multiplication and an addition as two. Bytes of a network are what its
layers read and write if none is fused with another but activations and additions into the convolution before them;
bytes of other stages are their input read once and their output written once. Peaks are measured: a product of two
matrices in float32, a convolution in int8, and a copy. On a machine that does other work besides, measure again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from _machine import machine, usable_cores

CORES = 2
SEED = 9_001  # never trained on
OUTPUT = Path(__file__).with_name("roofline.md")
FP32, FP16, INT8 = 4, 2, 1  # bytes


@dataclass(frozen=True)
class Board:
    """Public peak figures: dense, that is without structured sparsity."""

    name: str
    fp16_tflops: float
    int8_tops: float
    gb_per_s: float
    published: str
    source: str


#: Where the peaks were published. Makers give INT8 with structured sparsity, which these networks have not: half of it
#: is dense, and half of that again FP16.
AGX_ORIN = (
    "GPU at MAXN: NVIDIA, Deep-Learning-Accelerator-SW, https://github.com/NVIDIA/Deep-Learning-Accelerator-SW; "
    "memory: NVIDIA, Jetson AGX Orin Series Technical Brief v1.2"
)
ORIN_NX = (
    "GPU: that of the AGX Orin with 8 of 16 multiprocessors at 918 of 1300 MHz; memory: NVIDIA, Jetson Orin NX Series "
    "datasheet, https://github.com/icub-tech-iit/cad-libraries/files/13056089/JETSON-ORIN-NX-DATASHEET.pdf"
)
ORIN_NANO = (
    "NVIDIA Technical Blog, Jetson Orin Nano Developer Kit Gets a Super Boost, "
    "https://developer.nvidia.com/blog/nvidia-jetson-orin-nano-developer-kit-gets-a-super-boost/"
)
THOR = "NVIDIA, Jetson Thor, https://www.nvidia.com/en-us/autonomous-machines/embedded-systems/jetson-thor/"

BOARDS = (
    Board("Jetson Orin Nano 8GB (Super)", 16.7, 33.5, 102, "67 INT8 TOPS sparse", ORIN_NANO),
    Board("Jetson Orin NX 16GB", 15, 30, 102.4, "60 INT8 TOPS sparse of the GPU alone", ORIN_NX),
    Board("Jetson AGX Orin 64GB", 42.5, 85, 204.8, "170 INT8 TOPS sparse of the GPU alone", AGX_ORIN),
    Board("Jetson AGX Thor (T5000)", 259, 517, 273, "2070 FP4 TFLOPS sparse; INT8 a quarter of it dense", THOR),
)


#: What the table cannot show, since it takes the work of each stage as given.
BEYOND_THE_PEAK = (
    "A network at its peak is made faster by fewer voxels, fewer channels or INT8 alone. The bytes of other stages are",
    "the least that they have to touch: what is far below its peak there is held up by single threads, by Python's",
    "lock and by memory that is read in no order, so that its peak is a bound and not what is to be had.",
)


@dataclass(frozen=True)
class Layer:
    """Per voxel of the network's input, weights left out: they are small and stay in the cache."""

    flops: float
    values: float  # read and written


@dataclass(frozen=True)
class Stage:
    """What a stage did."""

    name: str
    seconds: float
    flops: float
    bytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="512,512,300", help="of the phantom, voxels I,J,K (%(default)s)")
    parser.add_argument("--spacing-mm", default="0.75,0.75,1.0", help="of the phantom, mm I,J,K (%(default)s)")
    parser.add_argument("--models", type=Path, help="folder of the models; the shipped ones if not given")
    parser.add_argument("--runtime", default="auto", help="what runs the networks (%(default)s)")
    parser.add_argument("--precision", default="fp32", help="of the networks (%(default)s)")
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT.name} instead of printing")
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    text = "\n".join(_report(options)) + "\n"
    if options.write:
        OUTPUT.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def _report(options: argparse.Namespace) -> list[str]:
    peaks = {"fp32": gemm_flops(), "int8": int8_flops(), "copy": copy_bytes()}
    name, windows, stages = _measure(options)
    segment = next(stage for stage in stages if stage.name == "segment")
    compute = peaks["int8"] if " int8" in name and peaks["int8"] else peaks["fp32"]
    size, spacing = options.size.replace(",", "x"), options.spacing_mm.replace(",", "x")
    lines = [
        "# Roofline",
        "",
        f"Written by `benchmarks/roofline.py`. Phantom of {size} voxels of {spacing} mm, {name}. {machine()}.",
        "",
        "## Measured peaks",
        "",
        "| what | peak |",
        "| --- | ---: |",
        f"| float32, product of matrices | {peaks['fp32'] / 1e9:.0f} GFLOP/s |",
        *([f"| int8, convolution in OpenVINO | {peaks['int8'] / 1e9:.0f} GOP/s |"] if peaks["int8"] else []),
        f"| memory, copy (read and written) | {peaks['copy'] / 1e9:.1f} GB/s |",
        "",
        "## Stages",
        "",
        "The share is that of the peak which bounds the stage, operations or bytes, whichever takes longer.",
        "",
        "| stage | seconds | GFLOP | GB | GFLOP/s | GB/s | bound by | share of the peak |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    at_peak_s = {}
    for stage in stages:
        by_flops, by_bytes = stage.flops / compute, stage.bytes / peaks["copy"]
        at_peak_s[stage.name] = max(by_flops, by_bytes)
        bound = "operations" if by_flops > by_bytes else "memory"
        rates = f"{stage.flops / stage.seconds / 1e9:.1f} | {stage.bytes / stage.seconds / 1e9:.2f}"
        lines.append(
            f"| {stage.name} | {stage.seconds:.2f} | {stage.flops / 1e9:.1f} | {stage.bytes / 1e9:.2f} | {rates} | "
            f"{bound} | {max(by_flops, by_bytes) / stage.seconds:.0%} |"
        )
    share = max(segment.flops / compute, segment.bytes / peaks["copy"]) / segment.seconds
    layers = layers_of(windows.bundle.weights, windows.shape)
    lines += ["", *_next_factor({stage.name: stage.seconds for stage in stages}, at_peak_s)]
    return [*lines, "", *_predictions(layers, windows.voxels, windows.voxels_in_patches, min(share, 1.0))]


def _next_factor(seconds: dict[str, float], at_peak_s: dict[str, float]) -> list[str]:
    """Which stages would have to be at the machine's limit for the whole to take half of the time."""
    whole, wanted = sum(seconds.values()), sum(seconds.values()) / 2
    gains = {name: max(0.0, seconds[name] - at_peak_s[name]) for name in seconds}
    lines = [
        "## Where the next factor of two lies",
        "",
        f"All stages together take {whole:.2f} s, at their peaks {sum(at_peak_s.values()):.2f} s. What each would give",
        "at its peak, the largest first, and how many times as fast the whole would be with all above it:",
        "",
        "| stage | seconds | at the peak | gained | whole, times as fast |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    gained, needed = 0.0, []
    for name in sorted(gains, key=lambda name: -gains[name]):
        if whole - gained > wanted:
            needed.append(name)
        gained += gains[name]
        faster = whole / max(whole - gained, 1e-9)
        lines.append(f"| {name} | {seconds[name]:.2f} | {at_peak_s[name]:.2f} | {gains[name]:.2f} | {faster:.1f} |")
    enough = (
        f"It lies in {', '.join(needed)}." if whole - gained <= wanted else "No stage has it: only less work gives it."
    )
    return [*lines, "", enough, *BEYOND_THE_PEAK]


def _predictions(layers: list[Layer], voxels: int, voxels_in_patches: int, share: float) -> list[str]:
    """Layer by layer the slower of operations and memory, on each board."""
    lines = [
        "## Predictions, not measurements",
        "",
        "The fine network on other boards, from public peak figures, dense (without structured sparsity): layer by",
        "layer the longer of the times that its operations and its bytes take at these peaks. Nothing reaches the",
        f"first two columns. The third is at the share of the peak that was reached here, {share:.0%}. GPUs reach less",
        "where layers have few channels, so the last column takes a third of the peaks, which is a guess.",
        f"TensorRT takes windows no longer than the patch: {voxels_in_patches / 1e6:.1f} million voxels are run there,",
        f"{voxels / 1e6:.1f} million here. Resampling and postprocessing run on the board's processor and come on top.",
        "",
        "| board | peaks | fp16 at best, ms | int8 at best, ms | fp16 at the share here, ms | fp16 at a third, ms |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for board in BOARDS:

        def milliseconds(per_second: float, width: int, gb_per_s: float = board.gb_per_s) -> float:
            slower = (max(layer.flops / per_second, layer.values * width / (gb_per_s * 1e9)) for layer in layers)
            return sum(slower) * voxels_in_patches * 1e3

        fp16, int8 = milliseconds(board.fp16_tflops * 1e12, FP16), milliseconds(board.int8_tops * 1e12, INT8)
        peaks = f"{board.fp16_tflops:g} TFLOPS fp16, {board.int8_tops:g} TOPS int8, {board.gb_per_s:g} GB/s"
        times = " | ".join(f"{ms:.0f}" for ms in (fp16, int8, fp16 / share, 3 * fp16))
        lines.append(f"| {board.name} | {peaks} ({board.published}) | {times} |")
    lines += ["", "Where these peaks were published:", ""]
    return lines + [f"- {board.name}: {board.source}" for board in BOARDS]


@dataclass(frozen=True)
class FineWindows:
    """What the fine network was run on."""

    bundle: Any
    shape: tuple[int, int, int]
    voxels: int
    voxels_in_patches: int


def _measure(options: argparse.Namespace) -> tuple[str, FineWindows, list[Stage]]:
    """Segment the second time, when libraries are warm, and count what the stages work on."""
    from liver_seg_ros.inference import sliding
    from liver_seg_ros.inference.segmenter import load_default_segmenter
    from liver_seg_ros.inference.windows import choose_windows
    from liver_seg_ros.phantom import PhantomOptions, generate_phantom

    i, j, k = (int(n) for n in options.size.split(","))
    x, y, z = (float(mm) for mm in options.spacing_mm.split(","))
    phantom = generate_phantom(SEED, PhantomOptions((i, j, k), (x, y, z), phase="portal_venous"))
    segmenter = load_default_segmenter(options.models, options.runtime, options.precision)
    segmenter.segment(phantom.ct)
    calls: list[tuple[Any, Any]] = []

    def noted(shape: Any, spec: Any, largest: Any) -> Any:
        calls.append((shape, choose_windows(shape, spec, largest)))
        return calls[-1][1]

    sliding.choose_windows = noted
    result = segmenter.segment(phantom.ct)
    if result.liver_box is None or result.searched or len(segmenter.bundles) != 2:
        raise SystemExit(f"this phantom takes another way than localizer and one segmenter: {result.message}")
    (coarse_shape, coarse), (fine_shape, fine), *_ = calls  # what follows is "further"
    localizer, segmenter_bundle = segmenter.bundles
    seconds, ct, box = result.seconds, phantom.ct.array, prod(result.liver_box.size)
    classes = len(segmenter_bundle.spec.labels)
    patch = segmenter_bundle.spec.input.patch[::-1]
    coarse_layers, fine_layers = (
        layers_of(localizer.weights, coarse.shape),
        layers_of(segmenter_bundle.weights, fine.shape),
    )

    def work(layers: list[Layer], voxels: int) -> tuple[float, float]:
        return sum(layer.flops for layer in layers) * voxels, sum(layer.values for layer in layers) * voxels * FP32

    flops, traffic = work(coarse_layers, coarse.voxels)
    stages = [
        Stage("localize", seconds["localize"], flops, traffic + ct.nbytes + FP32 * prod(coarse_shape)),
        Stage("resample", seconds["resample"], 0.0, box * ct.itemsize + FP32 * prod(fine_shape)),
        Stage("segment", seconds["segment"], *work(fine_layers, fine.voxels)),
        # Between two slices each class of a voxel is multiplied and added twice, and compared.
        Stage("upsample", seconds["upsample"], 5.0 * classes * box, FP32 * classes * prod(fine_shape) + box),
        Stage("postprocess", seconds["postprocess"], 0.0, 2.0 * box),
        *_reconstruction(result.labels),
    ]
    in_patches = choose_windows(fine_shape, segmenter_bundle.spec.input, patch).voxels
    return segmenter.runtime_name, FineWindows(segmenter_bundle, fine.shape, fine.voxels, in_patches), stages


def _reconstruction(labels: Any) -> list[Stage]:
    """Its stages, each of which reads the labelled voxels once and writes what it makes; operations are not counted."""
    from liver_seg_ros.reconstruction.masks import labelled_box
    from liver_seg_ros.reconstruction.pipeline import reconstruct

    reconstruct(labels)
    found = reconstruct(labels)
    voxels = labelled_box(labels).array.nbytes
    made = {
        "surfaces": sum(mesh.vertices_mm.nbytes + mesh.triangles.nbytes for mesh in found.meshes),
        "collision": sum(mesh.vertices_mm.nbytes + mesh.triangles.nbytes for mesh in found.collision_meshes),
        "cloud": found.cloud.points_mm.nbytes,
    }
    return [Stage(name, seconds, 0.0, voxels + made.get(name, 0)) for name, seconds in found.seconds.items()]


def layers_of(weights: Path, window: tuple[int, int, int]) -> list[Layer]:
    """The layers of a network for windows of `window` `(K, J, I)`."""
    model = onnx.load(weights)
    for size, dim in zip((1, 1, *window), model.graph.input[0].type.tensor_type.shape.dim, strict=True):
        dim.ClearField("dim_param")
        dim.dim_value = size
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    } | {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    constants = {tensor.name for tensor in graph.initializer}
    layers = []
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Resize", "Add"):
            continue  # fused into the convolution before or after
        values = [prod(shapes[name]) for name in node.input if name and name not in constants]
        output = prod(shapes[node.output[0]])
        flops = 0.0
        if node.op_type == "Conv":
            flops = 2.0 * output * prod(shapes[node.input[1]][1:])
        elif node.op_type == "ConvTranspose":
            flops = 2.0 * values[0] * prod(shapes[node.input[1]][1:])
        # An addition is fused too: what it adds is read, the rest is counted at the convolution.
        moved = min(values) if node.op_type == "Add" else sum(values) + output
        layers.append(Layer(flops / prod(window), moved / prod(window)))
    if any(layer.values == 0 for layer in layers):
        raise SystemExit(f"the sizes of the layers of {weights} cannot be inferred")
    return layers


def gemm_flops(size: int = 3072) -> float:
    """Operations per second of a product of two matrices in float32."""
    a, b = (np.random.default_rng(n).random((size, size), np.float32) for n in range(2))
    return 2.0 * size**3 / _shortest(lambda: a @ b)


def int8_flops(channels: int = 64, side: int = 64) -> float | None:
    """Operations per second of a 3x3x3 convolution in int8; None without OpenVINO."""
    try:
        import openvino
        from openvino import opset13 as ops
    except ImportError:
        return None
    rng = np.random.default_rng(0)
    image = ops.parameter([1, channels, side, side, side], np.float32)
    low, high = np.float32(0), np.float32(2.55)
    quantized = ops.fake_quantize(image, low, high, low, high, 256)
    weights = rng.uniform(-1, 1, (channels, channels, 3, 3, 3)).astype(np.float32)
    limit = np.float32(1)
    kernel = ops.fake_quantize(ops.constant(weights), -limit, limit, -limit, limit, 255)
    conv = ops.convolution(quantized, kernel, [1] * 3, [1] * 3, [1] * 3, [1] * 3)
    model = openvino.Model([ops.relu(conv)], [image], "peak")
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": usable_cores()})
    values = rng.random((1, channels, side, side, side), np.float32)
    request = compiled.create_infer_request()
    flops = 2.0 * channels * channels * 27 * side**3
    return flops / _shortest(lambda: request.infer({0: values}, share_inputs=True, share_outputs=True))


def copy_bytes(megabytes: int = 256) -> float:
    """Bytes per second, read and written, of copies on all cores at once."""
    sources = [np.ones(megabytes * 1_000_000, np.uint8) for _ in range(usable_cores())]
    targets = [np.empty_like(source) for source in sources]
    with ThreadPoolExecutor(len(sources)) as pool:
        seconds = _shortest(lambda: list(pool.map(np.copyto, targets, sources)))
    return 2.0 * sum(source.nbytes for source in sources) / seconds


def _shortest(work: Callable[[], Any], repeats: int = 7) -> float:
    """Seconds of the fastest of several runs, the first left out."""
    work()
    durations = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        durations.append(time.perf_counter() - began)
    return min(durations)


if __name__ == "__main__":
    main()
