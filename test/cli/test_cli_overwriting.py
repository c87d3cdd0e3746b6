# SPDX-License-Identifier: Apache-2.0
"""What may be replaced: an input never, and otherwise what the same command wrote and nobody changed."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

from liver_seg_ros.cli import (
    cohort,
    compare,
    couinaud,
    evaluate,
    export,
    main,
    measure,
    plan,
    reconstruct,
    register,
    render,
    segment,
    territories,
    veins,
)
from liver_seg_ros.errors import InputError
from liver_seg_ros.outputs.folder import ResultFolder
from liver_seg_ros.outputs.record import RECORD

COMMANDS = {
    "segment": segment, "reconstruct": reconstruct, "measure": measure, "plan": plan, "render": render,
    "evaluate": evaluate, "territories": territories, "register": register, "export": export, "compare": compare,
    "cohort": cohort, "veins": veins,
    "couinaud": couinaud,
}  # fmt: skip
#: A file that each command writes.
OUTPUTS = {
    "segment": "labels.nii.gz", "reconstruct": "liver.ply", "measure": "measurements.csv", "plan": "plan.csv",
    "render": "overlay.png", "evaluate": "scores.csv", "territories": "territories.csv", "register": "transform.json",
    "phantom": "ct.nii.gz", "data": "data.csv", "export": "labels.dcm", "compare": "results.md",
    "cohort": "cohort.csv", "veins": "veins.json",
    "couinaud": "segments.csv",
}  # fmt: skip
#: A bag is a new folder and nothing else: test/files/test_files_bags.py.
NEW_FOLDERS = {"record"}
#: What these find in their folder they go on with, or refuse: tests of training, dicom_network, and importing.
GOING_ON = {"train", "retrieve", "import"}


def place(folder: Path, *inputs: Path, overwrite: bool = False, command: str = "draw") -> ResultFolder:
    return ResultFolder(folder, command, ("one.txt",), inputs, overwrite)


def write(folder: Path, command: str = "draw") -> None:
    with place(folder, command=command).filled() as inside:
        (inside / "one.txt").write_text(f"of {command}")


def links(path: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs of (output folder, input) that mean the same file `one.txt`, which is at `path`."""
    yield path.parent, path
    yield Path(os.path.relpath(path.parent)), path
    (folder / "soft").symlink_to(path)
    yield path.parent, folder / "soft"
    (folder / "hard").hardlink_to(path)
    yield path.parent, folder / "hard"
    (folder / "folder").symlink_to(path.parent)
    yield folder / "folder", path
    (folder / "out").mkdir()
    (folder / "out" / "one.txt").symlink_to(path)
    yield folder / "out", path


@pytest.mark.parametrize("own", [False, True])
def test_an_input_is_never_replaced_by_whatever_name(own: bool, tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    path = tmp_path / "case" / "one.txt"
    if own:  # an output of an earlier run of this command, which now is an input
        write(path.parent)
    else:
        path.write_text("mine")
    before = path.read_text()
    for folder, name in links(path, tmp_path):
        for overwrite in (False, True):
            with pytest.raises(InputError, match="is an input of this run"):
                place(folder, name, overwrite=overwrite)
    assert path.read_text() == before


def test_an_input_folder_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    (tmp_path / "link").symlink_to("dicom")
    for folder in (tmp_path / "dicom", tmp_path / "link", tmp_path / "dicom" / ".." / "dicom"):
        with pytest.raises(InputError, match="is an input of this run"):
            place(folder, tmp_path / "dicom", overwrite=True)


def test_in_a_folder_below_an_input_folder_only_own_files_are_replaced(tmp_path: Path) -> None:
    inside = tmp_path / "dicom" / "found"
    write(inside)
    place(inside, tmp_path / "dicom")  # again into the same folder
    (inside / "one.txt").write_text("someone's")
    with pytest.raises(InputError, match="is in an input folder"):
        place(inside, tmp_path / "dicom", overwrite=True)


def test_what_is_not_there_yet_is_no_input(tmp_path: Path) -> None:
    place(tmp_path / "out", tmp_path / "missing.nii.gz", tmp_path / "out" / "one.txt")


def test_a_file_of_someone_else_is_replaced_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("mine")
    with pytest.raises(InputError, match=r"one\.txt' was not written by 'draw'; .* --overwrite"):
        place(tmp_path)
    assert (tmp_path / "one.txt").read_text() == "mine"
    with place(tmp_path, overwrite=True).filled() as folder:
        (folder / "one.txt").write_text("new")
    assert (tmp_path / "one.txt").read_text() == "new"
    write(tmp_path)  # it is this command's now


def test_a_link_is_someone_elses(tmp_path: Path) -> None:
    (tmp_path / "one.txt").symlink_to("nowhere")
    with pytest.raises(InputError, match="was not written by 'draw'"):
        place(tmp_path)


def test_a_file_that_was_changed_is_someone_elses(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "one.txt").write_text("of draw, corrected by hand")
    with pytest.raises(InputError, match="was changed since 'draw' wrote it"):
        place(tmp_path)


def test_a_file_of_another_command_is_named_as_such(tmp_path: Path) -> None:
    write(tmp_path, command="phantom")
    with pytest.raises(InputError, match="was written by 'phantom', not 'draw'"):
        place(tmp_path)
    assert json.loads((tmp_path / RECORD).read_text())["files"].keys() == {"one.txt"}


def test_how_many_more_are_in_the_way(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=r"a' was not written by 'draw' \(and 2 more\)"):
        ResultFolder(tmp_path, "draw", ("a", "b", "c", "d"))


def test_commands_share_a_folder_where_their_files_differ(tmp_path: Path) -> None:
    write(tmp_path)
    for _ in range(2):
        with ResultFolder(tmp_path, "paint", ("two.txt",)).filled() as folder:
            (folder / "two.txt").write_text("2")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"one.txt", "two.txt", RECORD}


