# SPDX-License-Identifier: Apache-2.0
"""Tables on a page, whose rows may be places in the patient."""

from __future__ import annotations

from html import escape

from liver_seg_ros.report_table import ReportTable


def table_html(number: int, table: ReportTable) -> str:
    """The table as a section of a page, on which `number` is its own; without columns in which nothing is known."""
    table = table.without_unknown_columns()
    heads = [f'<th class="{_kind(table, n)}" scope="col">{escape(head)}</th>' for n, head in enumerate(table.columns)]
    if table.places_mm:
        heads.insert(0, '<th class="text" scope="col">Show</th>')
    kind = "card table trajectories" if table.are_trajectories else "card table"
    rows = "\n".join(_row(table, number) for number in range(len(table.rows)))
    return "\n".join(
        (
            f'<section class="{kind}" aria-labelledby="table-{number}">',
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
    trajectory = f' data-trajectory="{number}"' if table.are_trajectories else ""
    name = escape(f"Show {table.title}: {table.rows[number][0]}")
    choice = f'<td class="text"><input type="radio" name="place" aria-label="{name}"></td>'
    return f'<tr class="place" data-place="{place}"{trajectory}>{choice}{"".join(cells)}</tr>'


def _kind(table: ReportTable, column: int) -> str:
    return "text" if column in table.text_columns else "number"
