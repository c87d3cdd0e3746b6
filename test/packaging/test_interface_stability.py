# SPDX-License-Identifier: Apache-2.0
"""No interface changes by the way: who changes one changes the table beside this file, and tells it in CHANGELOG.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "python tools/interface_table.py > test/packaging/interfaces.txt"


def written() -> str:
    return (Path(__file__).parent / "interfaces.txt").read_text(encoding="utf-8")


def test_the_interfaces_are_those_of_the_table() -> None:
    tool = [sys.executable, ROOT / "tools/interface_table.py"]
    now = subprocess.run(tool, check=True, capture_output=True, text=True).stdout
    new = sorted({*now.splitlines()} ^ {*written().splitlines()})
    assert now == written(), f"{COMMAND}, and tell users what changed in CHANGELOG.md: {new}"


def test_the_changelog_names_what_the_interfaces_are_now() -> None:
    fingerprint = written().split()[1]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"(interfaces {fingerprint})" in changelog, "say what changed, with the first line of interfaces.txt"


def test_every_interface_has_rows() -> None:
    of = {line.split()[0] for line in written().splitlines()[1:]}
    assert of == {f"{path.parent.name}/{path.stem}" for path in (ROOT / "liver_seg_interfaces").glob("*/*.*")}
