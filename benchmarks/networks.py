# SPDX-License-Identifier: Apache-2.0
"""The table of docs/networks.md: what each network of the registry costs, measured at the size that its paper feeds.

    .venv/bin/python benchmarks/networks.py                          every network, hours on a few cores
    .venv/bin/python benchmarks/networks.py --only student unet2d    these alone
    .venv/bin/python benchmarks/networks.py --keep build/networks.json --first time    to be stopped and gone on with

Prints Markdown, a row as soon as it is measured. Each measurement runs in a process of its own: its peak memory is its
own, and a network that needs more memory or time than there is says so in its cell. With --keep, what is measured is
kept in a file, and a run that was stopped goes on where it was; --first does one measurement of every network before
the others, so that what a busy machine spoils is measured while it is quiet.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from _machine import machine, usable_cores
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.deploy.graph import TOLERANCES
from liver_seg_ros.deploy.onnx_export import export_onnx, open_session, parity_error
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.runtimes.tensorrt.build import ShapeRange, build_engine
from liver_seg_ros.inference.runtimes.tensorrt.library import EngineError
from liver_seg_ros.networks import NETWORKS, create_network

COLUMNS = (
    "network",
    "source",
    "input",
    "parameters, M",
    "paper's, M",
    "GFLOPs",
    "ms on the CPU",
    "training, GB",
    "ONNX parity",
    "TensorRT",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these networks; all if not given")
    parser.add_argument("--minutes", type=float, default=30, help="for one measurement at most (%(default)s)")
    parser.add_argument("--memory-gb", type=float, default=0.9 * _free_gb(), help="for one measurement (%(default).0f)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="JSON of what was measured, not repeated")
    parser.add_argument("--first", choices=MEASUREMENTS, help="measure this of every network before the rest")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)  # what a process of its own does
    options = parser.parse_args()
    names = options.only or sorted(NETWORKS)
    unknown = sorted(set(names) - set(NETWORKS))
    if unknown:
        parser.error(f"unknown network {', '.join(unknown)}; there are: {', '.join(sorted(NETWORKS))}")
    if options.measure:
        sys.stdout.write(json.dumps(MEASUREMENTS[options.measure](names[0])) + "\n")
        return
    sys.stdout.write(f"{machine()}, PyTorch {torch.__version__}, {options.memory_gb:.0f} GB at most.\n\n")
    sys.stdout.write(f"| {' | '.join(COLUMNS)} |\n| --- | --- | --- {'| ---: ' * (len(COLUMNS) - 4)}| --- |\n")
    kept: dict[str, dict[str, str]] = {}
    if options.keep and options.keep.exists():
        kept = json.loads(options.keep.read_text(encoding="utf-8"))

    def measure(what: str, name: str) -> None:
        cells = kept.setdefault(name, {})
        if not cells.keys() >= set(_KEYS[what]):
            cells |= _in_a_process(what, name, options.minutes, options.memory_gb)
            if options.keep:
                with written_beside(options.keep) as file:
                    file.write_text(json.dumps(kept, indent=1), encoding="utf-8")

    if options.first:
        for name in names:
            measure(options.first, name)
    for name in names:
        for what in MEASUREMENTS:
            measure(what, name)
        sys.stdout.write(_row(name, kept[name]))
        sys.stdout.flush()


def _counts(name: str) -> dict[str, str]:
    """Parameters and operations, from shapes alone; a multiplication and an addition count as two operations."""
    with torch.device("meta"):
        network, images = _network(name).eval(), _images(name)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(*images)
    parameters = sum(p.numel() for p in network.parameters())
    return {"parameters": f"{parameters / 1e6:.2f}", "flops": f"{counter.get_total_flops() / 1e9:,.0f}"}


@torch.no_grad()
def _time(name: str) -> dict[str, str]:
    """Median of three evaluations after a first one, by PyTorch on all cores; of fewer where they take a minute."""
    network, images = _network(name).eval(), _images(name)
    times: list[float] = []
    while len(times) < 4 and (len(times) < 2 or sum(times) < 60):
        start = time.perf_counter()
        network(*images)
        times.append(time.perf_counter() - start)
    return {"time": f"{statistics.median(times[1:]) * 1000:,.0f}"}


def _memory(name: str) -> dict[str, str]:
    """Largest resident memory of a process that takes a step of Adam on one input, all outputs supervised."""
    network, images = _network(name).train(), _images(name)
    optimizer = torch.optim.Adam(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # from here on it has its moments, as in every step of a training but the first
    optimizer.zero_grad()
    outputs = getattr(network, "outputs", network)(*images)
    torch.stack([map_.square().mean() for map_ in _tensors(outputs)]).sum().backward()
    optimizer.step()
    return {"memory": f"{_status_gb('VmHWM'):.1f}"}


def _export(name: str) -> dict[str, str]:
    """Export with free sizes where the network has them; parity and engine at the paper's size."""
    spec, network = NETWORKS[name], _network(name)
    fixed = hasattr(network, "image_size")
    multiple = int(network.size_multiple)  # type: ignore[arg-type]
    small = spec.size if fixed else (2 * multiple,) * len(spec.size)
    channels = _channels(name)
    inputs = dict.fromkeys(spec.inputs, channels)
    _settle_norms(network, [torch.rand(2, channels, *small) * 2 - 1 for _ in spec.inputs])
    model = export_onnx(network, small, None if fixed else multiple, inputs, tolerance=1e-2)
    error = parity_error(network, open_session(model), spec.size, inputs)
    own = f", PyTorch itself {_rounding_error(network, _images(name)):.1e}" if error > TOLERANCES["logits"] else ""
    measured = {"parity": f"{error:.1e}{own}"}
    del network
    shape = (1, channels, *spec.size)
    try:
        build_engine(model, dict.fromkeys(spec.inputs, ShapeRange(shape, shape, shape)))
    except (EngineError, InputError) as error:
        return measured | {"engine": f"no: {error}"}
    return measured | {"engine": "yes"}


