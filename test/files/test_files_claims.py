# SPDX-License-Identifier: Apache-2.0
"""A header may claim what it likes: memory is not spent on it before the file and the machine are asked."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from math import inf
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros import memory
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.claims import MOST_INFLATED, check_claim
from liver_seg_ros.files.volumes import read_labels, read_volume, write_volume
from liver_seg_ros.memory import free_memory_bytes
from liver_seg_ros.volume import Volume

MEMINFO = "MemTotal:       32 kB\nMemFree:        5 kB\nMemAvailable:   {} kB\n"


@pytest.fixture
def free_kb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes the machine say that so many kB are free."""

    def say(kb: int) -> None:
        (tmp_path / "meminfo").write_text(MEMINFO.format(kb))
        monkeypatch.setattr(memory, "MEMORY", tmp_path / "meminfo")

    return say


def test_no_byte_of_deflate_becomes_more() -> None:
    zeros = bytes(1 << 24)
    assert MOST_INFLATED == 1032
    assert MOST_INFLATED - 10 < len(zeros) / len(zlib.compress(zeros, 9)) < MOST_INFLATED


def test_as_many_bytes_as_the_file_can_hold() -> None:
    check_claim("ct.nii", (10, 10, 10), 2, 2000)
    with pytest.raises(InputError, match="more than the file can hold"):
        check_claim("ct.nii", (10, 10, 10), 2, 1999)


def test_what_a_volume_needs_fits_into_free_memory(free_kb) -> None:
    free_kb(4000)  # 1000 x 1024 voxels of 2 bytes and a copy of 2
    check_claim("ct.nii", (1000, 1024, 1), 2)
    check_claim("ct.nii", (800, 1024, 1), 3)
    with pytest.raises(
        InputError,
        match=r"ct.nii: its header claims 1001x1024x1 voxels of 2 bytes, which need",
    ):
        check_claim("ct.nii", (1001, 1024, 1), 2)


def test_gib_are_gib(free_kb) -> None:
    free_kb(3 << 20)
    with pytest.raises(InputError, match=r"which need 64.0 GiB; 3.0 GiB of memory are free"):
        check_claim("ct.nii", (4096, 4096, 1024), 2)


def test_free_memory_is_what_is_available_in_kib(free_kb) -> None:
    free_kb(7)
    assert free_memory_bytes() == 7168


def test_free_memory_of_this_machine() -> None:
    assert 10e6 < free_memory_bytes() < 1e14


@pytest.mark.parametrize("content", [None, "", "MemTotal: 5 kB\n", "MemAvailable: much\n"])
def test_a_kernel_that_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None) -> None:
    monkeypatch.setattr(memory, "MEMORY", tmp_path / "meminfo")
    if content is not None:
        (tmp_path / "meminfo").write_text(content)
    assert free_memory_bytes() == inf


@pytest.mark.parametrize("size", [(0, 4, 4), (4, -1, 4)])
def test_sizes_that_are_none(size: tuple) -> None:
    with pytest.raises(InputError, match="damaged"):
        check_claim("ct.nii", size, 2)


def claiming(path: Path, ct: Volume, size: tuple[int, int, int]) -> None:
    """Write `ct` to `path` with a header that claims another size."""
    if path.name.endswith((".nii", ".nii.gz")):
        write_volume(path, ct)
        is_compressed = path.suffix == ".gz"
        data = bytearray(gzip.decompress(path.read_bytes()) if is_compressed else path.read_bytes())
        data[42:48] = np.array(size, "<i2").tobytes()
        path.write_bytes(gzip.compress(data) if is_compressed else data)
        return
    image = SimpleITK.GetImageFromArray(ct.array)
    name = path.name.replace("_gz", "")
    SimpleITK.WriteImage(image, str(path.with_name(name)), useCompression="_gz" in path.name)
    key = b"DimSize = " if path.suffix == ".mha" else b"sizes: "
    data = path.with_name(name).read_bytes()
    old, new = (key + " ".join(map(str, n)).encode() for n in (ct.geometry.size, size))
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


EVERY_FORMAT = pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "ct.mha", "ct_gz.mha", "ct.nrrd", "ct_gz.nrrd"])


@EVERY_FORMAT
@pytest.mark.parametrize("read", [read_volume, read_labels])
def test_a_file_that_claims_sixty_gib(tmp_path: Path, ct: Volume, name: str, read) -> None:
    path = tmp_path / name
    claiming(path, ct, (4000, 4000, 2000))
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(InputError, match=r"4000x4000x2000 voxels of 2 bytes, more than the file can hold"):
        read(path)
    assert time.monotonic() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@EVERY_FORMAT
@pytest.mark.parametrize("read", [read_volume, read_labels])
def test_a_file_that_holds_more_than_fits_into_memory(tmp_path: Path, ct: Volume, name: str, read, free_kb) -> None:
    """Bytes behind the voxels, which take no room on the disk, make the claim possible: 59.6 GiB of zeros do exist."""
    path = tmp_path / name
    claiming(path, ct, (4000, 4000, 2000))
    with path.open("r+b") as file:
        file.truncate(64 << 30)
    free_kb(24 << 20)
    with pytest.raises(InputError, match=r"which need 119.2 GiB; 24.0 GiB of memory are free"):
        read(path)
