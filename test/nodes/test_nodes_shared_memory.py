# SPDX-License-Identifier: Apache-2.0
"""Volumes in shared memory: what a reader believes, that it copies nothing, and that nothing stays of those who end."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes import shared_memory
from liver_seg_ros.nodes.shared_memory import Segment, SegmentGoneError, read
from liver_seg_ros.offload.sealed_memory import NAME, mapped_at

INT16 = np.dtype("<i2")


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(-1000, 1000, (7, 30, 20), np.int16)


@pytest.fixture
def segment(array):
    segment = Segment(array)
    yield segment
    segment.release()


def file_of(array):
    mapping, _ = mapped_at(array.data.cast("B"))
    return os.fstat(mapping.file).st_ino


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def place_of(file, place):
    return replace(place, segment=f"/proc/{os.getpid()}/fd/{file}")


def test_what_is_read_is_what_was_written_and_both_have_the_same_memory(segment, array):
    found, again = (read(segment.place, array.shape, INT16, "volume x") for _ in range(2))
    np.testing.assert_array_equal(found, array)
    assert file_of(found) == file_of(again) == Path(segment.place.segment).stat().st_ino
    array[:] = 0  # of whoever published it; what was published stays
    assert found.any() and not found.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        found[:] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        found.flags.writeable = True


def test_nobody_can_change_or_shorten_it(segment, array):
    file = os.open(segment.place.segment, os.O_RDWR)
    for change in (
        lambda: os.pwrite(file, b"x", 100),
        lambda: os.ftruncate(file, 0),
        lambda: os.ftruncate(file, 10**6),
        lambda: mmap.mmap(file, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE),
    ):
        with pytest.raises(OSError, match="not permitted"):
            change()
    os.close(file)
    np.testing.assert_array_equal(read(segment.place, array.shape, INT16, "volume x"), array)


def test_what_was_read_is_passed_on_as_it_is(segment, array):
    found = read(segment.place, array.shape, INT16, "volume x")
    onwards = Segment(found[2:5])
    assert Path(onwards.place.segment).stat().st_ino == file_of(found)
    part = read(onwards.place, (3, 30, 20), INT16, "volume x")
    segment.release()
    onwards.release()
    np.testing.assert_array_equal(part, array[2:5])
    turned = Segment(found[::-1])
    assert Path(turned.place.segment).stat().st_ino != file_of(found)
    np.testing.assert_array_equal(read(turned.place, array.shape, INT16, "volume x"), array[::-1])
    turned.release()


def test_a_released_or_replaced_segment_is_gone_and_who_read_it_goes_on(segment, array):
    found = read(segment.place, array.shape, INT16, "volume x")
    with pytest.raises(SegmentGoneError, match=r"volume x: .* another volume by now"):
        read(replace(segment.place, generation=segment.place.generation ^ 1), array.shape, INT16, "volume x")
    with pytest.raises(SegmentGoneError, match="another host"):
        read(replace(segment.place, boot_id="another"), array.shape, INT16, "volume x")
    segment.release()
    segment.release()
    with pytest.raises(SegmentGoneError, match="cannot be opened"):
        read(segment.place, array.shape, INT16, "volume x")
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "path",
    ["", "..", "/etc/passwd", "/proc/1/fd/../../../etc/passwd", "/proc/self/fd/1", "/proc/1/fd/1\n", "/proc/1/mem"],
)
def test_a_path_leads_nowhere_else(segment, array, path):
    with pytest.raises(InputError, match="is no path of a segment"):
        read(replace(segment.place, segment=path), array.shape, INT16, "volume x")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"segment_bytes": 10**6}, "bytes, not 1000000"),
        ({"segment_bytes": 8 + 7 * 30 * 20 * 2, "data_offset_bytes": 8}, "has 8512 bytes, not 8408"),
        ({"data_offset_bytes": 0}, "do not lie behind"),
        ({"data_offset_bytes": 2**63}, "do not lie behind"),
        ({"data_offset_bytes": 8512 - 8398}, "do not lie behind"),
        ({"data_offset_bytes": 65}, "no multiple of 2"),
    ],
)
def test_sizes_that_cannot_be_are_refused(segment, array, change, says):
    with pytest.raises(InputError, match=says):
        read(replace(segment.place, **change), array.shape, INT16, "volume x")
    with pytest.raises(InputError, match="do not lie behind"):
        read(segment.place, (7, 30, 22), INT16, "volume x")


def test_a_file_that_could_still_change_or_has_holes_is_refused(segment, array):
    size, seals = segment.place.segment_bytes, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    for missing in (0, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE):
        file = os.memfd_create(NAME, os.MFD_ALLOW_SEALING)
        os.ftruncate(file, size)
        if missing:
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals & ~missing)
        with pytest.raises(InputError, match="is not sealed"):
            read(place_of(file, segment.place), array.shape, INT16, "volume x")
        os.close(file)
    file = os.memfd_create(NAME, os.MFD_ALLOW_SEALING)
    os.ftruncate(file, size)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    with pytest.raises(InputError, match="has holes"):
        read(place_of(file, segment.place), array.shape, INT16, "volume x")
    os.close(file)


def test_what_is_none_of_ours_is_not_opened(segment, array, monkeypatch):
    """A pid and a descriptor may be another process's by now, and to open a device may set it going."""
    theirs = os.memfd_create("another", os.MFD_ALLOW_SEALING)
    pipe, end = os.pipe()
    opened = []
    with tempfile.TemporaryFile() as file:
        monkeypatch.setattr(os, "open", lambda *which: opened.append(which))
        for number in (theirs, pipe, end, file.fileno()):
            with pytest.raises(SegmentGoneError, match="cannot be opened"):
                read(place_of(number, segment.place), array.shape, INT16, "volume x")
    assert not opened
    for number in (theirs, pipe, end):
        os.close(number)


