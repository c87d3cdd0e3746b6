# SPDX-License-Identifier: Apache-2.0
"""Zipped data sets: what is damaged, locked or does not fit on the disk is told in one line, nothing of it stays."""

from __future__ import annotations

import errno
import resource
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.sources.reading import unpacked

CONTENT = bytes(range(256)) * 400
HEADER_BYTES = 30 + len("scan/slice")  # before a member's data


def archive(folder: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "scan.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("scan/slice", CONTENT)
    return path


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(HEADER_BYTES, HEADER_BYTES + 20):
        data[place] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def locked(path: Path) -> None:
    """The flag of encryption, in the member's own header and in the directory at the end."""
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


def of_another_kind(path: Path) -> None:
    """A compression method that there is not."""
    data = bytearray(path.read_bytes())
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 77
    path.write_bytes(data)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file grows beyond 10 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signaled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, signaled)


def test_a_whole_archive_is_there_for_the_block_and_gone_after_it(tmp_path: Path) -> None:
    archive(tmp_path)
    with unpacked(tmp_path / "scan") as folder:
        assert (folder / "slice").read_bytes() == CONTENT
    assert not folder.exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("damage", [damaged, cut, locked, of_another_kind])
def test_an_archive_that_is_not_whole_is_named(damage: Callable[[Path], None], method: int, tmp_path: Path) -> None:
    path = archive(tmp_path, method)
    damage(path)
    with pytest.raises(InputError) as refused, unpacked(tmp_path / "scan"):
        pass
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_not_the_archive_s_fault(tmp_path: Path) -> None:
    archive(tmp_path)
    with pytest.raises(InputError, match="cannot be unpacked") as refused, unpacked(tmp_path / "scan"):
        pass
    assert refused.value.__cause__.errno == errno.EFBIG and "fetch it again" not in str(refused.value)
