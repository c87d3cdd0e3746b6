"""Tables of a page, whose rows may be places in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector

#: What stands in a cell of which nothing is known.
UNKNOWN = "-"


@dataclass(frozen=True)
class ReportTable:
    """A table of the page.

    Attributes:
        title: its heading.
        columns: heads, with units.
        rows: cells, as many as `columns`.
        text_columns: numbers of the columns that hold words; all others are set as numbers.
        note: a sentence below.
        places_mm: LPS, one per row: choosing the row moves the slices there. Empty where rows are no places.
        are_paths: whether row `r` is the report's path `r`, which choosing it highlights.

    Raises:
        InputError: a row of another length than `columns`, or places but not one per row.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: tuple[int, ...] = (0,)
    note: str = ""
    places_mm: tuple[Vector, ...] = ()
    are_paths: bool = False

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise InputError(f"table '{self.title}': a row has not the {len(self.columns)} cells of its head")
        if self.places_mm and len(self.places_mm) != len(self.rows):
            raise InputError(f"table '{self.title}': {len(self.places_mm)} places for {len(self.rows)} rows")

    def without_unknown_columns(self) -> ReportTable:
        """The table without the columns, the first aside, in which nothing is known of any row."""
        kept = [
            number
            for number in range(len(self.columns))
            if number == 0 or not self.rows or any(row[number] != UNKNOWN for row in self.rows)
        ]
        return replace(
            self,
            columns=tuple(self.columns[number] for number in kept),
            rows=tuple(tuple(row[number] for number in kept) for row in self.rows),
            text_columns=tuple(place for place, number in enumerate(kept) if number in self.text_columns),
        )


def table_html(number: int, table: ReportTable) -> str:
    """The table as a section of a page, on which `number` is its own; without columns in which nothing is known."""
    table = table.without_unknown_columns()
    heads = [f'<th class="{_kind(table, n)}" scope="col">{escape(head)}</th>' for n, head in enumerate(table.columns)]
    if table.places_mm:
        heads.insert(0, '<th class="text" scope="col">Show</th>')
    rows = "\n".join(_row(table, number) for number in range(len(table.rows)))
    return "\n".join(
        (
            f'<section class="card table{" paths" if table.are_paths else ""}" aria-labelledby="table-{number}">',
            f'<h2 id="table-{number}">{escape(table.title)}</h2>',
            f'<div class="scroll"><table><thead><tr>{"".join(heads)}</tr></thead><tbody>',
            rows,
            "</tbody></table></div>",
            f"<p>{escape(table.note)}</p>" if table.note else "",
            "</section>",
        )
    )


def _row(table: ReportTable, number: int) -> str:
    cells = [f'<td class="{_kind(table, n)}">{escape(cell)}</td>' for n, cell in enumerate(table.rows[number])]
    if not table.places_mm:
        return f"<tr>{''.join(cells)}</tr>"
    place = ",".join(f"{mm:.2f}" for mm in table.places_mm[number])
    path = f' data-path="{number}"' if table.are_paths else ""
    name = escape(f"Show {table.title}: {table.rows[number][0]}")
    choice = f'<td class="text"><input type="radio" name="place" aria-label="{name}"></td>'
    return f'<tr class="place" data-place="{place}"{path}>{choice}{"".join(cells)}</tr>'


def _kind(table: ReportTable, column: int) -> str:
    return "text" if column in table.text_columns else "number"
