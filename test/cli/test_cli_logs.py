# SPDX-License-Identifier: Apache-2.0
"""What the rooms below log, as a person reads it: once, in one line."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from liver_seg_ros.cli.logs import OnceHandler, be_verbose


def said(capsys: pytest.CaptureFixture[str], *records: tuple[str, int, str]) -> list[str]:
    handler = OnceHandler()
    for name, level, message in records:
        handler.handle(logging.LogRecord(name, level, "", 0, message, None, None))
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_a_warning_is_one_line_and_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    warning = ("liver_seg_ros.files", logging.WARNING, "a voxel\n  is odd")
    other = ("liver_seg_ros.files", logging.WARNING, "another voxel is odd")
    assert said(capsys, warning, warning, other, warning) == [
        "liver-seg: warning: a voxel is odd",
        "liver-seg: warning: another voxel is odd",
    ]


@pytest.mark.parametrize("verbose", [False, True])
def test_other_libraries_are_heard_by_those_who_ask_for_more(verbose: bool, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert be_verbose(verbose) is verbose
        lines = said(
            capsys,
            ("pydicom", logging.WARNING, "a tag is odd"),
            ("liver_seg_rosy", logging.WARNING, "not ours either"),
            ("liver_seg_ros", logging.WARNING, "ours"),
        )
        assert logging.getLogger("liver_seg_ros.inference").isEnabledFor(logging.INFO) is verbose
    finally:
        be_verbose(False)
    others = ["liver-seg: warning: a tag is odd", "liver-seg: warning: not ours either"]
    assert lines == [*(others if verbose else []), "liver-seg: warning: ours"]


def test_what_is_merely_mentioned_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        be_verbose(True)
        assert said(capsys, ("liver_seg_ros.x", logging.INFO, "chosen: this")) == ["liver-seg: chosen: this"]
    finally:
        be_verbose(False)


@pytest.mark.parametrize(("option", "heard"), [("", []), ("-v", ["liver-seg: warning: deprecated, so to say"])])
def test_python_warnings_come_without_their_file_and_line_of_code(option: str, heard: list[str]) -> None:
    code = (
        "import warnings; from liver_seg_ros.cli import logs; logs.show_logs(); "
        f"logs.be_verbose({bool(option)}); warnings.warn('deprecated, so to say')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.splitlines() == heard and done.stdout == ""
