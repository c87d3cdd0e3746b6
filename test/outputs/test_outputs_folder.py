# SPDX-License-Identifier: Apache-2.0
"""The output folder: all files or none, nothing half-written, and a place that cannot be written is told beforehand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from liver_seg_ros.errors import InputError, WriteError
from liver_seg_ros.outputs.folder import ResultFolder

RECORD = ".liver-seg.json"


def write(folder: Path, content: str, *names: str, may_write: tuple[str, ...] = ()) -> None:
    """A run of the command `draw`, which writes these files, and might have written others."""
    with ResultFolder(folder, "draw", (*names, *may_write)).filled() as inside:
        for name in names:
            (inside / name).write_text(content)


def contents(folder: Path) -> dict[str, str]:
    """Name to text, the record aside."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != RECORD}


def test_files_appear_together_and_nothing_else_stays(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with ResultFolder(target, "draw", ("one.txt", "two.txt")).filled() as folder:
        (folder / "one.txt").write_text("1")
        (folder / "two.txt").write_text("2")
        assert not (target / "one.txt").exists()
    assert sorted(path.name for path in target.iterdir()) == [RECORD, "one.txt", "two.txt"]


def test_nothing_is_made_before_the_work(tmp_path: Path) -> None:
    ResultFolder(tmp_path / "a" / "b", "draw", ("one.txt",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    write(tmp_path, "old", "one.txt", "stale.txt")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(error), ResultFolder(tmp_path, "draw", ("one.txt",)).filled() as folder:
        (folder / "one.txt").write_text("new")
        raise error
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_failure_removes_the_folders_it_made_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(RuntimeError), ResultFolder(tmp_path / "mine" / "new" / "newer", "draw", ()).filled():
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_an_earlier_runs_files_are_replaced_or_removed_and_others_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write(tmp_path, "old", "liver.ply", "tumor.ply")
    write(tmp_path, "new", "liver.ply", may_write=("tumor.ply", "vessel.ply"))
    assert contents(tmp_path) == {"liver.ply": "new", "notes.txt": "mine"}
    write(tmp_path, "newest", "liver.ply", "tumor.ply")  # and so on
    assert contents(tmp_path) == {"liver.ply": "newest", "tumor.ply": "newest", "notes.txt": "mine"}


def test_a_move_that_fails_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "old", "a.txt", "b.txt", "stale.txt")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    rename = Path.rename

    def refuse_b(self: Path, target: Path) -> Path:
        if self.name == "b.txt" and target.parent == tmp_path and self.read_text() == "new":
            raise PermissionError(1, "Operation not permitted")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_b)
    with pytest.raises(PermissionError):
        write(tmp_path, "new", "a.txt", "b.txt")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_was_not_checked_is_a_bug(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"surprise\.txt"),
        ResultFolder(tmp_path, "draw", ("one.txt",)).filled() as folder,
    ):
        (folder / "surprise.txt").write_text("1")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused_before_and_untouched(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for folder in (file, file / "below"):
        with pytest.raises(InputError, match="is a file"):
            ResultFolder(folder, "draw", ())
    assert file.read_text() == "mine"


def test_a_folder_where_a_file_goes_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"report\.json"):
            ResultFolder(tmp_path, "draw", ("labels.nii.gz", "report.json"), overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_what_comes_in_the_way_during_the_work_is_not_replaced(tmp_path: Path) -> None:
    place = ResultFolder(tmp_path, "draw", ("one.txt",))
    with pytest.raises(InputError, match="was not written by"), place.filled() as folder:
        (folder / "one.txt").write_text("new")
        (tmp_path / "one.txt").write_text("someone's")
    assert contents(tmp_path) == {"one.txt": "someone's"}


@pytest.mark.parametrize("name", ["/proc/no-such/results", "x" * 300, "link/results", "link"])
def test_a_place_that_cannot_be_made_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("nowhere")
    with pytest.raises(InputError, match="cannot"):
        ResultFolder(Path(name), "draw", ("one.txt",))
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_folder_without_permission_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with _without_root(), pytest.raises(InputError, match=r"cannot write here \(Permission denied\)"):
        ResultFolder(tmp_path, "draw", ("one.txt",))
    with _without_root(), pytest.raises(InputError, match=r"cannot write here \(Permission denied\)"):
        ResultFolder(tmp_path / "new", "draw", ("one.txt",))
    tmp_path.chmod(0o755)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No space left"), ResultFolder(tmp_path / "a", "draw", ("one.txt",)).filled():
        Path("/dev/full").write_text("this device has never space")
    assert list(tmp_path.iterdir()) == []


@contextmanager
def _without_root() -> Iterator[None]:
    """Permissions mean nothing to root: be nobody for a moment, where possible."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)
