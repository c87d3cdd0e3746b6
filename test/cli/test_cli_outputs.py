"""The output folder: all files or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from liver_seg_ros.cli.outputs import check_output_folder, output_folder
from liver_seg_ros.errors import InputError


def test_files_appear_together_and_nothing_else_stays(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with output_folder(target) as folder:
        (folder / "one.txt").write_text("1")
        (folder / "two.txt").write_text("2")
        assert not (target / "one.txt").exists()
    assert sorted(path.name for path in target.iterdir()) == ["one.txt", "two.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "one.txt").write_text("old")
    with pytest.raises(error), output_folder(tmp_path, replaces=("stale.txt",)) as folder:
        (folder / "one.txt").write_text("new")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["one.txt"]
    assert (tmp_path / "one.txt").read_text() == "old"


def test_a_failure_removes_the_folders_it_made_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(RuntimeError), output_folder(tmp_path / "mine" / "new" / "newer"):
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_an_earlier_runs_files_are_replaced_or_removed_and_others_kept(tmp_path: Path) -> None:
    for name in ("liver.ply", "tumor.ply", "notes.txt"):
        (tmp_path / name).write_text("old")
    with output_folder(tmp_path, replaces=("liver.ply", "tumor.ply", "vessel.ply")) as folder:
        (folder / "liver.ply").write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"liver.ply": "new", "notes.txt": "old"}


def test_a_file_in_the_way_is_refused_before_and_untouched(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for folder in (file, file / "below"):
        with pytest.raises(InputError, match="is a file"):
            check_output_folder(folder)
    assert file.read_text() == "mine"


def test_a_folder_where_a_file_goes_is_refused_before_anything_moves(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(InputError, match=r"report\.json"), output_folder(tmp_path) as folder:
        (folder / "labels.nii.gz").write_text("new")
        (folder / "report.json").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
