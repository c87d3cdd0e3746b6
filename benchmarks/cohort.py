# SPDX-License-Identifier: Apache-2.0
"""How many CTs an hour a cohort does with one worker and with more, and what a thousand CTs would take.

    tools/setup/run.sh python benchmarks/cohort.py
    tools/setup/run.sh python benchmarks/cohort.py --cases 12 --size 256,256,150

Prints Markdown. The CTs are phantoms, synthetic, from seed 9600 on. Each number of workers does the same cases anew, in
turns; a worker has one core, and one worker takes no more of the machine than that. What the command takes when
nothing is left to do is its start, which does not count for the rate. What counts against two workers is all else: each
loads libraries and networks of its own, the process that hands out cases shares their cores, and at the end one of them
has nothing left to do while the other ends its last case; hence not too few cases. CPU seconds are those of all
processes, start included. What a thousand CTs would take on a cluster is simulated with the seconds that the cases
took, and reckoned from the sizes of the files; nothing of it was run.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter

from _machine import machine

SEED = 9600
THOUSAND = 1000
#: Of the simulated clusters.
CLUSTERS = (2, 16, 64, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=24, help="CTs (%(default)s)")
    parser.add_argument("--size", default="256,256,150", help="of each, as `liver-seg phantom --size` takes it")
    parser.add_argument(
        "--repeat", type=int, default=2, help="times that each number of workers does them (%(default)s)"
    )
    parser.add_argument(
        "--price", type=float, default=0.05, help="of a core for an hour, in what money you like (%(default)s)"
    )
    options = parser.parse_args()
    most = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        cts = Path(folder) / "cts"

        def make(seed: int) -> None:
            _liver_seg("phantom", "--seed", seed, "--size", options.size, "-o", cts / f"phantom-{seed}", "-q")

        with ThreadPoolExecutor(most) as makers:
            list(makers.map(make, range(SEED, SEED + options.cases)))
        sys.stdout.write(f"{options.cases} phantoms of {options.size} voxels, synthetic. {machine()}.\n\n")
        sys.stdout.write(
            "| workers | seconds, each run | of these, start | CPU s a case | cases an hour | against one worker |\n"
            "| ---: | --- | ---: | ---: | ---: | ---: |\n"
        )
        counts = sorted({1, 2, most})
        out = Path(folder) / "out"
        runs: dict[int, list[float]] = {workers: [] for workers in counts}
        cpu: dict[int, list[float]] = {workers: [] for workers in counts}
        starts: dict[int, float] = {}
        for _ in range(options.repeat):
            for workers in counts:
                shutil.rmtree(out, ignore_errors=True)
                for measured, seconds in zip((runs, cpu), _seconds(cts, out, workers), strict=True):
                    measured[workers].append(seconds)
                if workers not in starts:
                    starts[workers], _ = _seconds(cts, out, workers)  # all is done already
        worked = {workers: min(seconds) - starts[workers] for workers, seconds in runs.items()}
        for workers, seconds in runs.items():
            shown = ", ".join(f"{one:.1f}" for one in seconds)
            rate, ratio = 3600 * options.cases / worked[workers], worked[1] / worked[workers]
            each = min(cpu[workers]) / options.cases
            sys.stdout.write(
                f"| {workers} | {shown} | {starts[workers]:.1f} | {each:.2f} | {rate:.0f} | {ratio:.2f} |\n"
            )
        _reckon(cts, out, starts[most], options.price)


def _seconds(cts: Path, out: Path, workers: int) -> tuple[float, float]:
    """Of a cohort, by the clock, and of all its processes' CPUs."""
    began, cpu_s = perf_counter(), _children_cpu_s()
    _liver_seg("cohort", cts, "-o", out, "--workers", workers, "--no-page", "-q")
    return perf_counter() - began, _children_cpu_s() - cpu_s


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reckon(cts: Path, out: Path, start_s: float, price: float) -> None:
    """A thousand such CTs on clusters: each worker takes the next case when it is free, as `liver-seg cohort` does."""
    with (out / "cohort.csv").open(newline="", encoding="utf-8") as file:
        each_s = [float(row["seconds"]) for row in csv.DictReader(file)]
    read_gb, written_gb = (
        sum(file.stat().st_size for file in folder.rglob(pattern)) / len(each_s) * THOUSAND / 1e9
        for folder, pattern in ((cts, "ct.nii.gz"), (out / "cases", "*"))
    )
    sys.stdout.write(
        f"\n{THOUSAND} such CTs on paper: {read_gb:.0f} GB read and {written_gb:.1f} GB written, each file once; "
        f"a core costs {price:g} an hour.\n\n"
        "| workers | hours | read, MB/s | cost |\n| ---: | ---: | ---: | ---: |\n"
    )
    for workers in CLUSTERS:
        free_s = [start_s] * workers  # when each is free again
        for seconds in islice(cycle(each_s), THOUSAND):
            heapq.heapreplace(free_s, free_s[0] + seconds)
        hours = max(free_s) / 3600
        sys.stdout.write(
            f"| {workers} | {hours:.2f} | {read_gb * 1e3 / max(free_s):.1f} | {workers * hours * price:.2f} |\n"
        )


def _liver_seg(*arguments: object) -> None:
    command = [sys.executable, "-m", "liver_seg_ros", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
