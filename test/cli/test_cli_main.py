# SPDX-License-Identifier: Apache-2.0
"""The frame around the commands: help, version, exit codes, one line per error."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from liver_seg_ros import __version__
from liver_seg_ros.cli import main
from liver_seg_ros.errors import InputError

COMMANDS = (
    "phantom",
    "segment",
    "reconstruct",
    "measure",
    "plan",
    "territories",
    "veins",
    "couinaud",
    "register",
    "render",
    "build",
    "info",
    "doctor",
    "data",
)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_json_and_debug(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--json" in out and "--debug" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"liver-seg {__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    """What makes `--help` answer at once, measured by what it imports: a clock would fail on a busy machine."""
    code = (
        "import sys; from liver_seg_ros.cli.main import run; run(['--help']); "
        "heavy = {'numpy', 'SimpleITK', 'vtk', 'onnxruntime', 'scipy', 'torch'} & set(sys.modules); "
        "sys.exit(','.join(sorted(heavy)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such"], "no-such"),
        (["segment"], "CT"),
        (["segment", "--no-such", "x"], "--no-such"),
        (["phantom", "-o", "x", "--size", "1,2"], "three numbers"),
        (["phantom", "-o", "x", "--size", "64,64,0"], "positive"),
        (["phantom", "-o", "x", "--spacing-mm", "1,1,nan"], "positive"),
        (["phantom", "-o", "x", "--phase", "venous"], "portal_venous"),
        (["segment", "no-such.nii.gz", "-o", "x"], "no-such.nii.gz"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("liver-seg: ") and err.count("\n") == 1 and says in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("bad\ninput"), 2),
        (RuntimeError("a\nbug"), 1),
        (OSError(28, "full"), 1),
        (MemoryError("Unable to\nallocate"), 1),
        (MemoryError(), 1),
    ],
)
def test_an_escaping_error_is_one_line(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("liver_seg_ros.report.versions", _raise(error))
    assert main.run(["info"]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("liver-seg: ") and err.count("\n") == 1
    assert "Traceback" not in err


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("liver_seg_ros.report.versions", _raise(MemoryError("Unable to allocate 9 GiB")))
    assert main.run(["info"]) == 1
    assert capsys.readouterr().err == "liver-seg: too little memory. Unable to allocate 9 GiB\n"


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("liver_seg_ros.report.versions", _raise(RuntimeError("a bug")))
    assert main.run(["info", "--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and err.splitlines()[-1].startswith("liver-seg: RuntimeError: a bug")


def test_json_stays_one_object_when_a_command_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["info", str(tmp_path / "missing.nii.gz"), "--json"]) == 2
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["exit_code"] == 2 and "missing.nii.gz" in answer["error"]
    assert err.count("\n") == 1


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "phantom"
    command = [sys.executable, "-m", "liver_seg_ros.cli.main", "phantom", "-q", "-o", str(output)]
    command += ["--size", "512,512,400"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        _wait_until_loaded(process.pid, "scipy")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "liver-seg: interrupted"
    assert not output.exists()


def _wait_until_loaded(pid: int, library: str) -> None:
    """Wait until the process has mapped `library`: it is past its imports and at work."""
    deadline = time.monotonic() + 60
    while library not in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8"):
        assert time.monotonic() < deadline and Path(f"/proc/{pid}").exists(), f"{library} was never loaded"
        time.sleep(0.05)


def _raise(error: Exception):  # type: ignore[no-untyped-def]
    def function(*_: object) -> None:
        raise error

    return function


def test_what_others_do_at_the_end_is_done_and_nothing_is_taken_apart() -> None:
    program = """
import atexit
from liver_seg_ros.cli import main

class Late:
    def __del__(self):
        print("taken apart")

def run(arguments):
    main.late = Late()
    atexit.register(print, "done at the end")
    return 3

main.run = run
main.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "done at the end\n", "")
