# SPDX-License-Identifier: Apache-2.0
"""Labels in DICOM, of either kind: a Segmentation object (voxels) or an RT Structure Set (contours)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import RTStructureSetStorage

from liver_seg_ros.files.dicom_file import damage_named, looks_like_dicom, open_dicom
from liver_seg_ros.files.dicom_seg import describe_dicom_seg, find_dicom_seg
from liver_seg_ros.files.dicom_structure_set import describe_structure_set, find_structure_set
from liver_seg_ros.files.found_labels import FoundLabels
from liver_seg_ros.files.label_schemes import LabelScheme
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import Structure


def find_dicom_labels(path: Path, geometry: Geometry, scheme: LabelScheme | None = None) -> FoundLabels:
    """The labels in a DICOM object on the grid `geometry` of its CT; see `find_dicom_seg`, `find_structure_set`.

    Raises `InputError` where it holds none, or none of this CT.
    """
    contours = _structure_set(path)
    if contours is None:
        return find_dicom_seg(path, geometry, scheme)
    return find_structure_set(contours, path, geometry, scheme)


def describe_dicom_labels(path: Path, scheme: LabelScheme | None = None) -> tuple[str, Mapping[str, Structure | None]]:
    """Whose the labels in a DICOM object are and what each is taken for, which needs no CT.

    Raises `InputError` where it holds none.
    """
    contours = _structure_set(path)
    return describe_dicom_seg(path, scheme) if contours is None else describe_structure_set(contours, path, scheme)


def _structure_set(path: Path) -> Dataset | None:
    """The object at `path` where it is an RT Structure Set; None for all else, which the other reader judges."""
    with damage_named(path, "is no readable DICOM object"):
        if not path.is_file() or not looks_like_dicom(path):
            return None
        with open_dicom(path) as stream:
            kind = dcmread(stream, force=True, specific_tags=["SOPClassUID"], stop_before_pixels=True)
        if kind.get("SOPClassUID") != RTStructureSetStorage:
            return None
        with open_dicom(path) as stream:
            return dcmread(stream, force=True)
