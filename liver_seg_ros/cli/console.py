"""What a person sees while a command runs: progress bars on stderr, so that stdout stays for the result."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from liver_seg_ros.cli.tables import report_tables, terminal_table
from liver_seg_ros.progress import Progress
from liver_seg_ros.rendering.html_table import ReportTable
from liver_seg_ros.report import Report


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A `Progress` that shows one bar per stage; says nothing where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, fraction: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=fraction)

        yield progress


class Stopwatch:
    """Seconds per stage, in the order in which the stages ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, progress: Progress) -> Iterator[None]:
        """Time the block as `name` and show it as a stage of its own."""
        progress(name, 0.0)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        progress(name, 1.0)


def print_report(report: Report, as_json: bool) -> None:
    """The result of a command on stdout: tables for a person, or one JSON object for a machine."""
    if as_json:
        print_json(report.as_dict())
    else:
        Console().print(report_tables(report))


def print_tables(tables: Iterable[ReportTable], lines: Iterable[str] = (), most_rows: int | None = None) -> None:
    """The same tables as on the page, of each at most so many rows, and what else is to be said; on stdout."""
    console = Console()
    for table in tables:
        console.print(terminal_table(table, most_rows))
        console.print()
    for line in (*lines, "Not for clinical use."):
        console.print(line)


def print_json(result: Mapping[str, Any]) -> None:
    """`result` as the one JSON object on stdout."""
    typer.echo(json.dumps(result, allow_nan=False))


def print_facts(facts: Mapping[str, Any]) -> None:
    """Nested facts on stdout, one per line, indented below their heading."""
    console = Console(highlight=False)

    def show(name: str, value: Any, depth: int) -> None:
        if isinstance(value, Mapping):
            console.print("  " * depth + name)
            for key, inner in value.items():
                show(str(key), inner, depth + 1)
            return
        text = " x ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
        console.print("  " * depth + f"{name}: {text}", markup=False, soft_wrap=True)

    for heading, value in facts.items():
        show(heading, value, 0)
