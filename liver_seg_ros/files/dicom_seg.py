# SPDX-License-Identifier: Apache-2.0
"""Reading a DICOM Segmentation object onto the grid of its CT.

Which structure a segment is, is decided by the code of its property (`coded_structures`).

Frames are placed by their own positions and orientations (DICOM PS3.3 A.51 and C.8.20), never by their order: writers
leave out empty frames, sort them as they like, and mirror them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import damage_named, looks_like_dicom, open_dicom, transfer_syntax
from liver_seg_ros.files.found_labels import Canvas, FoundLabels
from liver_seg_ros.files.label_schemes import LabelScheme
from liver_seg_ros.files.segments import Segment, judge_segments, not_taken, taken_for
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import STRUCTURES, Structure
from liver_seg_ros.volume import LabelVolume

_log = logging.getLogger(__name__)

_UNREADABLE = "is no readable DICOM Segmentation object"

OFF_GRID_TOLERANCE = 0.1  # of a voxel, between a frame's pixel and the CT's voxel


def read_dicom_seg(path: str | Path, geometry: Geometry) -> LabelVolume:
    """The structures of the label table in a DICOM Segmentation object, on the grid `geometry` of its CT.

    See `find_dicom_seg`.
    """
    return find_dicom_seg(path, geometry).labels


def find_dicom_seg(path: str | Path, geometry: Geometry, scheme: LabelScheme | None = None) -> FoundLabels:
    """The structures of the label table in a DICOM Segmentation object, on the grid `geometry` of its CT.

    A segment belongs to a structure by the code of its property (SRT codes count as their SCT successors), or by its
    label where it has none; or as the user's own `scheme` says of its number or label. Other segments are left out,
    with a warning that names them. Where structures overlap, `found_labels.Canvas` decides: a tumor lies in the liver.
    A fractional segmentation counts from one half on.

    Raises:
        InputError: no DICOM Segmentation object, none of the table's structures in it, or frames that are not on the
            CT's grid.
    """
    path = Path(path)
    with damage_named(path, _UNREADABLE):
        return _find(_read(path), path, geometry, scheme)


def describe_dicom_seg(path: Path, scheme: LabelScheme | None = None) -> tuple[str, Mapping[str, Structure | None]]:
    """Whose a DICOM Segmentation object's segments are and what each is taken for, which needs no CT.

    Raises as `find_dicom_seg`.
    """
    with damage_named(path, _UNREADABLE):
        segments = _segments(_read(path))
        return _source(scheme), taken_for(segments, judge_segments(segments, scheme, str(path)))


def _read(path: Path) -> Dataset:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    if not looks_like_dicom(path):
        raise InputError(f"{path}: {_UNREADABLE}. Copy or export it again.")
    with open_dicom(path) as stream:
        dataset = dcmread(stream, force=True)
    dataset.file_meta.TransferSyntaxUID = transfer_syntax(dataset)
    if dataset.get("SOPClassUID") != SegmentationStorage:
        raise InputError(f"{path}: is {dataset.get('Modality', 'unknown')}, no DICOM Segmentation object")
    return dataset


def _find(dataset: Dataset, path: Path, geometry: Geometry, scheme: LabelScheme | None) -> FoundLabels:
    segments = _segments(dataset)
    verdicts = judge_segments(segments, scheme, str(path))
    others = not_taken(segments, verdicts)
    structures = {s.number: v.structure for s, v in zip(segments, verdicts, strict=True) if v.structure is not None}
    if not structures:
        names = ", ".join(structure.name for structure in STRUCTURES)
        raise InputError(f"{path}: has none of the structures {names}; segment {others}")
    if others and scheme is None:
        _log.warning("%s: segments are left out: %s", path, others)
    canvas = Canvas(geometry.shape)
    for index, frame in enumerate(_frames(dataset)):
        structure = structures.get(_segment_number(dataset, index))
        if structure is not None:
            canvas.paint(structure, _voxels(frame, dataset, index, geometry, path))
    return FoundLabels(
        LabelVolume(canvas.array, geometry),
        _source(scheme),
        taken_for(segments, verdicts),
        tuple(structure for structure in STRUCTURES if structure in structures.values()),
        canvas.organ,
    )


def _source(scheme: LabelScheme | None) -> str:
    return "segments of DICOM" if scheme is None else scheme.about


def _segments(dataset: Dataset) -> list[Segment]:
    return [
        Segment(
            int(item.SegmentNumber),
            str(item.get("SegmentLabel") or "").strip(),
            _code(item, "SegmentedPropertyTypeCodeSequence"),
            _code(item, "SegmentedPropertyCategoryCodeSequence"),
        )
        for item in dataset.SegmentSequence
    ]


def _code(item: Dataset, name: str) -> Code | None:
    for coded in item.get(name) or ():
        value = coded.get("CodeValue") or coded.get("LongCodeValue") or coded.get("URNCodeValue")
        if value:
            scheme, meaning = (str(coded.get(key) or "") for key in ("CodingSchemeDesignator", "CodeMeaning"))
            return Code(str(value).strip(), scheme, meaning)
    return None


def _frames(dataset: Dataset) -> NDArray[np.bool_]:
    """All frames as masks, `(N, J, I)`."""
    pixels = dataset.pixel_array
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    full = float(dataset.get("MaximumFractionalValue", 1) or 1)
    return pixels >= full / 2 if full > 1 else pixels > 0


def _functional_group(dataset: Dataset, index: int, name: str) -> Any:
    """The first item of the group `name` of frame `index`, or of all frames where it is shared; None without."""
    for groups in (dataset.PerFrameFunctionalGroupsSequence[index], dataset.SharedFunctionalGroupsSequence[0]):
        if name in groups and len(groups[name].value):
            return groups[name].value[0]
    return None


def _segment_number(dataset: Dataset, index: int) -> int:
    return int(_functional_group(dataset, index, "SegmentIdentificationSequence").ReferencedSegmentNumber)


def _voxels(
    frame: NDArray[np.bool_], dataset: Dataset, index: int, geometry: Geometry, path: Path
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The voxels `(k, j, i)` of the CT in which the set pixels of one frame `(J, I)` lie."""
    groups = [
        _functional_group(dataset, index, f"{name}Sequence")
        for name in ("PlanePosition", "PlaneOrientation", "PixelMeasures")
    ]
    if None in groups:
        raise InputError(f"{path}: frame {index + 1} does not say where it lies. Export the segmentation again.")
    position, orientation, measures = groups
    row_spacing, column_spacing = (float(s) for s in measures.PixelSpacing)
    row, column = np.array(orientation.ImageOrientationPatient, float).reshape(2, 3)
    start = geometry.lps_to_index(np.array(position.ImagePositionPatient, float))
    right, down = (
        geometry.lps_to_index(np.array(position.ImagePositionPatient, float) + step) - start
        for step in (column_spacing * row, row_spacing * column)
    )  # of a pixel's step to the right and down, in voxels (i, j, k)
    rows, columns = np.nonzero(frame)
    if not rows.size:
        return rows, rows, rows
    # What rounding leaves is linear over the frame, so that it is largest in a corner of the box of the set pixels.
    corners = [(r, c) for r in (rows[0], rows[-1]) for c in (columns.min(), columns.max())]
    steps = [np.rint(step) for step in (start, right, down)]
    apart = [start - steps[0] + c * (right - steps[1]) + r * (down - steps[2]) for r, c in corners]
    if np.abs(apart).max() > OFF_GRID_TOLERANCE:
        raise InputError(f"{path}: frame {index + 1} lies between the voxels of the CT. Give the CT it was drawn on.")
    first, along, across = (step.astype(np.intp) for step in steps)
    ends = np.array([first + c * along + r * across for r, c in corners])
    if (ends < 0).any() or (ends >= geometry.size).any():
        raise InputError(f"{path}: frame {index + 1} lies outside the CT. Give the CT it was drawn on.")
    i, j, k = (first[axis] + columns * along[axis] + rows * across[axis] for axis in range(3))
    return k, j, i
