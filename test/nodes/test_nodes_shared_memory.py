# SPDX-License-Identifier: Apache-2.0
"""Volumes in POSIX shared memory: what a reader believes, and that nothing stays of those who end without a word."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes import shared_memory
from liver_seg_ros.nodes.shared_memory import Segment, SegmentGoneError, read, release_all, remove_orphans

INT16 = np.dtype("<i2")


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(-1000, 1000, (7, 30, 20), np.int16)


@pytest.fixture
def segment(array):
    segment = Segment(array)
    yield segment
    segment.release()


def path_of(segment):
    return shared_memory.FOLDER / segment.place.segment


def test_what_is_read_is_what_was_written_and_is_a_copy(segment, array):
    found = read(segment.place, array.shape, INT16, "volume x")
    np.testing.assert_array_equal(found, array)
    with path_of(segment).open("r+b") as file:
        file.truncate(0)  # would end who has it mapped
    np.testing.assert_array_equal(found, array)
    assert path_of(segment).stat().st_mode & 0o077 == 0, "others may read a patient's CT"


def test_a_released_or_replaced_segment_is_gone(segment, array):
    with pytest.raises(SegmentGoneError, match=r"volume x: .* another volume by now"):
        read(replace(segment.place, generation=segment.place.generation ^ 1), array.shape, INT16, "volume x")
    with pytest.raises(SegmentGoneError, match="another host"):
        read(replace(segment.place, boot_id="another"), array.shape, INT16, "volume x")
    segment.release()
    segment.release()
    with pytest.raises(SegmentGoneError, match="cannot be opened"):
        read(segment.place, array.shape, INT16, "volume x")


@pytest.mark.parametrize("change", [lambda file: file.write(bytes(8)), lambda file: file.truncate(3000)])
def test_a_segment_that_changes_while_it_is_read_is_gone(segment, array, change, monkeypatch):
    read_really = os.preadv

    def read_in_parts(file, buffers, offset):
        count = read_really(file, [buffers[0][:2000]], offset)
        with path_of(segment).open("r+b") as changed:
            change(changed)
        return count

    monkeypatch.setattr(os, "preadv", read_in_parts)
    with pytest.raises(SegmentGoneError, match="another volume by now"):
        read(segment.place, array.shape, INT16, "volume x")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../etc/passwd", "/etc/passwd", "a/b", ".hidden", "a\0b", "a\nb", "x" * 300]
)
def test_a_name_leads_nowhere_else(segment, array, name):
    with pytest.raises(InputError, match="is no name of a segment"):
        read(replace(segment.place, segment=name), array.shape, INT16, "volume x")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"segment_bytes": 10**6}, "bytes, not 1000000"),
        ({"segment_bytes": 8 + 7 * 30 * 20 * 2, "data_offset_bytes": 8}, "has 8464 bytes, not 8408"),
        ({"data_offset_bytes": 0}, "do not lie behind"),
        ({"data_offset_bytes": 2**63}, "do not lie behind"),
        ({"data_offset_bytes": 66}, "do not lie behind"),
    ],
)
def test_sizes_that_cannot_be_are_refused(segment, array, change, says):
    with pytest.raises(InputError, match=says):
        read(replace(segment.place, **change), array.shape, INT16, "volume x")
    with pytest.raises(InputError, match="do not lie behind"):
        read(segment.place, (7, 30, 21), INT16, "volume x")


def test_what_is_no_file_is_not_opened_for_long(segment, array, tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("fifo", "folder", "link"):
        with pytest.raises(InputError):
            read(replace(segment.place, segment=name), array.shape, INT16, "volume x")


def test_no_room_leaves_nothing(array, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = set(shared_memory.FOLDER.iterdir())
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        Segment(array)
    assert {p for p in set(shared_memory.FOLDER.iterdir()) - before if f"_{os.getpid()}_" in p.name} == set()


def test_a_killed_owner_leaves_an_orphan_until_the_next_start_and_a_living_one_keeps_its_own(segment):
    program = """
import sys
import numpy as np
from liver_seg_ros.nodes.shared_memory import Segment
segment = Segment(np.zeros(1000, np.int16))
print(segment.place.segment, flush=True)
sys.stdin.read()
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    name = owner.stdout.readline().strip()
    assert name not in remove_orphans() and (shared_memory.FOLDER / name).exists()
    owner.kill()
    owner.communicate()
    assert (shared_memory.FOLDER / name).exists()
    assert name in remove_orphans() and not (shared_memory.FOLDER / name).exists()
    assert path_of(segment).exists()


def test_all_of_a_process_goes_when_it_ends_in_the_ordinary_way(array):
    segments = [Segment(array) for _ in range(2)]
    release_all()
    assert not any(path_of(segment).exists() for segment in segments)
