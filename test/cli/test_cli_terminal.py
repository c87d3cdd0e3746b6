# SPDX-License-Identifier: Apache-2.0
"""Every command as a person meets it: on narrow and wide terminals, through a pipe, without colors or UTF-8."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from liver_seg_ros.cli import main
from liver_seg_ros.labels import SEGMENTED

InTerminal = Callable[..., tuple[int, str]]

NAMES = [structure.name for structure in SEGMENTED]
#: All that a person reads the output of, and of these what prints tables.
COMMANDS = ("segment", "measure", "reconstruct", "plan", "territories", "render", "evaluate", "info", "phantom")
TABLES = ("segment", "measure", "plan", "territories", "evaluate")
#: Escape sequences, and what a line is overwritten with.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>78]")


class Case:
    """The small CT with its labels and models, and how each command is called with them."""

    def __init__(self, small_ct: Path, small_models: Path, output: Path) -> None:
        self.ct, self.labels, self.output = small_ct / "ct.nii.gz", small_ct / "labels.nii.gz", output
        ways = ["--entry=-89,19,7", "--ablation", "25,22", "--resection=-10,0,0,-1,0,0"]
        self.arguments: dict[str, list[object]] = {
            "segment": [self.ct, "--models", small_models, "--truth", self.labels],
            "measure": [self.labels],
            "reconstruct": [self.labels],
            "plan": [self.labels, *ways],
            "territories": [self.labels, "--resect", "1"],
            "render": [self.ct, self.labels],
            "info": [self.ct, "--models", small_models],
            "evaluate": [self.labels, self.labels],
            "phantom": ["--size", "32,32,24", "--spacing-mm", "10,10,10", "--tumors", "1"],
        }

    def call(self, command: str, *more: object) -> list[str]:
        """Its command line; with an output folder where it writes files."""
        output = [] if command == "info" else ["-o", self.output / command]
        return [command, *map(str, [*self.arguments[command], *output, *more])]


@pytest.fixture(scope="module")
def case(small_ct: Path, small_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with pytest.MonkeyPatch.context() as patch:  # a short path, as a person in the folder gives it
        patch.chdir(tmp_path_factory.mktemp("terminal"))
        Path("case").symlink_to(small_ct)
        Path("models").symlink_to(small_models)
        yield Case(Path("case"), Path("models"), Path("out"))


def lines_of(text: str) -> list[str]:
    return CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n").splitlines()


@pytest.mark.parametrize(
    ("command", "width"),
    [*((command, 50) for command in COMMANDS), *((command, width) for command in TABLES for width in (80, 200))],
)
def test_what_is_printed_fits_and_says_what_was_read_and_written(
    command: str, width: int, case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main.run(case.call(command)) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    longer = [line for line in lines if cell_len(line) > width]
    assert [line for line in longer if " " in line.rpartition(": ")[2].strip()] == []  # what is one word stays whole
    assert "\x1b" not in out and "…" not in out
    assert re.search(r"\w\(\w+=", out) is None, "a Python repr"
    if command != "phantom":
        assert str(case.labels if "labels" in str(case.arguments[command][0]) else case.ct) in out
    if command in ("segment", "measure", "reconstruct"):
        for name in NAMES:
            assert re.search(rf"^{name} ", out, re.MULTILINE)
    if command != "info":
        assert f"Wrote in {case.output / command}:" in lines
        files = "\n".join(lines[lines.index(f"Wrote in {case.output / command}:") + 1 :]).split()
        there = [path.name for path in (case.output / command).iterdir()]
        assert sorted(files) == sorted(name for name in there if not name.startswith("."))


def test_every_block_of_a_table_on_a_narrow_terminal_has_the_names_of_its_rows(
    case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert main.run(["measure", str(case.labels)]) == 0
    out = capsys.readouterr().out
    table = out.partition("Structures\n")[2]
    blocks = [block for block in table.split("\n\n") if "structure " in block]
    assert len(blocks) > 1
    for block in blocks:
        assert all(re.search(rf"^{name} ", block, re.MULTILINE) for name in NAMES)


def test_one_volume_of_the_liver_wherever_it_is_said(
    case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the labels: `measure`, `reconstruct` and `plan`; from the CT: `segment` and `measure` of what it found."""
    monkeypatch.setenv("COLUMNS", "200")

    def said(command: str, *arguments: object) -> set[str]:
        assert main.run([command, *map(str, arguments)]) == 0
        out = capsys.readouterr().out
        found = re.findall(r"^liver  +(\d+)(?:\.\d)?\b", out, re.MULTILINE)
        assert found and not re.search(r"liver found.*\d ml", out)
        return set(found)

    volumes = said("measure", case.labels) | said("reconstruct", case.labels, "-o", case.output / "a")
    volumes |= said("plan", case.labels, "-o", case.output / "b", "--resection=0,0,0,1,0,0")
    assert len({round(float(volume), -1) for volume in volumes}) == 1
    output = case.output / "c"
    found = said("segment", case.ct, "-o", output, "--models", "models")
    assert found == said("measure", output / "labels.nii.gz") and len(found) == 1


