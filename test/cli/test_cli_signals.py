# SPDX-License-Identifier: Apache-2.0
"""`liver-seg` told to end: while it imports, while it works, while it writes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from liver_seg_ros.cli import main

COMMAND = [sys.executable, "-m", "liver_seg_ros.cli.main"]
NUMBERS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
PATIENCE_S = 60.0


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """False where the process ends before."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return True


def hears_signals(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM, which Python itself has not."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def test_nothing_that_takes_time_is_imported_before_signals_are_heard() -> None:
    code = "import sys; import liver_seg_ros.cli.main; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split()) - set(sys.stdlib_module_names)
    assert imported <= {"liver_seg_ros", "__main__"}


@pytest.mark.parametrize("milliseconds", range(0, 1000, 60))
def test_while_it_imports_there_is_one_line_and_no_traceback(milliseconds: int, small_ct: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "measure", str(small_ct / "labels.nii.gz"), "-o", str(tmp_path / "out"), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert wait_until(lambda: hears_signals(process.pid), process)
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    if process.returncode != 0 and process.returncode != -signal.SIGINT:  # it was done; Python itself was ending
        assert (process.returncode, err) == (130, "liver-seg: interrupted\n")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", NUMBERS, ids=NUMBERS.values())
def test_while_it_writes_nothing_half_written_stays(number: signal.Signals, small_ct: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "out"
    labels, ct = str(small_ct / "labels.nii.gz"), str(small_ct / "ct.nii.gz")
    command = [*COMMAND, "measure", labels, "--ct", ct, "-o", str(output), "--png", "--html", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert wait_until(lambda: any(output.glob(".liver-seg-*.part/measurements.csv")), process)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert err == f"liver-seg: {NUMBERS[number]}\n"
    assert list(tmp_path.iterdir()) == []


def test_the_exit_codes_are_documented() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    for text in (readme, main.__doc__ or ""):
        assert all(str(128 + number) in text for number in NUMBERS)
