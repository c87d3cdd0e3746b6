# SPDX-License-Identifier: Apache-2.0
"""Which CTs a cohort has: those of a folder, or of the rows of a CSV file."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_pairs import CASE_FILE, SUFFIXES
from liver_seg_ros.files.suffixes import ITK_SUFFIXES, NIFTI_SUFFIXES

#: Columns of a CSV file; the first is needed.
CT, CASE, TRUTH = "ct", "case", "truth"
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES[::-1], *ITK_SUFFIXES)
#: What a case's folder can be called on any system.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


@dataclass(frozen=True)
class CohortCase:
    """One CT.

    Attributes:
        name: of its folder among the results, and its row.
        ct: file, or folder of DICOM.
        truth: labels to score against; None where there are none.
        told: what its row says was read; "" for the path.
        trouble: why the CT cannot be had; "" where it can.
    """

    name: str
    ct: Path
    truth: Path | None = None
    told: str = ""
    trouble: str = ""

    @property
    def source(self) -> str:
        """What is read, in words."""
        return self.told or str(self.ct)


def list_cases(source: Path) -> list[CohortCase]:
    """The cases of a folder or a CSV file, by name.

    In a folder: each volume file, and each folder in it, which holds either `ct.*` (and `labels.*`, which then are its
    truth, as `liver-seg phantom` writes them) or DICOM. In a CSV file: a column `ct`, and where wanted `case` and
    `truth`; paths are relative to the file.

    Raises:
        InputError: there is none, a CSV file without the column, two cases of one name, or a name that no folder can
            have.
    """
    if source.is_file() and source.suffix.lower() == ".csv":
        cases = _of_csv(source)
    elif source.is_dir():
        cases = _of_folder(source)
    else:
        raise InputError(
            f"{source} is neither a folder nor a CSV file; give a folder of CTs, or a CSV with a column ct"
        )
    if not cases:
        raise InputError(f"{source} lists no CT; give a folder of CT files or DICOM folders, or a CSV with a column ct")
    seen: set[str] = set()
    for case in cases:
        if not _NAME.fullmatch(case.name):
            raise InputError(
                f"{source}: '{case.name}' cannot be the name of a folder; name the case with letters, digits and "
                "_ . + -, in a CSV's column case"
            )
        if case.name in seen:
            raise InputError(f"{source}: two cases are called '{case.name}'; name them in a CSV's column case")
        seen.add(case.name)
    return sorted(cases, key=lambda case: case.name)


def _of_csv(file: Path) -> list[CohortCase]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if CT not in (reader.fieldnames or ()):
                raise InputError(f"{file}: the first line must name the columns, with one called {CT}")
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"{file} cannot be read as CSV ({' '.join(str(error).split())}); save it as UTF-8") from error
    cases = []
    for number, row in enumerate(rows, 2):
        if not any(row.values()):
            continue
        if not row[CT]:
            raise InputError(f"{file}, line {number}: no {CT}; give a file or a folder of DICOM")
        ct = file.parent / row[CT]
        truth = file.parent / row[TRUTH] if row.get(TRUTH) else None
        cases.append(CohortCase(row.get(CASE) or _stem(ct), ct, truth))
    return cases


def _of_folder(folder: Path) -> list[CohortCase]:
    cases = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            ct = _named(path, CT, VOLUME_SUFFIXES)
            # Only beside a CT file: what is in a folder of DICOM may be anything.
            truth = None if ct is None else _named(path, CASE_FILE, SUFFIXES)
            if ct is not None or any(entry.is_file() for entry in path.rglob("*")):
                cases.append(CohortCase(path.name, ct or path, truth))
        elif path.name.lower().endswith(VOLUME_SUFFIXES):
            cases.append(CohortCase(_stem(path), path))
    return cases


def _named(folder: Path, name: str, suffixes: tuple[str, ...]) -> Path | None:
    return next((path for suffix in suffixes if (path := folder / f"{name}{suffix}").is_file()), None)


def _stem(path: Path) -> str:
    suffix = next((s for s in VOLUME_SUFFIXES if path.name.lower().endswith(s)), "")
    return path.name[: -len(suffix)] if suffix else path.name
