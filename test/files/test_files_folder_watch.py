# SPDX-License-Identifier: Apache-2.0
"""A watched folder: what appears is told once it is complete, and once."""

from __future__ import annotations

import os

from liver_seg_ros.files.folder_watch import FolderWatch


def test_what_appears_is_told_once_when_it_has_settled(tmp_path):
    (tmp_path / "old.nii.gz").write_bytes(b"1")
    watch = FolderWatch(tmp_path, settled_s=2.0)
    assert watch.complete(0.0) is None
    (tmp_path / "new.nii.gz").write_bytes(b"1")
    (tmp_path / "notes.txt").write_bytes(b"1")
    (tmp_path / ".hidden.nii").write_bytes(b"1")
    assert watch.complete(1.0) is None
    (tmp_path / "new.nii.gz").write_bytes(b"12")  # it is still being copied
    assert [watch.complete(now) for now in (2.0, 3.9)] == [None, None]
    assert watch.complete(4.0) == tmp_path / "new.nii.gz"
    assert [watch.complete(now) for now in (5.0, 50.0)] == [None, None]
    os.utime(tmp_path / "new.nii.gz", ns=(1, 1))
    assert watch.complete(60.0) is None
    assert watch.complete(62.0) == tmp_path / "new.nii.gz"


def test_a_series_grows_until_its_last_slice_and_a_header_waits_for_its_voxels(tmp_path):
    watch = FolderWatch(tmp_path / "incoming", settled_s=2.0)
    assert watch.complete(0.0) is None  # the folder itself is not there yet
    series = tmp_path / "incoming" / "patient" / "series"
    series.mkdir(parents=True)
    assert watch.complete(1.0) is None  # empty
    (series / "1.dcm").write_bytes(b"1")
    (tmp_path / "incoming" / "ct.mhd").write_bytes(b"1")
    assert watch.complete(2.0) is None
    (series / "2.dcm").write_bytes(b"1")
    assert watch.complete(3.0) is None
    (tmp_path / "incoming" / "ct.raw").write_bytes(b"1")
    assert watch.complete(4.5) is None
    assert watch.complete(5.0) == tmp_path / "incoming" / "patient"
    assert watch.complete(6.4) is None
    assert watch.complete(6.5) == tmp_path / "incoming" / "ct.mhd"
    assert watch.complete(99.0) is None
