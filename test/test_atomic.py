# SPDX-License-Identifier: Apache-2.0
"""No half-written file stays, whatever happens while writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError


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
