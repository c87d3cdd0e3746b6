# SPDX-License-Identifier: Apache-2.0
"""From a CT to meshes over real DDS, in three processes: `make demo`, or `make demo CT=path`.

`ct_source` publishes the CT as slabs, `liver_seg` (segmentation and reconstruction in one process) receives it,
segments, reconstructs and publishes, and `examples/plain_subscriber.py`, which knows only the message types, checks
what arrives.
All files under out/<name>/ are made from what that subscriber received; what the demo did not write there stays.

Exit code: 0 done and every check passed, 2 bad input or usage, 1 anything else; 128 and the number of a signal.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

from demo_memory import MemoryWatch, Most
from demo_outputs import NAMES, Arrived, write_outputs
from demo_processes import ROOT, Processes, ros_environment
from rich.console import Console

from liver_seg_ros.atomic import scratch_folder
from liver_seg_ros.cli.progress_display import shown_progress
from liver_seg_ros.cli.report_tables import report_tables
from liver_seg_ros.errors import InputError, WriteError
from liver_seg_ros.files.phantom_case import known_synthetic
from liver_seg_ros.files.volumes import read_labels
from liver_seg_ros.outputs.folder import ResultFolder
from liver_seg_ros.progress import Progress

DONE, FAILED, BAD_INPUT = 0, 1, 2

# Small enough that a run ends within two minutes on two cores, large enough to look like a patient.
PHANTOM = {"seed": "10022", "size": "384,384,200", "spacing-mm": "0.9,0.9,1.5", "phase": "portal_venous"}

_PROCESSES = ("plain_subscriber", "liver_seg", "ct_source")
_SUBSCRIBER = ["examples/plain_subscriber.py"]
_NODE = ["--ros-args", "-p", "autostart:=true"]


class DemoError(RuntimeError):
    """The demo cannot go on; `exit_code` says whose fault it is."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ct", nargs="?", type=Path, help="CT file or DICOM folder; a synthetic phantom where left out")
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="folder for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace files that the demo did not write")
    parser.add_argument("--timeout", type=float, default=900.0, metavar="S", help="seconds until the demo gives up")
    options = parser.parse_args()
    # So that the `with` blocks end the children also when this process is told to end.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        ct = options.ct.expanduser().absolute() if options.ct else make_phantom(options.out / "phantom")
        return run(ct, options.out / result_name(ct), options.timeout, options.overwrite)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code
    except InputError as error:
        print(f"demo: {error}", file=sys.stderr)
        return BAD_INPUT
    except WriteError as error:
        print(f"demo: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


def make_phantom(folder: Path) -> Path:
    """The phantom's CT, made the first time and kept."""
    folder = folder / "_".join(PHANTOM.values()).replace(",", "x")
    if not (folder / "ct.nii.gz").is_file():
        print("making a synthetic phantom with exact ground truth (once)")
        options = [word for name, value in PHANTOM.items() for word in (f"--{name}", value)]
        command = [sys.executable, "-m", "liver_seg_ros.cli.main", "phantom", "-o", str(folder), *options]
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            raise DemoError("the phantom could not be made")
    return folder / "ct.nii.gz"


def result_name(ct: Path) -> str:
    """The name of the results' folder: the CT's, or its folder's where many CTs are called the same."""
    stem = ct.name.split(".")[0] if ct.is_file() else ct.name
    return f"{ct.parent.name}_{stem}" if stem in ("ct", "image", "volume") else stem


def run(ct: Path, folder: Path, timeout_s: float, overwrite: bool = False) -> int:
    """Send `ct` through the three processes and write what came out."""
    names = (*NAMES, *(f"{name}.log" for name in _PROCESSES))
    place = ResultFolder(folder, "demo", names, (ct,), overwrite, option="--out")
    synthetic = known_synthetic(ct)
    with log_folder() as logs:
        with scratch_folder() as arrived_folder:
            with (
                Processes(ros_environment(), logs) as processes,
                MemoryWatch(processes.pids) as memory,
                shown_progress() as progress,
            ):
                subscriber = processes.start(
                    "plain_subscriber",
                    [*_SUBSCRIBER, "--out", str(arrived_folder), "--timeout", str(timeout_s)],
                    read_output=True,
                )
                processes.start("liver_seg", ["-m", "liver_seg_ros.nodes.liver_seg", *_NODE])
                quoted = json.dumps(str(ct))  # as YAML wants it, whatever is in the name
                processes.start("ct_source", ["-m", "liver_seg_ros.nodes.ct_source", *_NODE, "-p", f"path:={quoted}"])
                passed = follow(subscriber, processes, progress, logs)
            arrived = Arrived(arrived_folder)
        truth_path = ct.with_name("labels.nii.gz")
        truth = read_labels(truth_path) if synthetic and truth_path.is_file() else None
        source = f"{ct} (synthetic)" if synthetic else str(ct)
        with place.filled() as inside:
            report = write_outputs(inside, arrived, source, truth, synthetic, memory.most.get("liver_seg", Most()).mb)
            for log in logs.iterdir():
                shutil.copy(log, inside)
    return show(report, arrived, memory.most, folder, passed)


@contextmanager
def log_folder() -> Iterator[Path]:
    """A temporary folder, which stays where the demo fails: the error names it."""
    folder = Path(tempfile.mkdtemp(prefix="liver-seg-demo-"))
    try:
        yield folder
    except BaseException as error:
        if not isinstance(error, DemoError) or error.exit_code == BAD_INPUT:
            shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


def follow(subscriber: subprocess.Popen[str], processes: Processes, progress: Progress, logs: Path) -> bool:
    """Show what the subscriber says until it ends; whether its checks passed. Raises `DemoError` where it gave up."""
    for line in _lines(subscriber, processes, logs):
        kind, _, rest = line.partition(" ")
        if kind == "progress":
            stage, _, fraction = rest.rpartition(" ")
            progress(stage, float(fraction))
        elif kind == "arrived":
            progress(f"{rest} arrived", 1.0)
        elif kind == "error":
            fault, _, message = rest.partition(" ")
            raise DemoError(message, BAD_INPUT if fault == "input" else FAILED)
    exit_code = subscriber.wait()
    if exit_code not in (DONE, FAILED):
        raise DemoError(f"the subscriber ended with exit code {exit_code}; see {logs}")
    return exit_code == DONE


def _lines(subscriber: subprocess.Popen[str], processes: Processes, logs: Path) -> Iterator[str]:
    """What the subscriber says, line by line. Raises `DemoError` when another process ends, which none should."""
    lines: SimpleQueue[str | None] = SimpleQueue()

    def read() -> None:
        for line in subscriber.stdout or ():
            lines.put(line.rstrip("\n"))
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=0.5)
        except Empty:
            ended = [name for name in processes.ended() if name != "plain_subscriber"]
            if ended:
                raise DemoError(f"{' and '.join(ended)} ended early; see {logs}") from None
            continue
        if line is None:
            return
        yield line


def show(report, arrived: Arrived, memory: Mapping[str, Most], folder: Path, passed: bool) -> int:
    """The table at the end; the exit code."""
    console = Console()
    console.print(report_tables(report), crop=False)
    console.print(memory_line(memory))
    failed = [check for check in arrived.facts["checks"] if not check["passed"]]
    for check in failed:
        console.print(f"check failed: {check['name']} ({check['detail']})", style="red")
    console.print(f"{len(arrived.facts['checks']) - len(failed)} of {len(arrived.facts['checks'])} checks passed")
    console.print(f"files: {folder}", soft_wrap=True)
    if not report.liver_found:
        raise DemoError(f"no liver found: {report.message}")
    return DONE if passed else FAILED


def memory_line(memory: Mapping[str, Most]) -> str:
    """The most that each process had at one moment."""
    each = ", ".join(
        f"{name} {most.mb:.0f} MB{'' if most.shared_once else ' (shared pages more than once)'}"
        for name, most in memory.items()
    )
    return f"most memory at one moment, worker processes included and shared pages once: {each}"


if __name__ == "__main__":
    sys.exit(main())
