# SPDX-License-Identifier: Apache-2.0
"""Writes `_generated/interfaces.md`: every message, service and action of liver_seg_interfaces, with its comments.

A comment stands above what it explains, as the interfaces' tests demand; a constant or field takes those lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

_KINDS = {"msg": "Messages", "srv": "Services", "action": "Actions"}
_PARTS = {"msg": ("",), "srv": ("Request", "Response"), "action": ("Goal", "Result", "Feedback")}


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}


def _write(app: Sphinx) -> None:
    interfaces = Path(app.srcdir).parent / "liver_seg_interfaces"
    lines = ["# Interfaces", "", "Generated from `liver_seg_interfaces/`. Lengths are in metres."]
    for kind, title in _KINDS.items():
        files = sorted((interfaces / kind).glob(f"*.{kind}"))
        if files:
            lines += ["", f"## {title}"]
        for file in files:
            lines += ["", f"### {file.stem}", *_described(file.read_text(encoding="utf-8"), _PARTS[kind])]
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    (folder / "interfaces.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _described(text: str, parts: tuple[str, ...]) -> Iterator[str]:
    """Markdown of one definition: what it is for, then a table per part."""
    for number, (part, body) in enumerate(zip(parts, text.split("\n---\n"), strict=True)):
        blocks = [block.splitlines() for block in body.strip().split("\n\n") if block.strip()]
        if blocks and all(line.startswith("#") for line in blocks[0]) and number == 0:
            yield from ("", _comment(blocks.pop(0)))
        if part:
            yield from ("", f"**{part}**")
        rows = [row for block in blocks for row in _rows(block)]
        if rows:
            yield from ("", "| field | type | meaning |", "| --- | --- | --- |", *rows)


def _rows(block: list[str]) -> Iterator[str]:
    """A row per field or constant; comments explain all fields that follow them without an empty line."""
    comment: list[str] = []
    explained = ""
    for line in block:
        if line.startswith("#"):
            comment.append(line)
            continue
        if comment:
            explained, comment = _comment(comment), []
        kind, _, name = line.partition(" ")
        yield f"| `{name.strip()}` | `{kind}` | {explained} |"


def _comment(lines: list[str]) -> str:
    return " ".join(line.lstrip("# ").strip() for line in lines).replace("|", "\\|")