def test_with_overwrite_nothing_of_an_earlier_run_stays(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt", "notes.txt"):
        (tmp_path / name).write_text("of a version that kept no record")
    with ResultFolder(tmp_path, "draw", ("one.txt", "two.txt"), overwrite=True).filled() as folder:
        (folder / "one.txt").write_text("new")
    assert {path.name for path in tmp_path.iterdir()} == {"one.txt", "notes.txt", RECORD}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "files": {"one.txt": {"a": 1}}}'])
def test_a_damaged_record_says_nothing(text: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(InputError, match="was not written by 'draw'"):
        place(tmp_path)


def test_a_record_reaches_no_file_of_another_folder(tmp_path: Path) -> None:
    write(tmp_path / "out")
    (tmp_path / "out" / "one.txt").rename(tmp_path / "one.txt")
    record = tmp_path / "out" / RECORD
    record.write_text(record.read_text().replace("one.txt", "../one.txt"))
    write(tmp_path / "out")
    assert (tmp_path / "one.txt").read_text() == "of draw"


def path_parameters(command: Callable[..., None]) -> list[str]:
    """The parameters that name a file or folder to read."""
    return [name for name, kind in get_type_hints(command).items() if kind in (Path, Path | None) and name != "output"]


CASES = [(name, parameter) for name, module in COMMANDS.items() for parameter in path_parameters(module.command)]


def test_the_cases_below_are_there() -> None:
    assert ("segment", "truth") in CASES and ("plan", "entries") in CASES and len(CASES) >= 12


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_no_command_replaces_what_it_reads(
    name: str, parameter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also shows that this is told before anything is read: the file is no CT, no labels, nothing."""
    target = tmp_path / OUTPUTS[name]
    target.write_text("an input")
    needed = ("ct", "labels", "found", "truth", "recipes", "source")
    read = {**dict.fromkeys(needed, tmp_path / "missing"), parameter: target}
    words: list[object] = [name]
    for found in inspect.signature(COMMANDS[name].command).parameters.values():
        if found.name in read and found.default is inspect.Parameter.empty:
            words += ["--ct"] if (name, found.name) == ("export", "ct") else []
            words.append(read[found.name])
        elif found.name == parameter:
            words += [f"--{parameter.replace('_', '-')}", target]
    assert main.run([*map(str, words), "-o", str(tmp_path), "--overwrite"]) == 2
    message = capsys.readouterr().err
    assert f"{target.name}' is an input of this run" in message and message.count("\n") == 1
    assert target.read_text() == "an input"


@pytest.mark.parametrize("name", [*COMMANDS, "phantom", "data"])
def test_no_command_replaces_a_file_that_it_did_not_write(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / OUTPUTS[name]).write_text("mine")
    needed = ["missing.nii.gz"] * {"phantom": 0, "register": 0, "render": 2, "evaluate": 2}.get(name, 1)
    needed = ["check", *needed] if name == "data" else needed
    needed = [*needed, "--ct", "missing"] if name == "export" else needed
    assert main.run([name, *needed, "-o", str(tmp_path)]) == 2
    assert f"was not written by '{name}'" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_the_truth_of_a_phantom_survives(tmp_path: Path, small_models: Path) -> None:
    """What happened to a user: the truth was replaced by what was to be compared with it."""
    case, ct = str(tmp_path), str(tmp_path / "ct.nii.gz")
    assert main.run(["phantom", "-o", case, "--size", "64,64,40", "--spacing-mm", "5,5,5"]) == 0
    truth = tmp_path / "labels.nii.gz"
    before = truth.read_bytes()
    found = ["segment", ct, "-o", case, "--models", str(small_models)]
    assert main.run([*found, "--truth", str(truth)]) == 2
    assert main.run([*found, "--truth", str(truth), "--overwrite"]) == 2
    assert main.run(found) == 2
    assert truth.read_bytes() == before


def test_the_same_command_again_needs_no_flag(small_ct: Path, small_models: Path, tmp_path: Path) -> None:
    command = ["segment", str(small_ct / "ct.nii.gz"), "-o", str(tmp_path), "--models", str(small_models)]
    assert [main.run(command) for _ in range(2)] == [0, 0]


def test_every_command_that_writes_a_folder_is_tested_here() -> None:
    from liver_seg_ros.cli.app import app

    writing = {
        command.name
        for command in app.registered_commands
        if "output" in inspect.signature(command.callback).parameters  # type: ignore[arg-type]
    }
    assert writing == {*OUTPUTS, *NEW_FOLDERS, *GOING_ON} and OUTPUTS.keys() == {*COMMANDS, "phantom", "data"}
