# SPDX-License-Identifier: Apache-2.0
"""Which DICOM series a CT was read from: what results that go back to it have to refer to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class SourceSlice:
    """Where one slice of a CT came from.

    Attributes:
        path: its file.
        sop_class_uid, sop_instance_uid: of the object in that file.
        frame: its number in the file, from 0; None where the file is the slice.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None = None


@dataclass(frozen=True)
class SourceSeries:
    """The series that a CT was read from.

    Attributes:
        study_uid, series_uid, frame_of_reference_uid: as its files say; "" where they do not.
        slices: one per slice `k` of the CT's array, in its order.
    """

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    slices: tuple[SourceSlice, ...]

    def __repr__(self) -> str:
        return f"SourceSeries({self.series_uid}, {len(self.slices)} slices)"

    def part(self, slices: slice) -> SourceSeries:
        """The series of these slices `k` alone."""
        return replace(self, slices=self.slices[slices])

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, each once, in the order of the slices."""
        return _each_once(part.path for part in self.slices)


def _each_once(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(paths))
