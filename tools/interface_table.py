#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints every message, service and action of liver_seg_interfaces as a table: what programs of others rely on.

    python tools/interface_table.py > test/packaging/interfaces.txt

A line per constant and field, in their order: interface, type, name, value of a constant. The first line is a
fingerprint of all others, which CHANGELOG.md names with what changed (`test/packaging/test_interface_stability.py`).
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

INTERFACES = Path(__file__).resolve().parents[1] / "liver_seg_interfaces"


def table(folder: Path = INTERFACES) -> str:
    """The whole table, a line each with a line feed at its end."""
    rows = [row for path in sorted(folder.glob("*/*.*")) for row in _rows(path)]
    fingerprint = hashlib.sha256("\n".join(rows).encode()).hexdigest()[:8]
    return "\n".join([f"interfaces {fingerprint}", *rows, ""])


def _rows(path: Path) -> list[str]:
    lines = (line.split("#")[0].split() for line in path.read_text(encoding="utf-8").splitlines())
    return [" ".join([f"{path.parent.name}/{path.stem}", *words]) for words in lines if words]


if __name__ == "__main__":
    sys.stdout.write(table())
