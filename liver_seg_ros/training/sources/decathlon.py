# SPDX-License-Identifier: Apache-2.0
"""Tasks of the Medical Segmentation Decathlon: `dataset.json` says which image and which labels belong together.

What macOS left in the archives (`._liver_0.nii.gz`) is named by no `dataset.json` and so never read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.sources.about import MSD_TASK03, MSD_TASK08, About
from liver_seg_ros.training.sources.reading import by_number, read_scan
from liver_seg_ros.training.sources.subject import Subject

INDEX = "dataset.json"

#: What a task's `dataset.json` calls its labels: how it is told from the others.
LABELS: Mapping[str, Mapping[str, str]] = {
    MSD_TASK03.name: {"0": "background", "1": "liver", "2": "cancer"},
    MSD_TASK08.name: {"0": "background", "1": "vessel", "2": "tumour"},
}


def looks_like(about: About, folder: Path) -> bool:
    """Whether the folder is that task, by the labels that its `dataset.json` names."""
    if not (folder / INDEX).is_file():
        return False
    try:
        return _labels(_index(folder)) == LABELS[about.name]
    except InputError:
        return False


def subjects(about: About, folder: Path) -> tuple[Subject, ...]:
    """A subject a training pair; the test images have no labels.

    Raises:
        InputError: `dataset.json` is missing or damaged, is another task's, or names files outside of the folder.
    """
    index = _index(folder)
    if _labels(index) != LABELS[about.name]:
        raise InputError(f"{folder / INDEX}: its labels are {_labels(index)}; {about.title} has {LABELS[about.name]}")
    pairs = index.get("training")
    if not isinstance(pairs, list) or not all(isinstance(pair, dict) for pair in pairs):
        raise InputError(f"{folder / INDEX}: 'training' must be a list of {{image, label}}")
    found = [_subject(about, folder, pair) for pair in pairs]
    return tuple(sorted(found, key=lambda subject: by_number(subject.name)))


def _subject(about: About, folder: Path, pair: Mapping[str, Any]) -> Subject:
    image, labels = (_inside(folder, pair.get(key)) for key in ("image", "label"))
    name = image.name.removesuffix(".gz").removesuffix(".nii")
    return Subject(name, name, (image, labels), partial(read_scan, image, labels, about.labels))


def _inside(folder: Path, entry: Any) -> Path:
    path = folder / str(entry)
    if not isinstance(entry, str) or not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder / INDEX}: names the file {entry!r}; it must be one in this folder")
    return path


def _index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not isinstance(index, dict):
        raise InputError(f"{path}: must hold an object, not {type(index).__name__}")
    return index


def _labels(index: Mapping[str, Any]) -> dict[str, str]:
    labels = index.get("labels")
    return {str(key): str(name).lower() for key, name in labels.items()} if isinstance(labels, dict) else {}
