# SPDX-License-Identifier: Apache-2.0
"""What a command prints on stdout: tables and names of files for a person, or one JSON object for a machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from liver_seg_ros.cli.report_tables import report_tables
from liver_seg_ros.cli.tables import TerminalTable, Words
from liver_seg_ros.report import Report
from liver_seg_ros.report_table import ReportTable


def print_report(report: Report) -> None:
    """What a run found, on stdout."""
    _print(report_tables(report))


def print_tables(
    source: Path, tables: Iterable[ReportTable], lines: Iterable[str] = (), most_rows: int | None = None
) -> None:
    """The input, the tables of the page, of each at most so many rows, and what else is to be said; on stdout."""
    _print(Words(str(source), whole=True))
    for table in tables:
        _print(Text(), TerminalTable(table, most_rows))
    _print(Text(), *map(Words, lines), Words("Not for clinical use."))


def print_written(output: Path, names: Iterable[str]) -> None:
    """Which files were written in `output`, on stdout: how each command ends."""
    _print(Words(f"Wrote in {output}:", whole=True), Words("  ".join(names), indent=2))


def print_words(*lines: Words) -> None:
    """Lines of words on stdout."""
    _print(*lines)


def print_json(result: Mapping[str, Any]) -> None:
    """`result` as the one JSON object on stdout."""
    typer.echo(json.dumps(result, allow_nan=False))


def print_facts(facts: Mapping[str, Any], depth: int = 0) -> None:
    """Nested facts on stdout, one per line, indented below their heading."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            _print(Words(name, indent=2 * depth))
            print_facts(value, depth + 1)
        else:
            words = _in_words(value)
            _print(Words(f"{name}: {words}", whole=" " not in words, indent=2 * depth))


def _in_words(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return (", " if any(isinstance(item, str) for item in value) else " x ").join(map(str, value))
    return str(value)


def _print(*shown: RenderableType) -> None:
    columns, lines = get_terminal_size()  # rich takes every dumb terminal for one of 80 columns
    console = Console(highlight=False, width=columns, height=lines)
    for item in shown:
        console.print(item, crop=False)
