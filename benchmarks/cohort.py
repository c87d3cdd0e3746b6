# SPDX-License-Identifier: Apache-2.0
"""How many CTs an hour a cohort does with one worker and with more, and what a thousand CTs would take.

    tools/setup/run.sh python benchmarks/cohort.py
    tools/setup/run.sh python benchmarks/cohort.py --cases 12 --size 256,256,150

Prints Markdown. The CTs are phantoms, synthetic, from seed 9600 on. Each number of workers does the same cases anew, in
turns; a worker has one core. What a thousand CTs would take is reckoned from that, and from the sizes of the files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from _machine import machine

SEED = 9600
THOUSAND = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=8, help="CTs (%(default)s)")
    parser.add_argument("--size", default="256,256,150", help="of each, as `liver-seg phantom --size` takes it")
    parser.add_argument(
        "--repeat", type=int, default=2, help="times that each number of workers does them (%(default)s)"
    )
    options = parser.parse_args()
    most = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        cts = Path(folder) / "cts"
        for number in range(options.cases):
            case = cts / f"phantom-{SEED + number}"
            _liver_seg("phantom", "--seed", SEED + number, "--size", options.size, "-o", case, "-q")
        sys.stdout.write(f"{options.cases} phantoms of {options.size} voxels, synthetic. {machine()}.\n\n")
        sys.stdout.write(
            "| workers | seconds, each run | cases an hour | against one worker |\n| ---: | --- | ---: | ---: |\n"
        )
        counts = sorted({1, 2, most})
        runs: dict[int, list[float]] = {workers: [] for workers in counts}
        for _ in range(options.repeat):
            for workers in counts:
                runs[workers].append(_seconds(cts, Path(folder) / "out", workers))
        for workers, seconds in runs.items():
            rate = 3600 * options.cases / min(seconds)
            shown = ", ".join(f"{one:.0f}" for one in seconds)
            ratio = min(runs[1]) / min(seconds)
            sys.stdout.write(f"| {workers} | {shown} | {rate:.0f} | {ratio:.2f} |\n")
        _reckon(cts, Path(folder) / "out", 3600 * options.cases / min(runs[most]) / most)


def _seconds(cts: Path, out: Path, workers: int) -> float:
    shutil.rmtree(out, ignore_errors=True)
    began = perf_counter()
    _liver_seg("cohort", cts, "-o", out, "--workers", workers, "--no-page", "-q")
    return perf_counter() - began


def _reckon(cts: Path, out: Path, per_core: float) -> None:
    count = len(list(cts.iterdir()))
    read_mb, written_mb = (
        sum(file.stat().st_size for file in folder.rglob(pattern)) / count / 1e6
        for folder, pattern in ((cts, "ct.nii.gz"), (out / "cases", "*"))
    )
    hours = THOUSAND / per_core
    sys.stdout.write(
        f"\nA thousand such CTs, reckoned: {hours:.1f} hours of one core, {hours / 16:.1f} hours on 16 cores; "
        f"{read_mb * THOUSAND / 1000:.0f} GB read and {written_mb * THOUSAND / 1000:.1f} GB written, each file once.\n"
    )


def _liver_seg(*arguments: object) -> None:
    command = [sys.executable, "-m", "liver_seg_ros", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
