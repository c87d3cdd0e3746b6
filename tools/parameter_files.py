# SPDX-License-Identifier: Apache-2.0
"""Write what is made of the nodes' tables of parameters: config/<node>.yaml, and the table in docs/ros.md.

    tools/setup/run.sh python tools/parameter_files.py [--check]

With --check nothing is written; exit code 1 and the names of the files that are not what the tables say.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from pathlib import Path

from liver_seg_ros.nodes.parameter_tables import ALL, TABLES
from liver_seg_ros.nodes.parameters import Row, Value

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ros.md"
BEGIN, END = "<!-- made by tools/parameter_files.py -->\n", "<!-- end of what is made -->\n"
#: A file starts its node, which without one is left to a lifecycle manager.
IN_FILES: dict[str, Value] = {"autostart": True}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    options = parser.parse_args()
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    made = {ROOT / "config" / f"{node}.yaml": yaml_of(node) for node in TABLES}
    made[PAGE] = f"{before}{BEGIN}{reference()}{END}{rest.split(END)[1]}"
    differ = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in differ:
        print(path.relative_to(ROOT))
        if not options.check:
            path.write_text(made[path], encoding="utf-8")
    return int(options.check and bool(differ))


def yaml_of(node: str) -> str:
    """A file for `--params-file` that holds every parameter's default, each with its description."""
    lines = [f"# Parameters of the node {node}, with their defaults. Made by tools/parameter_files.py.", "/**:"]
    lines += [f"  {node}:", "    ros__parameters:"]
    for row in (*ALL, *TABLES[node]):
        told = [f"{span(row)} {row.unit}".rstrip()] if row.span else [row.unit] if row.unit else []
        said = f"{row.description.replace('`', '')} ({'; '.join([*told, f'set: {row.set_when}'])})"
        lines += textwrap.wrap(said, 118, initial_indent="      # ", subsequent_indent="      # ")
        lines += [f"      {row.name}: {json.dumps(IN_FILES.get(row.name, row.default))}"]
    return "\n".join(lines) + "\n"


def reference() -> str:
    """The table of docs/ros.md: a row per parameter, whichever nodes have it."""
    nodes: dict[Row, list[str]] = {}
    for node, rows in TABLES.items():
        for row in rows:
            nodes.setdefault(row, []).append(node)
    heads = "| node | parameter | type | default | range | unit | can be set | meaning |\n" + "| --- " * 8 + "|\n"
    lines = [_line("all", row) for row in ALL]
    lines += [_line(", ".join(f"`{name}`" for name in names), row) for row, names in nodes.items()]
    return heads + "".join(lines)


def span(row: Row) -> str:
    """The range of a number; "any" of all else."""
    return "any" if row.span is None else "{:.9g} to {:.9g}".format(*row.span)


def _line(nodes: str, row: Row) -> str:
    cells = (nodes, f"`{row.name}`", row.type, _default(row.default), span(row), row.unit or "-", row.set_when)
    return f"| {' | '.join(cells)} | {row.description.removesuffix('.')} |\n"


def _default(value: Value) -> str:
    if isinstance(value, str):
        return f"`{value}`" if value else '`""`'
    return str(list(value)) if isinstance(value, tuple) else json.dumps(value)


if __name__ == "__main__":
    sys.exit(main())
