# SPDX-License-Identifier: Apache-2.0
"""Tables of a report as plain values, whoever shows them: a page or a terminal."""

from __future__ import annotations

from dataclasses import dataclass, replace

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector

#: What stands in a cell of which nothing is known.
UNKNOWN = "-"


@dataclass(frozen=True)
class ReportTable:
    """A table of a report.

    Attributes:
        title: its heading.
        columns: heads, with units.
        rows: cells, as many as `columns`.
        text_columns: numbers of the columns that hold words; all others are set as numbers.
        note: a sentence below.
        places_mm: LPS, one per row: choosing the row moves the slices there. Empty where rows are no places.
        are_trajectories: whether row `r` is the report's trajectory `r`, which choosing it highlights.

    Raises:
        InputError: a row of another length than `columns`, or places but not one per row.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: tuple[int, ...] = (0,)
    note: str = ""
    places_mm: tuple[Vector, ...] = ()
    are_trajectories: bool = False

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
