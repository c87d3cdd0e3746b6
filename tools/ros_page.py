# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/ros.md, as data; a test compares them with running nodes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "ros.md").read_text(encoding="utf-8")
#: The executable that holds several nodes.
COMPOSED = "liver_seg"


def executables() -> list[str]:
    """The nodes that setup.py installs, the composed process left out."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [name for name in ast.literal_eval(named["NODES"]) if name != COMPOSED]


def rows(heading: str) -> Iterator[dict[str, str]]:
    """The rows of the tables below a heading of the page, by the heads of their columns; none without the heading."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    heads: list[str] = []
    for line in section.group(1).splitlines() if section else ():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("|"):
            heads = []
        elif not heads:
            heads = cells
        elif not line.startswith("| ---"):
            yield dict(zip(heads, cells, strict=True))


def quoted(cell: str) -> list[str]:
    """What stands between backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def absolute(name: str) -> str:
    """The name of a topic or service of a node without a namespace."""
    return name if name.startswith("/") else f"/{name}"


def users(cell: str, name: str, nodes: list[str]) -> list[str]:
    """The nodes that a cell names; "each" is that in whose namespace the topic lies, or all."""
    if cell.startswith("each"):
        return [node for node in nodes if name.startswith(f"/{node}/")] or nodes
    return [node for node in quoted(cell) if node in nodes]
