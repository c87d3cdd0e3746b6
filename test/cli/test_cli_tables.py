# SPDX-License-Identifier: Apache-2.0
"""Tables in a terminal: whatever is in them and however narrow it is, names and cells stay whole."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from liver_seg_ros.cli.tables import TerminalTable, Words, printable
from liver_seg_ros.report_table import ReportTable

LESIONS = ReportTable(
    "Lesions",
    ("lesion", "volume ml", "diameter mm", "axial mm", "to vessel mm", "to capsule mm", "nearest"),
    (
        ("1", "1234.35 ± 10.35", "110.7 ± 4.4", "109.4 x 97.5", "0.0 ± 4.4", "0.0 ± 4.4", "the right hepatic vein"),
        ("2", "0.35 ± 0.35", "10.7 ± 4.4", "9.4 x 7.5", "12.0 ± 4.4", "-", "the portal vein"),
    ),
    (0, 6),
    "Distances are between surfaces.",
)


def printed(shown: object, width: int, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    Console(file=file, width=width).print(shown, crop=False)
    file.flush()
    return file.buffer.getvalue().decode(encoding).splitlines()


def test_where_there_is_room_a_table_is_one_block_with_units_beside(width: int = 200) -> None:
    lines = printed(TerminalTable(LESIONS), width)
    assert lines[0].strip() == "Lesions" and lines[-1] == LESIONS.note and len(lines) == 5
    assert re.split(r"  +", lines[1].strip()) == list(LESIONS.columns)
    assert re.split(r"  +", lines[2].strip()) == list(LESIONS.rows[0])
    assert re.split(r"  +", lines[3].strip()) == list(LESIONS.rows[1])


@pytest.mark.parametrize("width", [50, 80])
def test_where_there_is_none_each_block_has_the_names_of_the_rows(width: int) -> None:
    lines = printed(TerminalTable(LESIONS), width)
    text = "\n".join(lines)
    assert max(map(cell_len, lines)) <= width
    found = text.removeprefix("Lesions").removesuffix(LESIONS.note).split("\n\n")
    assert len(found) > 1
    for block in found:
        assert "lesion" in block and re.search(r"^1 ", block, re.MULTILINE) and re.search(r"^2 ", block, re.MULTILINE)
    for row in LESIONS.rows:
        assert all(cell in text for cell in row[1:])
    assert all(word in text for column in LESIONS.columns for word in column.split())


words = st.text("abcdefgh ", min_size=1, max_size=60).filter(lambda text: text.strip())
numbers = st.builds(lambda a, b: f"{a:.1f} ± {b:.1f}", st.floats(0, 1e4), st.floats(0, 1e2))


@st.composite
def tables(draw: st.DrawFn) -> ReportTable:
    count = draw(st.integers(1, 6))
    text_columns = (0, *(number for number in range(1, count + 1) if draw(st.booleans())))
    names = draw(st.lists(st.text("abcdefgh_", min_size=1, max_size=20), min_size=1, max_size=4, unique=True))
    rows = [
        (name, *(draw(words if number in text_columns else numbers) for number in range(1, count + 1)))
        for name in names
    ]
    heads = [draw(st.text("abcdefgh ", min_size=1, max_size=16)) for _ in range(count + 1)]
    return ReportTable("", tuple(heads), tuple(rows), text_columns)


@given(tables(), st.integers(50, 200))
def test_no_line_is_longer_than_the_width_and_nothing_is_lost(table: ReportTable, width: int) -> None:
    lines = printed(TerminalTable(table), width)
    assert max(map(cell_len, lines)) <= width
    letters = re.sub(r"\s", "", "".join(lines))
    for row in table.rows:
        assert sum(line.startswith(row[0]) for line in lines) >= 1
        for number, cell in enumerate(row):
            if number not in table.text_columns:
                assert any(cell in line for line in lines)
            else:
                assert all(word in letters for word in cell.split())


NARROW = ReportTable("", ("place", "volume ml", "diameter mm", "found in"), (("a", "1.0", "22.0", "x"),), (0, 3))


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (39, ["place  volume ml  diameter mm  found in", "a            1.0         22.0  x"]),  # exactly
        (38, ["       volume  diameter", "place      ml        mm  found in", "a         1.0      22.0  x"]),
        (33, ["       volume  diameter", "place      ml        mm  found in", "a         1.0      22.0  x"]),  # exactly
        (32, ["       volume  diameter", "place      ml        mm", "a         1.0      22.0", "", "place  found in",
              "a      x"]),
    ],
)  # fmt: skip
def test_units_go_below_only_where_heads_do_not_fit_and_blocks_come_only_after_that(
    width: int, lines: list[str]
) -> None:
    assert [line.rstrip() for line in printed(TerminalTable(NARROW), width)[1:]] == lines


def test_a_column_of_words_wraps_before_it_becomes_a_block_of_its_own() -> None:
    words = "of all that was found"  # 21 letters: wrapped, it still has a word of 24
    table = ReportTable("", ("n", "what"), (("1", f"{words} {'x' * 24}"),), (0, 1))
    lines = [line.rstrip() for line in printed(TerminalTable(table), 27)[1:]]
    assert lines == ["n  what", f"1  {words}", f"   {'x' * 24}"]
    beside = ReportTable("", ("n", "mm", "what"), (("1", "2", "one two three four five six seven"),), (0, 2))
    assert len(printed(TerminalTable(beside), 31)) == 4  # its 24 cells and 7 before them: one block
    assert len(printed(TerminalTable(beside), 30)) > 4
    name = ReportTable("", ("what", "mm"), (("one two three four five six seven eight", "2"),), (0,))
    assert printed(TerminalTable(name), 50)[2].split() == [*name.rows[0][0].split(), "2"]  # names do not wrap


def heads_of_blocks(table: ReportTable, width: int) -> list[list[str]]:
    text = "\n".join(line.rstrip() for line in printed(TerminalTable(table), width)[1:])
    return [block.split("\n")[: -len(table.rows)] for block in text.split("\n\n")]


def test_blocks_are_as_wide_as_there_is_room_for_and_never_names_alone() -> None:
    columns = ("n", "a mm", "bb mm", "cc mm", "d mm")
    table = ReportTable("", columns, (("1", *("1234567890" for _ in range(4))),))
    blocks = heads_of_blocks(table, 1 + 2 * (2 + 10))
    assert [" ".join(heads[0].split()) for heads in blocks] == ["a bb", "cc d"] and all(len(h) == 2 for h in blocks)
    assert [heads[1].split() for heads in blocks] == [["n", "mm", "mm"]] * 2
    assert [" ".join(heads[0].split()) for heads in heads_of_blocks(table, 8)] == ["a", "bb", "cc", "d"]
    long_names = ReportTable("", columns[:3], (("a name of quite some words here", "1", "2"),))
    assert len(heads_of_blocks(long_names, 39)) == 1 and len(heads_of_blocks(long_names, 38)) == 2


def test_only_the_unit_goes_below_however_many_words_a_head_has() -> None:
    table = ReportTable("", ("n", "to the capsule mm", "parts"), (("1", "2.0", "3"),))
    [[above, below]] = heads_of_blocks(table, 25)
    assert above.split() == ["to", "the", "capsule"] and below.split() == ["n", "mm", "parts"]


def test_what_is_longer_than_the_terminal_is_broken_not_cut() -> None:
    word = "abcdefghij" * 4
    assert "".join(printed(Words(word), 15)) == word
    assert max(map(len, printed(Words(word, indent=4), 15))) <= 15
    lines = printed(TerminalTable(ReportTable("", (word, "mm"), ((word, "1"),))), 15)
    assert "".join(line[:11].strip() for line in lines) == 2 * word and max(map(len, lines)) <= 15


def test_what_is_left_out_is_said() -> None:
    lines = printed(TerminalTable(LESIONS, most_rows=1), 200)
    assert lines[-2:] == ["and 1 more row", LESIONS.note] and not any(line.startswith("2") for line in lines)
    assert printed(TerminalTable(LESIONS, most_rows=0), 200)[-2] == "and 2 more rows"
    assert "more" not in "".join(printed(TerminalTable(LESIONS, most_rows=2), 200))


def test_a_column_of_which_nothing_is_known_is_not_shown() -> None:
    table = ReportTable("", ("name", "Dice", "parts"), (("-", "-", "1"), ("-", "-", "-")), (0, 2))
    kept = table.without_unknown_columns()
    assert kept.columns == ("name", "parts") and kept.rows == (("-", "1"), ("-", "-")) and kept.text_columns == (0, 1)
    assert "Dice" not in "".join(printed(TerminalTable(table), 80))
    empty = ReportTable("", ("name", "parts"), ())
    assert empty.without_unknown_columns() == empty


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("4 ± 1 mm²", "utf-8", "4 ± 1 mm²"),
        ("4 ± 1 mm² at 3°", "ascii", "4 +- 1 mm2 at 3deg"),
        ("2 µm, mm³, more… → there", "ascii", "2 um, mm3, more... -> there"),
        ("4 ± 1", "latin-1", "4 ± 1"),
        ("肝.nii", "ascii", "\\u809d.nii"),
        ("bad\udcff.nii", "utf-8", "bad\\udcff.nii"),
        ("\x1b[31mred\r\t", "utf-8", "\\x1b[31mred\\r\\t"),
        ("two\nlines", "utf-8", "two\nlines"),
    ],
)
def test_only_what_can_be_shown_is_shown(text: str, encoding: str, shown: str) -> None:
    assert printable(text, encoding) == shown
    table = ReportTable(text, ("x", text), (("1", text),), (0, 1), text)
    printed(TerminalTable(table), 50, encoding)  # raises where a character has no code


def test_words_are_shown_as_they_stand() -> None:
    path = "/data/[bold]patient[/bold] :smile:/" + "x" * 60
    assert printed(Words(path, whole=True), 50) == [path]
    lines = printed(Words("one two " * 20, indent=4), 50)
    assert all(re.match("    [ot]", line) and len(line) <= 50 and line == line.rstrip() for line in lines)
    assert " ".join(" ".join(lines).split()) == ("one two " * 20).strip()
    table = ReportTable("[bold]t[/bold]", ("x", "y"), (("[red]a[/red]", "[i]"),), (0, 1))
    assert all(word in "".join(printed(TerminalTable(table), 80)) for word in ("[bold]t[/bold]", "[red]a[/red]", "[i]"))
