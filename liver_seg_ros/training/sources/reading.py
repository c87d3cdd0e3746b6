# SPDX-License-Identifier: Apache-2.0
"""What the sources share: a CT with its labels from files, names in their order, and the bounds on what is unpacked."""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liver_seg_ros.atomic import scratch_folder
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.found_labels import FoundLabels
from liver_seg_ros.files.label_schemes import LabelScheme
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.matching import on_grid_of
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.training.sources.subject import Scan
from liver_seg_ros.truth import Truth, as_truth
from liver_seg_ros.volume import Volume

#: An archive that claims more is not unpacked. A scan of 1000 slices has half a GiB.
_MOST_BYTES = 8 << 30
_MOST_FILES = 50_000
#: What zipfile raises for damage (bzip2: an `OSError` without a number), a password, or an unknown way of compression.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError)


def read_scan(image: Path, labels: Path, scheme: LabelScheme | None) -> Scan:
    """The CT `image` with `labels`. Raises `InputError` where one cannot be read or they are not on one grid."""
    ct = read_volume(image)
    return scan_of(ct, read_label_source(labels, scheme, ct.geometry), labels)


def scan_of(ct: Volume, found: FoundLabels, labels: Path) -> Scan:
    """The scan of a CT and the labels found for it. Raises `InputError` where they are not on one grid."""
    truth = as_truth(found, str(labels))
    return Scan(ct, Truth(on_grid_of(ct, truth.labels, str(labels)), truth.structures))


def by_number(name: str) -> tuple[tuple[int, str], ...]:
    """A key to sort names by, in which `volume-10` comes after `volume-9`."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def folders_in(folder: Path) -> list[Path]:
    """The folders in `folder`, numbers as numbers; hidden ones left out. Raises `InputError` where it is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the one that the data set was unpacked into")
    inside = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(inside, key=lambda path: by_number(path.name))


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """`path` where it is a folder; else the folder that the .zip beside it of that name holds, for the block's time.

    Raises `InputError` where there is neither, or the archive is damaged or claims too much.
    """
    if path.is_dir():
        yield path
        return
    archive = path.with_name(f"{path.name}.zip")
    if not archive.is_file():
        raise InputError(f"{path}: is missing, and so is {archive.name}")
    with scratch_folder() as scratch:
        try:
            with zipfile.ZipFile(archive) as files:
                inside = files.infolist()
                if len(inside) > _MOST_FILES or sum(file.file_size for file in inside) > _MOST_BYTES:
                    raise InputError(f"{archive}: claims {len(inside)} files or more than {_MOST_BYTES >> 30} GiB")
                files.extractall(scratch)
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise InputError(f"{archive}: cannot be unpacked into {scratch.parent}: {error.strerror}") from error
            raise InputError(f"{archive}: is no whole archive ({error}); fetch it again") from error
        yield scratch / path.name if (scratch / path.name).is_dir() else scratch
