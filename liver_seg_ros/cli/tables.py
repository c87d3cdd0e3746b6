# SPDX-License-Identifier: Apache-2.0
"""Words and tables as a person reads them in a terminal: as wide as it is, in characters that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from liver_seg_ros.report_table import ReportTable

#: Columns of words wrap, but are not made narrower than this for it.
LEAST_WORDS = 24

#: Between two columns.
GAP = 2

_ASCII = {"±": "+-", "°": "deg", "µ": "u", "²": "2", "³": "3", "…": "...", "→": "->"}


def printable(text: str, encoding: str) -> str:
    """`text` in characters that can be shown: control characters, and what `encoding` has not, in ASCII instead."""
    text = "".join(map(_shown, text))
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = "".join(_ASCII.get(character, character) for character in text)
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def _shown(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return character.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True)
class Words:
    """Text that is shown as it stands, no markup in it, and wrapped between words.

    Attributes:
        text: the words.
        whole: not wrapped, however long: a path, to be copied.
        indent: spaces before each line.
    """

    text: str
    whole: bool = False
    indent: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines of text."""
        text = Text(printable(self.text, options.encoding))
        width = max(1, options.max_width - self.indent)
        for line in [text] if self.whole else text.wrap(console, width, overflow="fold"):
            line.rstrip()
            yield Text(" " * self.indent + line.plain, no_wrap=True, overflow="ignore")


@dataclass(frozen=True)
class TerminalTable:
    """The same table as on the page, its title above it and its note below.

    Columns that do not fit beside each other go below each other, in blocks that each begin with the rows' names: no
    name and no cell is cut off. Columns in which nothing is known are left out.

    Attributes:
        table: what is shown; its first column holds the names of the rows.
        most_rows: rows shown; all where None. How many are left out is said.
    """

    table: ReportTable
    most_rows: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title, blocks, note; each ends its line."""
        table = self.table.without_unknown_columns()
        cells = _Cells.of(table, self.most_rows, options.encoding)
        blocks = cells.blocks(options.max_width)
        if len(blocks) > 1:
            cells = cells.with_units_below()
            blocks = cells.blocks(options.max_width)
        yield Text(printable(table.title, options.encoding), style="bold")
        for number, block in enumerate(blocks):
            if number:
                yield Text()
            yield cells.shown(block, options.max_width)
        left_out = len(table.rows) - len(cells.rows)
        if left_out:
            yield Words(f"and {left_out} more rows" if left_out > 1 else "and 1 more row")
        if table.note:
            yield Words(table.note)


@dataclass(frozen=True)
class _Cells:
    """The words of a table, and which of its columns wrap: those of words, except the rows' names."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[bool, ...]
    wraps: tuple[bool, ...]

    @staticmethod
    def of(table: ReportTable, most_rows: int | None, encoding: str) -> _Cells:
        words = tuple(number in table.text_columns for number in range(len(table.columns)))
        return _Cells(
            tuple(printable(head, encoding) for head in table.columns),
            tuple(tuple(printable(cell, encoding) for cell in row) for row in table.rows[:most_rows]),
            words,
            (False, *words[1:]),
        )

    def with_units_below(self) -> _Cells:
        """With the unit, the last word of a head, below the others, which makes columns of numbers narrower."""
        heads = (h if words else "\n".join(h.rsplit(" ", 1)) for h, words in zip(self.heads, self.words, strict=True))
        return replace(self, heads=tuple(heads))

    def blocks(self, width: int) -> list[list[int]]:
        """The columns that fit beside each other within `width`, block by block, the first column in each."""
        needed = [self._least_width(column) for column in range(len(self.heads))]
        blocks, used = [[0]], needed[0]
        for column in range(1, len(needed)):
            if len(blocks[-1]) > 1 and used + GAP + needed[column] > width:
                blocks.append([0])
                used = needed[0]
            blocks[-1].append(column)
            used += GAP + needed[column]
        return blocks

    def shown(self, columns: Sequence[int], width: int) -> Table:
        """Some of the columns beside each other; where not even they have room within `width`, all of them wrap."""
        fits = sum(map(self._least_width, columns)) + GAP * (len(columns) - 1) <= width
        table = Table(box=None, pad_edge=False, padding=(0, GAP // 2))
        for column in columns:
            table.add_column(
                Text(self.heads[column]),
                justify="left" if self.words[column] else "right",
                no_wrap=fits and not self.wraps[column],
                overflow="fold",
            )
        for row in self.rows:
            table.add_row(*(Text(row[column]) for column in columns))
        return table

    def _least_width(self, column: int) -> int:
        texts = [*self.heads[column].split("\n"), *(row[column] for row in self.rows)]
        widest = max(map(cell_len, texts))
        if not self.wraps[column]:
            return widest
        longest_word = max(cell_len(word) for text in texts for word in [*text.split(), ""])
        return min(widest, max(longest_word, LEAST_WORDS))