@torch.no_grad()
def _rounding_error(network: nn.Module, images: list[Tensor]) -> float:
    """How far PyTorch's own logits in 32 bits are from those in 64, over the largest: what rounding alone does."""
    single = network(*images)
    double = copy.deepcopy(network).double()(*(image.double() for image in images))
    return float((single - double).abs().max() / double.abs().max())


@torch.no_grad()
def _settle_norms(network: nn.Module, images: list[Tensor]) -> None:
    """Give batch norms the statistics of one batch, and go to evaluation.

    With those of a fresh network a deep one's signal fades to nothing, its logits are constant, and any export agrees.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    network.train()(*images)
    network.eval()


#: Measurement -> what it gives, per column's key.
MEASUREMENTS: dict[str, Callable[[str], dict[str, str]]] = {
    "counts": _counts,
    "time": _time,
    "memory": _memory,
    "export": _export,
}
_KEYS = {
    "counts": ("parameters", "flops"),
    "time": ("time",),
    "memory": ("memory",),
    "export": ("parity", "engine"),
}


def _in_a_process(what: str, name: str, minutes: float, memory_gb: float) -> dict[str, str]:
    """The measurement, or what kept it from ending, in each of its cells."""
    limit = int(memory_gb * 1e9)
    command = [sys.executable, str(Path(__file__)), "--measure", what, "--only", name]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=minutes * 60,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
        )
    except subprocess.TimeoutExpired:
        return dict.fromkeys(_KEYS[what], f"over {minutes:g} min")
    if done.returncode == 0:
        result: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return result
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    out_of_memory = done.returncode == -9 or any(
        sign in done.stderr for sign in ("MemoryError", "allocate", "bad_alloc")
    )
    if not out_of_memory:
        sys.stderr.write(f"{name}, {what}: {lines[-1]}\n")
    return dict.fromkeys(
        _KEYS[what], f"needs over {memory_gb:.3g} GB" if out_of_memory else f"failed: {lines[-1][:80]}"
    )


def _row(name: str, measured: dict[str, str]) -> str:
    spec = NETWORKS[name]
    published = f"{spec.parameters_published / 1e6:.2f}" if spec.parameters_published else ""
    cells = (
        f"`{name}`",
        spec.source,
        "x".join(str(n) for n in spec.size) + (f", {' and '.join(spec.inputs)}" if len(spec.inputs) > 1 else ""),
        measured["parameters"],
        published,
        measured["flops"],
        measured["time"],
        measured["memory"],
        measured["parity"],
        measured["engine"],
    )
    return f"| {' | '.join(cells)} |\n"


def _network(name: str) -> nn.Module:
    """As its paper builds it, for background, liver, tumor and vessel where its row gives no classes."""
    torch.manual_seed(0)
    torch.set_num_threads(usable_cores())
    spec = NETWORKS[name]
    fixed = {"image_size": spec.size} if "image_size" in signature(spec.load()).parameters else {}
    return create_network(name, **fixed, **({} if "classes" in spec.options else {"classes": 4}))


def _images(name: str) -> list[Tensor]:
    spec = NETWORKS[name]
    return [torch.rand(1, _channels(name), *spec.size) * 2 - 1 for _ in spec.inputs]


def _channels(name: str) -> int:
    return int(NETWORKS[name].options.get("channels_in", 1))


def _tensors(outputs: Any) -> Iterable[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif outputs is not None:
        for part in outputs:
            yield from _tensors(part)


def _free_gb() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024 / 1e9


def _status_gb(field: str) -> float:
    """Of this process, e.g. VmHWM: the most resident memory so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e9


if __name__ == "__main__":
    main()