def test_a_descriptor_that_was_used_again_is_another_volume(segment, array):
    """The number of a released segment is the next one's."""
    old = segment.place
    segment.release()
    newer = Segment(array + 1)
    assert newer.place.segment == old.segment and newer.place.generation != old.generation
    with pytest.raises(SegmentGoneError, match="another volume by now"):
        read(old, array.shape, INT16, "volume x")
    newer.release()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may be another user")
def test_another_user_finds_nothing(segment, array):
    program = f"""
import os, sys
os.setgid(65534), os.setuid(65534)
try:
    os.open({segment.place.segment!r}, os.O_RDONLY)
except PermissionError:
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 7


def test_no_room_is_an_error_and_leaves_nothing(array, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = open_files()
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        Segment(array)
    monkeypatch.setattr(shared_memory, "free_memory_bytes", lambda: 2 * array.nbytes - 1)
    with pytest.raises(OSError, match="are free"):
        Segment(array)
    assert open_files() == before


def test_of_a_killed_owner_nothing_stays_and_who_has_mapped_it_goes_on(array):
    program = """
import sys
import numpy as np
from liver_seg_ros.nodes.shared_memory import Segment
place = Segment(np.arange(4200, dtype=np.int16)).place
print(*vars(place).values(), flush=True)
sys.stdin.read()
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    path, *numbers, boot_id = owner.stdout.readline().split()
    place = shared_memory.Place(path, *map(int, numbers), boot_id)
    found = read(place, array.shape, INT16, "volume x")
    owner.kill()
    owner.communicate()
    np.testing.assert_array_equal(found.ravel(), np.arange(4200))
    with pytest.raises(SegmentGoneError):
        read(place, array.shape, INT16, "volume x")


def test_nothing_stays_open_or_mapped(array):
    def held():
        gc.collect()
        return Path("/proc/self/maps").read_text().count(f"memfd:{NAME}"), open_files()

    before = held()
    for _ in range(3):
        segment = Segment(array)
        onwards = Segment(read(segment.place, array.shape, INT16, "volume x"))
        segment.release(), onwards.release()
    del segment, onwards
    assert held() == before
