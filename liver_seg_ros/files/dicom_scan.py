# SPDX-License-Identifier: Apache-2.0
"""Finding the CT series among the DICOM files of a folder, and choosing one."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import (
    CT_STORAGES,
    MULTI_FRAME,
    looks_like_dicom,
    read_header,
    series_uid_of_damaged,
)
from liver_seg_ros.files.dicom_slice import is_localizer
from liver_seg_ros.progress import Done, not_told

DICOM_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
MOST_NAMED = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unreadable:
    """A file that is DICOM, or is named as if, and cannot be read.

    Attributes:
        path: the file.
        reason: one line that names it.
        series_uid: the series that it belongs to; None where it does not even tell that.
    """

    path: Path
    reason: str
    series_uid: str | None = None


@dataclass(frozen=True)
class Found:
    """The DICOM files of a folder: headers of those that can be read, and the others."""

    headers: list[Dataset] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def unreadable_names(self) -> str:
        """Such as `a.dcm, b.dcm and 3 more`; empty where all can be read."""
        return listed([file.path.name for file in self.unreadable])


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def scan(files: Sequence[Path], done: Done = not_told) -> Found:
    """Those of `files` that are DICOM; everything else is ignored. No file makes the others unreadable."""
    found = Found()
    for number, path in enumerate(files):
        done(number / len(files))
        if not path.is_file():
            continue
        try:
            if looks_like_dicom(path):
                found.headers.append(read_header(path))
            elif _is_named_like_dicom(path):
                found.unreadable.append(Unreadable(path, f"{path}: is no DICOM file. Copy or export it again."))
        except InputError as error:
            found.unreadable.append(Unreadable(path, str(error), series_uid_of_damaged(path)))
        except OSError as error:
            found.unreadable.append(Unreadable(path, f"{path}: cannot be opened ({error.strerror})."))
    return found


def choose_series(found: Found, series_uid: str | None, where: str) -> list[Dataset]:
    """The headers of the files of one CT series; scouts and all that is no CT image are left out.

    Files that cannot be read and may not belong to it are named in a warning.

    Raises:
        InputError: no CT series here, several and no UID, the UID is not that of a CT series here, or a file of the
            series cannot be read.
    """
    headers = found.headers
    series: dict[str, list[Dataset]] = defaultdict(list)
    for header in headers:
        if header.get("SOPClassUID") in CT_STORAGES and not is_localizer(header):
            series[str(header.get("SeriesInstanceUID", ""))].append(header)
    if series_uid is None and len(series) == 1:
        series_uid = next(iter(series))
    if series_uid in series:
        _judge_unreadable(found, series_uid, where)
        return series[series_uid]
    unreadable = f" (not readable: {found.unreadable_names})" if found.unreadable else ""
    if not headers:
        raise InputError(f"{where}: holds no DICOM files{unreadable}. Give the folder of a CT series.")
    if not series:
        kinds = _kinds(headers)
        raise InputError(f"{where}: holds no CT series, only {kinds}{unreadable}. Give the folder of a CT series.")
    if series_uid is None:
        raise InputError(
            f"{where}: holds {len(series)} CT series; choose one by its UID with --series (a node: parameter "
            f"'series_uid'; a cohort's CSV: one of its files): {_listed(series)}"
        )
    of_uid = [header for header in headers if str(header.get("SeriesInstanceUID", "")) == series_uid]
    if of_uid:
        raise InputError(f"{where}: series {series_uid} is {_kinds(of_uid)}, no CT; there is {_listed(series)}")
    raise InputError(f"{where}: has no series {series_uid}; there is {_listed(series)}")


def _judge_unreadable(found: Found, series_uid: str, where: str) -> None:
    """Refuse the series where a file of it is unreadable; warn of files that tell no series or another."""
    for file in found.unreadable:
        if file.series_uid == series_uid:
            raise InputError(file.reason)
    if found.unreadable:
        _log.warning("%s: left out what cannot be read: %s", where, found.unreadable_names)


def _is_named_like_dicom(path: Path) -> bool:
    """Whether a file that does not begin like DICOM was probably meant to be: by its suffix, or empty or binary and
    without one, as the files of many archives are."""
    suffix = path.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return True
    if path.name.startswith(".") or (suffix and not suffix[1:].isdigit()):
        return False
    with path.open("rb") as file:
        beginning = file.read(1024)
    return not beginning or b"\0" in beginning


def _kinds(headers: Sequence[Dataset]) -> str:
    """Such as `2 MR, 1 CT localizer`."""
    kinds = Counter(_kind(header) for header in headers)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def _kind(header: Dataset) -> str:
    modality = str(header.get("Modality") or "unknown")
    if header.get("SOPClassUID") in CT_STORAGES:
        return f"{modality} localizer"
    name = header.get("SOPClassUID")
    return f"{modality} ({name.name})" if name is not None and name.name != str(name) else modality


def _listed(series: dict[str, list[Dataset]]) -> str:
    return "; ".join(
        f"{uid} ({str(files[0].get('SeriesDescription') or 'no description').strip()}, {_slices(files)} slices)"
        for uid, files in sorted(series.items())
    )


def _slices(files: list[Dataset]) -> int:
    return sum(int(f.get("NumberOfFrames") or 1) if f.get("SOPClassUID") in MULTI_FRAME else 1 for f in files)
