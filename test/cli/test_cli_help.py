# SPDX-License-Identifier: Apache-2.0
"""`--help` of every command: what can be asked for, in groups, in one line each, and examples that work."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer

from liver_seg_ros import __version__
from liver_seg_ros.cli import main
from liver_seg_ros.cli.app import app as commands
from liver_seg_ros.inference.bundle import POSTPROCESSING_STEPS, PRECISIONS
from liver_seg_ros.inference.runtimes.choice import RUNTIMES
from liver_seg_ros.phantom import PhantomOptions
from liver_seg_ros.phantom.tissue import PHASES

GROUP: Any = typer.main.get_command(commands)
COMMANDS = sorted(GROUP.commands)


def shown(name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The help of a command, or of all of them where its name is empty."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert main.run([name, "--help"] if name else ["--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def entries(text: str) -> dict[str, str]:
    """Of a help that is wide enough: what is said of each option, line by line."""
    found = re.findall(r"^  (-\S.*?)(?:\n {6,}|  +)(\S.*(?:\n {6,}\S.*)*)$", text, re.MULTILINE)
    return {name: re.sub(r"\n +", "\n", words) for name, words in found}


@pytest.mark.parametrize("width", [50, 80, 200])
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_no_line_is_longer_than_the_terminal_nor_too_long_to_read(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(name, width, capsys, monkeypatch)
    assert max(map(len, text.splitlines())) <= min(width, 100)
    assert text.isascii() and "\x1b" not in text


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_has_one_sentence_in_one_line_with_its_unit_or_kind_and_its_default(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(name, 104, capsys, monkeypatch)
    said = entries(text)
    options = [parameter for parameter in GROUP.commands[name].params if parameter.param_type_name == "option"]
    assert len(said) == len(options) + 1  # and --help
    for option in options:
        long_name = max(option.opts, key=len)
        shown_name = next(key for key in said if long_name in re.split(r"[ ,]+", key))
        words, takes = said[shown_name], shown_name.partition(long_name)[2].strip()
        if option.is_flag:
            assert takes == "", f"{shown_name}: a flag takes nothing"
        else:
            assert re.fullmatch(r"[A-Z][A-Z_,=]*", takes), f"{shown_name}: of what kind is it?"
        assert "\n" not in words or " or " in words, f"{shown_name}: a line is enough where nothing is listed"
        words = words.replace("\n", " ")
        if long_name.endswith("-mm") or "MM" in takes:
            assert "mm" in words
        if option.default is not None and not option.is_flag and not option.required:
            assert f"[default: {option.default}" in words
        assert len(re.findall(r"\. ", option.help or "")) == 0, f"{shown_name}: one sentence"
        assert (option.help or "").endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_and_options_are_in_groups_the_common_ones_last_before_the_examples(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(name, 80, capsys, monkeypatch)
    groups = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert groups[-2:] == ["Common options", "Examples"] and len(set(groups)) == len(groups)
    common = text.partition("Common options:")[2]
    assert all(option in common for option in ("--json", "-q, --quiet", "-v, --verbose", "--debug", "-h, --help"))
    assert "<" not in text.partition("\n\n")[0] and "{" not in text.partition("\n")[0]


def test_groups_come_in_the_order_of_the_work_and_below_each_other_where_it_is_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide, narrow = (shown("segment", width, capsys, monkeypatch) for width in (80, 50))
    for text in (wide, narrow):
        groups = re.findall(r"^(\S.*):$", text, re.MULTILINE)
        assert groups == ["Arguments", "Input", "Networks", "Output", "Common options", "Examples"]
    assert re.search(r"^  -o, --output DIR  +Folder", wide, re.MULTILINE)
    assert "\n  -o, --output DIR\n    Folder" in narrow


@pytest.mark.parametrize("width", [50, 80])
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_examples_can_be_copied_from_any_terminal(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(name, width, capsys, monkeypatch)
    lines = text.partition("Examples:\n")[2].replace("\\\n", " ").splitlines()
    assert lines
    for line in lines:
        program, command, *arguments = shlex.split(line)
        assert program == "liver-seg" and (not name or command == name)
        if "--help" not in arguments:
            GROUP.commands[command].make_context(command, arguments)  # raises for an option that there is not


def test_what_can_be_chosen_is_what_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, phantom = (shown(name, 104, capsys, monkeypatch) for name in ("segment", "phantom"))
    said = entries(segment)
    assert all(runtime in said["--runtime NAME"] for runtime in RUNTIMES)
    assert all(precision in said["--precision NAME"] for precision in PRECISIONS)
    steps = re.search(r"Steps of postprocessing: ([^.]*)\.", segment)[1]
    assert re.split(r",\s+", steps) == list(POSTPROCESSING_STEPS)
    said = entries(phantom)
    assert all(phase in said["--phase PHASE"] for phase in PHASES)
    defaults = PhantomOptions()
    assert ",".join(map(str, defaults.size)) in said["--size I,J,K"]
    assert ",".join(f"{mm:g}" for mm in defaults.spacing_mm) in said["--spacing-mm I,J,K"]


def test_bare_liver_seg_shows_help_as_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    help_text = capsys.readouterr().out
    assert main.run([]) == 2
    assert capsys.readouterr() == ("", help_text)
    assert all(name in help_text for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [(["segment"], "liver-seg segment --help"), (["no-such"], "liver-seg --help"), (["info", "--x"], "info --help")],
)
def test_wrong_usage_names_the_help_to_look_at(
    arguments: list[str], where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    assert capsys.readouterr().err.endswith(f"{where})\n")


def test_python_runs_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "liver_seg_ros", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"liver-seg {__version__}\n", "")