def test_a_column_of_which_nothing_is_known_is_not_there(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    def heads(command: str, *arguments: object) -> str:
        assert main.run([command, *map(str, arguments)]) == 0
        return capsys.readouterr().out

    plain = heads("segment", case.ct, "-o", case.output / "d", "--models", "models")
    assert "Dice" not in plain and "triangles" not in plain
    compared = heads(*case.call("segment"))
    assert "Dice" in compared and "triangles" not in compared
    made = heads(*case.call("reconstruct"))
    assert "triangles" in made and "Dice" not in made


def test_quiet_says_nothing_that_is_in_a_file(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS[:-2] + COMMANDS[-1:]:  # info writes no file
        assert main.run(case.call(command, "-q")) == 0
        assert capsys.readouterr() == ("", "")
        assert any((case.output / command).iterdir())
    assert main.run(["measure", str(case.labels), "-q"]) == 0
    out, err = capsys.readouterr()
    assert "Structures" in out and err == ""  # it is in no file


STAGES = """
import time
from liver_seg_ros.cli.progress_display import shown_progress
with shown_progress() as progress:
    for stage in ("read", "a stage with quite a long name, longer than there is room"):
        for percent in (0, 40, 100):
            progress(stage, percent / 100)
            time.sleep(0.25)
print("result")
"""


def test_a_terminal_shows_one_live_line_with_stage_fraction_and_time_and_clears_it(in_terminal: InTerminal) -> None:
    code, text = in_terminal(50, program=STAGES)
    assert code == 0
    lines = [line.strip() for line in lines_of(text) if line.strip()]
    assert max(map(cell_len, lines)) <= 50 and lines[-1] == "result"
    live = [line for line in lines[:-1] if not line.startswith("start")]
    live = [re.fullmatch(r"(\w.*?) +[━╸╺]+ +(\d+)% (\d:\d\d:\d\d)", line) for line in live]
    told = [(match[1].split()[0], int(match[2])) for match in live]
    assert list(dict.fromkeys(told)) == [(stage, percent) for stage in ("read", "a") for percent in (0, 40, 100)]
    assert live[0][3] == "0:00:00" and live[-1][3] == "0:00:01"  # since the beginning, not of the stage
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is back
    assert "%" not in text[text.rindex("\x1b[2K") :]  # nothing of it is left


def test_a_command_on_a_terminal_ends_with_its_files_and_nothing_of_the_progress(
    case: Case, in_terminal: InTerminal
) -> None:
    code, text = in_terminal(50, *case.call("segment"))
    assert code == 0 and "%" in text
    shown = text[text.rindex("\x1b[2K") :]
    assert "%" not in shown and shown.rstrip().endswith("report.json") and max(map(cell_len, lines_of(text))) <= 50


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "dumb"},
        {"NO_COLOR": "1", "TERM": "dumb"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": "dumb"},
    ],
)
def test_a_terminal_that_can_do_little_gets_plain_lines(
    environment: dict[str, str], case: Case, in_terminal: InTerminal
) -> None:
    code, text = in_terminal(50, *case.call("measure"), **environment)
    assert code == 0 and "\x1b" not in text
    lines = lines_of(text)
    assert re.fullmatch(r"read \d+\.\d s", lines[0]) and re.fullmatch(r"measure \d+\.\d s", lines[1])
    assert max(map(cell_len, lines)) <= 50
    assert ("±" in text) is ("LANG" not in environment)
    assert ("+-" in text) is ("LANG" in environment)


def test_colors_are_left_out_where_nobody_wants_them(case: Case, in_terminal: InTerminal) -> None:
    colors = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    assert colors.search(in_terminal(80, *case.call("measure"))[1])
    assert not colors.search(in_terminal(80, *case.call("measure"), NO_COLOR="1")[1])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_through_a_pipe_there_are_no_control_characters_in_any_encoding(encoding: str, case: Case) -> None:
    command = [sys.executable, "-m", "liver_seg_ros", *case.call("measure")]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "50"}
    done = subprocess.run(command, capture_output=True, timeout=120, check=True, env=environment)
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert re.fullmatch(r"read \d+\.\d s\nmeasure \d+\.\d s\n", err)
    assert all(character.isprintable() or character == "\n" for character in out)
    assert ("+-" if encoding == "ascii" else "±") in out and max(map(cell_len, out.splitlines())) <= 50


def test_the_last_line_of_a_pipe_says_what_went_wrong(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["plan", str(case.labels), "-o", "out/e", "--entry=0,0,0", "--lesion", "7"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("liver-seg: ")] == lines[-1:] and "no lesion 7" in lines[-1]


def test_a_stdout_that_takes_nothing_is_said_in_one_line(case: Case) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this machine")
    command = [sys.executable, "-m", "liver_seg_ros", *case.call("measure", "--json")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("liver-seg: ") and done.stderr.count("\n") == 1 and "space" in done.stderr
