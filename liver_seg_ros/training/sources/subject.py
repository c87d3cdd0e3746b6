# SPDX-License-Identifier: Apache-2.0
"""What every source gives: subjects, each with image, labels, geometry, provenance and the split it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.training.sources.about import About
from liver_seg_ros.truth import Truth
from liver_seg_ros.volume import Volume

#: The parts that a split has, as recipes and reports call them.
TRAINING, VALIDATION, TESTING = PARTS = ("training", "validation", "testing")


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT and what is in it.

    Attributes:
        ct: in HU, in any orientation.
        truth: its labels on the same grid, in the form of the networks' labels, and what they speak about.
    """

    ct: Volume
    truth: Truth

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Picture:
    """A color picture and a mask on it; it has no millimetres.

    Attributes:
        rgb: `(J, I, 3)` uint8.
        mask: `(J, I)` bool.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]

    __repr__ = short_repr


@dataclass(frozen=True)
class Subject:
    """One scan of a data set, not read yet.

    Attributes:
        name: the only one of this name in its source.
        patient: whose it is; the scans of one patient are never divided between training and judging.
        files: files and folders that it is read from; where one changes, it is another subject.
        load: reads it. Raises `InputError` where that cannot be done.
        given: the part of the split that the data set itself puts it into, where it does.
    """

    name: str
    patient: str
    files: tuple[Path, ...]
    load: Callable[[], Scan | Picture]
    given: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A data set on this disk.

    Attributes:
        about: its row of the table: licence, citation, labels.
        folder: where it lies.
        subjects: in the order of their names, numbers as numbers.
    """

    about: About
    folder: Path
    subjects: tuple[Subject, ...]

    def __post_init__(self) -> None:
        names = [subject.name for subject in self.subjects]
        twice = sorted({name for name in names if names.count(name) > 1}) if len({*names}) < len(names) else []
        if twice:
            raise InputError(f"{self.folder}: holds the subject {twice[0]} twice; keep one of them")
