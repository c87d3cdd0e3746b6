# SPDX-License-Identifier: Apache-2.0
"""What `reconstruct`, `measure` and `plan` begin with: labels, and the CT below them where one is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.known_confidence import with_known_confidence
from liver_seg_ros.files.label_sources import find_labels_in, read_labels_of
from liver_seg_ros.files.phantom_case import known_synthetic
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.plausibility.judgment import PlausibilityWarning, plausibility_warnings
from liver_seg_ros.progress import Done, not_told
from liver_seg_ros.volume import LabelVolume, Volume


@dataclass(frozen=True, eq=False)
class Case:
    """One patient's labels.

    Attributes:
        source: the file of the labels.
        labels: with at least one labelled voxel.
        ct: on the same grid; None where none was given.
        ct_source: the file or folder of the CT.
        synthetic: True where they are a phantom's; None where nothing says so.
    """

    source: Path
    labels: LabelVolume
    ct: Volume | None
    ct_source: Path | None
    synthetic: bool | None

    def warnings(self, measurements: Sequence[StructureMeasurement]) -> tuple[PlausibilityWarning, ...]:
        """The reasons to doubt what was measured of it."""
        return plausibility_warnings(self.labels, measurements, self.ct)

    def known(self, measurements: Sequence[StructureMeasurement]) -> tuple[StructureMeasurement, ...]:
        """What was measured of it, with what the report beside its labels says of how sure the network was."""
        return with_known_confidence(measurements, self.source)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines below every table that is printed of it."""
        return ("Synthetic: a phantom, no patient.",) if self.synthetic else ()


def read_case(
    labels: Path,
    ct: Path | None = None,
    series_uid: str | None = None,
    acquisition: str | None = None,
    whose: str | None = None,
    done: Done = not_told,
) -> Case:
    """Read the labels, of this tool, and, where given, their CT; of a folder of DICOM this series and acquisition.

    `done` is told how much of the CT was read.

    Raises:
        InputError: one of them cannot be read, they are not on one grid, no voxel is labelled, or a series or
            acquisition is chosen and no CT is given.
    """
    if ct is None and (series_uid is not None or acquisition is not None):
        raise InputError("--series and --acquisition choose in a CT of DICOM, and none is given. Give it with --ct.")
    volume = None if ct is None else read_volume(ct, series_uid, acquisition, done)
    found = find_labels_in(labels, whose).labels if volume is None else read_labels_of(volume, labels, whose)
    if not found.array.any():
        raise InputError(f"{labels} has no labelled voxel: there is nothing to reconstruct")
    return Case(labels, found, volume, ct, known_synthetic(labels))
