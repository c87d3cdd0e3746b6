# SPDX-License-Identifier: Apache-2.0
"""TotalSegmentator's public data set: a folder a subject with `ct.nii.gz` and one file a structure; `meta.csv`.

Of its structures the networks learn the liver. Its portal vein ends at the liver and it has no hepatic ones, so it says
nothing about vessels. Subjects without a liver in view have an empty mask: they teach a localizer what is none.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_folders import TOTALSEGMENTATOR_MASKS
from liver_seg_ros.files.label_schemes import TOTALSEGMENTATOR
from liver_seg_ros.training.sources.reading import folders_in, read_scan
from liver_seg_ros.training.sources.subject import TESTING, TRAINING, VALIDATION, Subject

IMAGE, MASK, INDEX = "ct.nii.gz", "liver.nii.gz", "meta.csv"

_PARTS = {"train": TRAINING, "val": VALIDATION, "test": TESTING}


def looks_like(folder: Path) -> bool:
    """Whether the folder holds subjects of the data set."""
    return any((path.parent / IMAGE).is_file() for path in folder.glob(f"*/{TOTALSEGMENTATOR_MASKS}"))


def subjects(folder: Path) -> tuple[Subject, ...]:
    """A subject a folder, in the part that `meta.csv` puts it into. Raises `InputError` where that cannot be read."""
    given = _given(folder / INDEX)
    return tuple(_subject(path, given.get(path.name)) for path in folders_in(folder) if (path / IMAGE).exists())


def _subject(folder: Path, given: str | None) -> Subject:
    image, labels = folder / IMAGE, folder / TOTALSEGMENTATOR_MASKS / MASK
    load = partial(read_scan, image, labels, TOTALSEGMENTATOR)
    return Subject(folder.name, folder.name, (image, labels), load, given)


def _given(path: Path) -> dict[str, str]:
    """Subject -> the part that the data set's authors put it into; nothing where there is no `meta.csv`."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            rows = list(csv.DictReader(file, delimiter=";" if ";" in header else ","))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    return {row["image_id"]: _PARTS[row["split"]] for row in rows if row.get("split") in _PARTS and row.get("image_id")}
