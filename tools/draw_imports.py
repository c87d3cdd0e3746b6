# SPDX-License-Identifier: Apache-2.0
"""The packages of liver_seg_ros and what imports what, as a table and as a drawing.

    python tools/draw_imports.py                              a table in Markdown
    python tools/draw_imports.py --svg rooms.svg              and the drawing
    python tools/draw_imports.py --package /elsewhere/liver_seg_ros

Modules at the top that import no package are one box, `types`: what flows between the packages. An arrow is drawn where
no way over other arrows leads to the same place. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from dataclasses import dataclass
from html import escape
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "liver_seg_ros"
TYPES = "types"

#: Of the drawing, in pixels.
BOX, GAP, MARGIN, ACROSS = (136, 52), (26, 74), 20, 6


@dataclass(frozen=True)
class Imports:
    """Who imports whom.

    Attributes:
        files, lines: of each package, or of a module at the top that imports packages; lines with comments.
        arrows: package -> packages that it imports, itself left out.
    """

    files: dict[str, int]
    lines: dict[str, int]
    arrows: dict[str, set[str]]

    def ranks(self) -> list[list[str]]:
        """The packages in rows; each row imports only from those below. Raises `ValueError` for a circle."""
        rank: dict[str, int] = {}
        while len(rank) < len(self.files):
            ready = [name for name in self.files if name not in rank and self.arrows[name] <= set(rank)]
            if not ready:
                raise ValueError(f"a circle among {sorted(set(self.files) - set(rank))}")
            for name in ready:
                rank[name] = 1 + max((rank[below] for below in self.arrows[name]), default=-1)
        return [sorted(n for n in rank if rank[n] == row) for row in range(max(rank.values()), -1, -1)]

    def direct(self) -> set[tuple[str, str]]:
        """The arrows that no way over other arrows stands for."""
        reached: dict[str, set[str]] = {}
        for name in (name for row in reversed(self.ranks()) for name in row):
            reached[name] = self.arrows[name].union(*(reached[below] for below in self.arrows[name]))
        return {
            (name, below)
            for name, all_below in self.arrows.items()
            for below in all_below
            if not any(below in reached[other] for other in all_below - {below})
        }


def read_imports(package: Path) -> Imports:
    """The imports of the files below the folder of a package. Imports for types alone count as all others do."""
    trees = {file: file.read_text(encoding="utf-8") for file in sorted(package.rglob("*.py"))}
    parts = {file: file.relative_to(package).with_suffix("").parts for file in trees}
    folders = {part[0] for part in parts.values() if len(part) > 1}
    found = {
        file: {name for name in _imported(ast.parse(text), package.name) if name != parts[file][0]}
        for file, text in trees.items()
    }
    above = {  # a module at the top that knows packages, or another such module
        parts[file][0] for file, names in found.items() if len(parts[file]) == 1 and names & folders
    } - {"__init__"}
    known = folders | above

    def box(name: str) -> str:
        return name if name in known else TYPES

    files: dict[str, int] = defaultdict(int)
    lines: dict[str, int] = defaultdict(int)
    arrows: dict[str, set[str]] = defaultdict(set)
    for file, text in trees.items():
        own = box(parts[file][0])
        files[own] += 1
        lines[own] += text.count("\n")
        if parts[file] != ("__init__",):  # which opens `api` when it is asked for it
            arrows[own] |= {box(name) for name in found[file]} - {own}
    return Imports(dict(files), dict(lines), {name: arrows[name] for name in files})


def _imported(tree: ast.Module, package: str) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            names |= {alias.name for alias in node.names if alias.name.islower()}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{package}."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{package}.")}
    return names


def table(imports: Imports) -> str:
    """Markdown: a row per package, from the top down."""
    total = sum(map(len, imports.arrows.values()))
    rows = ["| package | files | lines | imports |", "| --- | ---: | ---: | --- |"]
    for name in (name for row in imports.ranks() for name in row):
        below = ", ".join(sorted(imports.arrows[name])) or "-"
        rows.append(f"| `{name}` | {imports.files[name]} | {imports.lines[name]} | {below} |")
    rows.append(
        f"| **all {len(imports.files)}** | {sum(imports.files.values())} | {sum(imports.lines.values())} | "
        f"{total} arrows, {len(imports.direct())} of them drawn |"
    )
    return "\n".join(rows) + "\n"


def svg(imports: Imports) -> str:
    """The drawing: who imports stands above whom it imports."""
    rows = [row[n : n + ACROSS] for row in imports.ranks() for n in range(0, len(row), ACROSS)]
    (box_w, box_h), (gap_x, gap_y) = BOX, GAP
    width = max(len(row) for row in rows) * (box_w + gap_x) - gap_x + 2 * MARGIN
    height = len(rows) * (box_h + gap_y) - gap_y + 2 * MARGIN
    place = {}
    for number, row in enumerate(rows):
        left = (width - len(row) * (box_w + gap_x) + gap_x) / 2
        for column, name in enumerate(row):
            place[name] = (left + column * (box_w + gap_x), MARGIN + number * (box_h + gap_y))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" text-anchor="middle">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0L8,4L0,8z" fill="#5c6773"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for above, below in sorted(imports.direct()):
        (x1, y1), (x2, y2) = place[above], place[below]
        x1, x2, y1 = x1 + box_w / 2, x2 + box_w / 2, y1 + box_h
        bend = max(30.0, (y2 - y1) / 2)
        parts.append(
            f'<path d="M{x1:.0f},{y1:.0f}C{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f} {x2:.0f},{y2:.0f}" '
            'fill="none" stroke="#5c6773" stroke-opacity="0.6" marker-end="url(#tip)"/>'
        )
    for name, (x, y) in place.items():
        files = imports.files[name]
        counted = f"{files} file{'s' if files != 1 else ''}, {imports.lines[name]} lines"
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{box_w}" height="{box_h}" rx="8" fill="#eef3f8" stroke="#33485e"/>'
            f'<text x="{x + box_w / 2:.0f}" y="{y + 22:.0f}" font-size="15" fill="#17212b">{escape(name)}</text>'
            f'<text x="{x + box_w / 2:.0f}" y="{y + 40:.0f}" font-size="11" fill="#46525e">{counted}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=PACKAGE, help="its folder (%(default)s)")
    parser.add_argument("--svg", type=Path, help="also write the drawing here")
    options = parser.parse_args()
    imports = read_imports(options.package)
    print(table(imports), end="")
    if options.svg:
        options.svg.write_text(svg(imports), encoding="utf-8")


if __name__ == "__main__":
    main()
