# SPDX-License-Identifier: Apache-2.0
"""Folders of masks, one structure each: TotalSegmentator's files, and 3D-IRCADb's DICOM series.

Which of the two a folder is shows in what it holds, and whose names they are in the names.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.checks import check_labels
from liver_seg_ros.files.dicom import read_series
from liver_seg_ros.files.found_labels import Canvas, FoundLabels
from liver_seg_ros.files.label_schemes import CHOICES, IRCADB, TOTALSEGMENTATOR, LabelScheme, structure_named
from liver_seg_ros.files.label_values import values_in
from liver_seg_ros.files.suffixes import ITK_SUFFIXES, NIFTI_SUFFIXES
from liver_seg_ros.files.values import to_whole_numbers
from liver_seg_ros.files.volumes import read_stored
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.grids import difference, reordering
from liver_seg_ros.labels import STRUCTURES, Structure
from liver_seg_ros.volume import LabelVolume

_log = logging.getLogger(__name__)

IRCADB_MASKS = "MASKS_DICOM"
TOTALSEGMENTATOR_MASKS = "segmentations"  # of its public data set


def find_in_folder(folder: Path, scheme: LabelScheme | None = None) -> FoundLabels:
    """The labels in a folder of masks, and what they were taken for.

    Args:
        folder: holds mask files, or subfolders of DICOM masks, or is one of these; or one of its subfolders does that
            is called as their tools call it.
        scheme: whose names these are; where None, their own layout shows it.

    Raises:
        InputError: no masks, none of the label table's, several values in one mask, or masks on different grids.
    """
    masks = _masks(folder)
    own = TOTALSEGMENTATOR if any(path.is_file() for _, path in masks) else IRCADB
    if scheme is None and not any(own.knows(name) for name, _ in masks):
        raise InputError(
            f"{folder}: holds no labels that show whose they are. Give a label file, a folder of masks by "
            f"TotalSegmentator or 3D-IRCADb, or --labels: {CHOICES}."
        )
    chosen = own if scheme is None else scheme
    if not chosen.names:
        raise InputError(f"{folder}: is a folder of masks, whose names {chosen.about} does not say. Give a label file.")
    taken_for = {name: _structure(name, chosen, folder) for name, _ in masks}
    wanted = [(path, structure) for name, path in masks if (structure := taken_for[name]) is not None]
    if not wanted:
        raise InputError(f"{folder}: none of its masks is in the label table: {', '.join(taken_for)}")
    strange = [name for name in taken_for if taken_for[name] is None and not chosen.knows(name)]
    if strange:
        _log.warning("%s: left out, since no structure is known by these names: %s", folder, ", ".join(strange))
    canvas, geometry = _painted(wanted)
    canvas.rename_outside(chosen.outside)
    for name, structure in list(taken_for.items()):
        if structure is not None and structure in chosen.outside:
            taken_for[f"{name} outside the liver"] = chosen.outside[structure]
    labels = LabelVolume(canvas.array, geometry)
    check_labels(labels, str(folder))
    return FoundLabels(
        labels,
        chosen.about,
        taken_for,
        tuple(s for s in STRUCTURES if s in taken_for.values()),
        canvas.organ,
    )


def _masks(folder: Path) -> list[tuple[str, Path]]:
    """Name and path of each mask: files of volumes, else subfolders, else the folder itself as one DICOM series."""
    for inner in (IRCADB_MASKS, TOTALSEGMENTATOR_MASKS):
        folder = folder / inner if (folder / inner).is_dir() else folder
    inside = sorted(folder.iterdir())
    files = [(name, path) for path in inside if path.is_file() and (name := stem(path))]
    folders = [(path.name, path) for path in inside if path.is_dir()]
    return files or folders or [(folder.resolve().name, folder)]


def stem(path: Path) -> str:
    """The name of a file of a volume without its suffix; empty where it is none."""
    name = path.name.lower()
    suffix = max((s for s in NIFTI_SUFFIXES + ITK_SUFFIXES if name.endswith(s)), key=len, default="")
    return path.name[: -len(suffix)] if suffix else ""


def _structure(name: str, scheme: LabelScheme, folder: Path) -> Structure | None:
    if scheme.knows(name):
        return scheme.structure(name)
    if scheme.is_users:
        raise InputError(f"{folder}: {scheme.name} says nothing about '{name}'. Add a line, with null to leave it out.")
    return structure_named(name) if scheme is TOTALSEGMENTATOR else None


def _painted(masks: Sequence[tuple[Path, Structure]]) -> tuple[Canvas, Geometry]:
    first = masks[0][0]
    canvas, grid = None, None
    for path, structure in masks:
        mask, geometry = _read_mask(path)
        if canvas is None or grid is None:
            canvas, grid = Canvas(geometry.shape), geometry
        reorientation = reordering(geometry, grid)
        if reorientation is None:
            raise InputError(
                f"{path}: lies on another grid than {first.name} beside it: {difference(geometry, grid)}. "
                "Give masks of one CT."
            )
        canvas.paint(structure, reorientation.apply(mask))
    assert canvas is not None and grid is not None
    return canvas, grid


def _read_mask(path: Path) -> tuple[NDArray[np.bool_], Geometry]:
    if path.is_file():
        array, geometry, _ = read_stored(path)
    else:
        array, geometry, *_ = read_series(path)
    stored = to_whole_numbers(array, str(path))
    values = values_in(stored)
    if len(values) > 1:
        raise InputError(f"{path}: holds the values {values[0]}, {values[1]}, ...; a mask of one structure has one")
    return stored > 0, geometry
