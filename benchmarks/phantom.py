# SPDX-License-Identifier: Apache-2.0
"""How long the phantom generator takes, and its peak memory, per size.

    .venv/bin/python benchmarks/phantom.py                                   512x512x300 voxels and two smaller ones
    .venv/bin/python benchmarks/phantom.py --sizes 512,512,600 --seed 3

Prints Markdown. Each phantom is made in a fresh process that may use two cores; nothing is written to disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from _machine import machine

CORES = 2
EXTENT_MM = (384.0, 384.0, 300.0)  # every size shows the same anatomy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", nargs="+", default=["128,128,100", "256,256,150", "512,512,300"], help="voxels I,J,K"
    )
    parser.add_argument("--seed", type=int, default=9001, help="of the phantom (%(default)s)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # what the fresh process does
    options = parser.parse_args()
    if options.measure:
        json.dump(_measure(_size(options.measure), options.seed), sys.stdout)
        return
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    sys.stdout.write(f"Phantom {options.seed}, {machine()}.\n\n")
    sys.stdout.write("| voxels | seconds | peak memory, GB |\n| --- | ---: | ---: |\n")
    for size in options.sizes:
        worker = [sys.executable, __file__, "--seed", str(options.seed), "--measure", size]
        found = json.loads(subprocess.run(worker, check=True, stdout=subprocess.PIPE, text=True).stdout)
        row = f"| {size.replace(',', 'x')} | {found['seconds']:.1f} | {found['peak_memory_mb'] / 1000:.2f} |\n"
        sys.stdout.write(row)
        sys.stdout.flush()


def _size(text: str) -> tuple[int, int, int]:
    i, j, k = (int(n) for n in text.split(","))
    return i, j, k


def _measure(size: tuple[int, int, int], seed: int) -> dict[str, float]:
    """Imports stand here because they are part of the memory."""
    from liver_seg_ros.phantom import PhantomOptions, generate_phantom
    from liver_seg_ros.report import peak_memory_mb

    x, y, z = (extent / n for extent, n in zip(EXTENT_MM, size, strict=True))
    started = time.monotonic()
    generate_phantom(seed, PhantomOptions(size=size, spacing_mm=(x, y, z), phase="portal_venous"))
    return {"seconds": time.monotonic() - started, "peak_memory_mb": peak_memory_mb()}


if __name__ == "__main__":
    main()
