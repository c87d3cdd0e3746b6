# SPDX-License-Identifier: Apache-2.0
"""Data that was never published, in the layout that we state for it: a folder a case with `ct.nii.gz`, `labels.nii.gz`.

Paper 1's has a folder for each phase in a patient's, since arteries were drawn in one and tumors in the other. The two
are sources of their own, as they train networks of their own; a patient is in the same part of the split in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from liver_seg_ros.training.sources.about import LTBV_ARTERIAL, LTBV_PORTAL, LTVS, About
from liver_seg_ros.training.sources.reading import folders_in, read_scan
from liver_seg_ros.training.sources.subject import Subject

IMAGE, LABELS = "ct.nii.gz", "labels.nii.gz"

#: The folder in a case's, where there is one.
PHASES: Mapping[str, str] = {LTBV_PORTAL.name: "portal", LTBV_ARTERIAL.name: "arterial", LTVS.name: ""}


def looks_like(about: About, folder: Path) -> bool:
    """Whether the folder holds cases of that layout."""
    phase = PHASES[about.name]
    return any((case / phase / IMAGE).is_file() and (case / phase / LABELS).is_file() for case in folders_in(folder))


def subjects(about: About, folder: Path) -> tuple[Subject, ...]:
    """A subject a folder."""
    places = ((case.name, case / PHASES[about.name]) for case in folders_in(folder))
    return tuple(_subject(about, name, place) for name, place in places if (place / IMAGE).exists())


def _subject(about: About, name: str, place: Path) -> Subject:
    image, labels = place / IMAGE, place / LABELS
    return Subject(name, name, (image, labels), partial(read_scan, image, labels, about.labels))
