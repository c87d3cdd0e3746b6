# SPDX-License-Identifier: Apache-2.0
"""The labels that a path holds, whoever made them: files, folders of masks and DICOM Segmentations alike."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import looks_like_dicom
from liver_seg_ros.files.dicom_labels import find_dicom_labels
from liver_seg_ros.files.found_labels import FoundLabels
from liver_seg_ros.files.label_folders import find_in_folder, stem
from liver_seg_ros.files.label_scheme_files import find_scheme
from liver_seg_ros.files.label_schemes import TOTALSEGMENTATOR, LabelScheme, structure_named
from liver_seg_ros.files.matching import on_grid_of
from liver_seg_ros.files.volumes import find_labels
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BACKGROUND
from liver_seg_ros.volume import LabelVolume, Volume

_log = logging.getLogger(__name__)


def read_label_source(path: str | Path, scheme: LabelScheme | None = None, grid: Geometry | None = None) -> FoundLabels:
    """The labels at `path`, and what they were taken for.

    A file that holds no value but 1 is a mask; where its name is that of a structure, it is one of that structure.

    Args:
        path: a NIfTI, NRRD or MetaImage file, a DICOM Segmentation object or RT Structure Set, or a folder of masks
            (`label_folders`).
        scheme: whose labels they are, where the user says so.
        grid: of their CT, onto which labels of DICOM are put.

    Raises:
        InputError: no labels, labels of which nobody says what they mean, or labels of DICOM without their CT.
    """
    path = Path(path)
    if path.is_dir():
        return find_in_folder(path, scheme)
    if is_segmentation_object(path):
        if grid is None:
            raise InputError(f"{path}: is DICOM, whose segments lie on the grid of a CT. Give that CT too, with --ct.")
        return find_dicom_labels(path, grid, scheme)
    return _by_file_name(find_labels(path, scheme), path, scheme)


def find_labels_in(path: Path, whose: str | None = None, grid: Geometry | None = None) -> FoundLabels:
    """The labels at `path`: a file, a folder of masks, or labels of DICOM, which need the `grid` of their CT.

    `whose` is the value of `--labels`. Raises `InputError` where they cannot be read or nobody says what they mean.
    """
    return read_label_source(path, scheme_of(whose), grid)


def scheme_of(whose: str | None) -> LabelScheme | None:
    """The scheme that `--labels` names. Raises `InputError` where there is none of this name."""
    return None if whose is None else find_scheme(whose)


def read_labels_of(ct: Volume, path: Path, whose: str | None = None) -> LabelVolume:
    """The labels at `path` on the grid of `ct` in its order of axes; see `find_labels_in`.

    Raises `InputError` where they cannot be read or are labels of another CT.
    """
    return on_grid_of(ct, find_labels_in(path, whose, ct.geometry).labels, str(path))


def is_segmentation_object(path: Path) -> bool:
    """Whether `path` is to be read as labels of DICOM: it is called `*.dcm`, or is DICOM inside."""
    return path.suffix.lower() == ".dcm" or (path.is_file() and not stem(path) and looks_like_dicom(path))


def _by_file_name(found: FoundLabels, path: Path, scheme: LabelScheme | None) -> FoundLabels:
    """`found`, or what the name of its file says where its one value says nothing: a mask's value is always 1."""
    name = stem(path)
    if scheme not in (None, TOTALSEGMENTATOR) or list(found.taken_for) != ["1"]:
        return found
    structure = TOTALSEGMENTATOR.structure(name) if scheme else structure_named(name)
    if structure is None and TOTALSEGMENTATOR.knows(name):
        raise InputError(f"{path}: is a mask of '{name}' by its name, which the label table does not have")
    if structure is None or found.taken_for["1"] == structure:
        return found
    if scheme is None:
        _log.warning("%s: taken for a mask of the structure %s, as its name says.", path, structure.name)
    array = np.where(found.labels.array > 0, np.uint8(structure.value), np.uint8(BACKGROUND))
    return FoundLabels(
        LabelVolume(array, found.labels.geometry, found.labels.uid), "name of the file", {name: structure}, (structure,)
    )
