"""A `Report`, and any table of a page, as a person reads it in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from liver_seg_ros.rendering.html_table import ReportTable
from liver_seg_ros.report import Report

_UNKNOWN = "-"


def report_tables(report: Report) -> RenderableType:
    """A table of the structures, one of the seconds per stage, and what else a person wants to know; 80 columns."""
    lines = [f"Lesions: {report.lesions}. Peak memory: {report.peak_memory_mb:.0f} MB."]
    if report.message:
        lines.append(report.message)
    if report.models:
        lines.append(
            ", ".join(f"{m.name} {m.version}" for m in report.models) + f" on {report.runtime}. Not for clinical use."
        )
    return Group(_structures(report), _seconds(report), *lines)


def terminal_table(table: ReportTable, most_rows: int | None = None) -> Table:
    """The same table as on the page, or its first rows, its note below it."""
    shown = Table(
        title=table.title, caption=table.note or None, title_justify="left", caption_justify="left", box=None,
        pad_edge=False,
    )  # fmt: skip
    for number, column in enumerate(table.columns):
        if number in table.text_columns:
            shown.add_column(column)
        else:
            shown.add_column("\n".join(column.rsplit(" ", 1)), justify="right", no_wrap=True)  # the unit below
    for row in table.rows[:most_rows]:
        shown.add_row(*row)
    return shown


def _structures(report: Report) -> Table:
    table = Table(title=report.input)
    table.add_column("structure")
    for column in ("volume ml", "diameter mm", "parts", "triangles", "watertight", "Dice"):
        table.add_column(column, justify="right")
    dice = report.dice or {}
    for name, structure in report.structures.items():
        table.add_row(
            name,
            f"{structure.volume_ml:.1f}",
            f"{structure.largest_diameter_mm:.1f}",
            str(structure.count),
            _UNKNOWN if structure.triangles is None else str(structure.triangles),
            _UNKNOWN if structure.watertight is None else ("yes" if structure.watertight else "no"),
            f"{dice[name]:.3f}" if name in dice else _UNKNOWN,
        )
    return table


def _seconds(report: Report) -> Table:
    table = Table()
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    for stage, seconds in report.seconds.items():
        table.add_row(stage, f"{seconds:.2f}")
    table.add_section()
    table.add_row("all", f"{sum(report.seconds.values()):.2f}")
    return table
