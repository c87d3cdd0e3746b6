# SPDX-License-Identifier: Apache-2.0
"""LiTS17 as it is distributed: `volume-N.nii` and `segmentation-N.nii`, in one folder or in those of its batches.

The 70 scans of its test set are called `test-volume-N.nii` and have no labels; they are no subjects.
"""

from __future__ import annotations

import re
from pathlib import Path

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_schemes import LITS
from liver_seg_ros.training.sources.reading import read_scan
from liver_seg_ros.training.sources.subject import Scan, Subject

_NAME = re.compile(r"(volume|segmentation)-(\d+)\.nii(\.gz)?")


def looks_like(folder: Path) -> bool:
    """Whether the folder, or one in it, holds volumes of LiTS."""
    return any(_NAME.fullmatch(path.name) for pattern in ("volume-*", "*/volume-*") for path in folder.glob(pattern))


def subjects(folder: Path) -> tuple[Subject, ...]:
    """A subject a volume. Raises `InputError` where a number is there twice."""
    found: dict[str, dict[int, Path]] = {"volume": {}, "segmentation": {}}
    for path in sorted(folder.rglob("*.nii*")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        kind, number = match[1], int(match[2])
        if number in found[kind]:
            raise InputError(f"{folder}: holds {found[kind][number]} and {path}; keep one of them")
        found[kind][number] = path
    volumes, labels = found["volume"], found["segmentation"]
    return tuple(_subject(number, volumes[number], labels.get(number)) for number in sorted(volumes))


def _subject(number: int, image: Path, labels: Path | None) -> Subject:
    def load() -> Scan:
        if labels is None:
            raise InputError(f"{image}: there is no segmentation-{number}.nii for it; fetch it, or remove the volume")
        return read_scan(image, labels, LITS)

    name = f"volume-{number}"
    return Subject(name, name, (image,) if labels is None else (image, labels), load)
