# SPDX-License-Identifier: Apache-2.0
"""A `Report` as a person reads it at the end of a command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from liver_seg_ros.cli.measurement_tables import structures_table
from liver_seg_ros.cli.tables import TerminalTable, Words
from liver_seg_ros.cli.warning_lines import warning_lines
from liver_seg_ros.report import Report


def report_tables(report: Report) -> RenderableType:
    """The input by its path, a table of the structures, and a line each of what else a person wants to know."""
    return Group(
        Words(report.input, whole=True),
        Text(),
        TerminalTable(structures_table(report.structures.values(), report.dice)),
        Text(),
        *map(Words, _lines(report)),
    )


def _lines(report: Report) -> Iterator[str]:
    if report.message:
        yield report.message
    yield from warning_lines(report.warnings)
    if report.models:
        yield ", ".join(f"{m.name} {m.version}" for m in report.models) + f" on {report.runtime}."
    yield f"{seconds_line(report.seconds)} Peak memory: {report.peak_memory_mb:.0f} MB."
    if report.synthetic:
        yield "Synthetic: a phantom, no patient."
    yield "Not for clinical use."


def seconds_line(seconds: Mapping[str, float]) -> str:
    """How long the stages took together, and each of them."""
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items())
    return f"Seconds: {sum(seconds.values()):.1f}" + (f" ({stages})." if stages else ".")
