# SPDX-License-Identifier: Apache-2.0
"""No half-written file stays, whatever happens while writing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.outputs.folder import check_folder


def test_file_appears_when_done_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "ct.nii.gz"
    with written_beside(path) as temporary:
        assert temporary.parent.parent == path.parent  # on the same disk
        assert temporary.name == "ct.nii.gz"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_nothing_and_keeps_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "ct.nii.gz"
    path.write_text("old")
    with pytest.raises(error), written_beside(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="cannot write here"), written_beside(tmp_path / "out" / "ct.nii.gz"):
        pass


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"), written_beside(tmp_path):
        pass


@pytest.mark.parametrize("deepest", [True, False])
def test_another_process_takes_away_the_folder_that_both_made(
    deepest: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `check_folder` of a training's second process does between two steps of the first one's."""
    out, mkdir, left = tmp_path / "new" / "out", os.mkdir, [3]

    def after_the_other(path: Any, *more: Any, **named: Any) -> None:
        inside = Path(path).name.startswith(".liver-seg")
        if left[0] and inside == deepest:
            left[0] -= 1
            for folder in (out, out.parent) if inside else (out.parent,):
                if folder.is_dir():
                    folder.rmdir()
        mkdir(path, *more, **named)

    monkeypatch.setattr(os, "mkdir", after_the_other)
    check_folder(out, "--output")
    assert not list(tmp_path.iterdir())
    with written_beside(out / "ct.nii.gz") as temporary:
        temporary.write_text("whole")
    assert (out / "ct.nii.gz").read_text() == "whole"
    assert left == [0]
