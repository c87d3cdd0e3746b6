"""Reading a DICOM Segmentation object onto the grid of its CT.

Frames are placed by their own positions and orientations (DICOM PS3.3 A.51 and C.8.20), never by their order: writers
leave out empty frames, sort them as they like, and mirror them.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import UNREADABLE
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import STRUCTURES, Structure
from liver_seg_ros.volume import LabelVolume

OFF_GRID_TOLERANCE = 0.1  # of a voxel, between a frame's pixel and the CT's voxel


def read_dicom_seg(path: str | Path, geometry: Geometry) -> LabelVolume:
    """The structures of the label table in a DICOM Segmentation object, on the grid `geometry` of its CT.

    A segment belongs to a structure by its SNOMED code (SRT codes count as their SCT successors) or else by its label.
    Other segments are left out. Where structures overlap, the later row of the table wins: a tumor lies in the liver.
    A fractional segmentation counts from one half on.

    Raises:
        InputError: no DICOM Segmentation object, none of the table's structures in it, or frames that are not on the
            CT's grid.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    try:
        with warnings.catch_warnings():  # pydicom remarks on values that break a rule and do no harm here
            warnings.simplefilter("ignore")
            return LabelVolume(_read(path, geometry), geometry)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"{path}: is no readable DICOM Segmentation object. Copy or export it again.") from error


def _read(path: Path, geometry: Geometry) -> NDArray[np.uint8]:
    dataset = dcmread(path)
    if dataset.get("SOPClassUID") != SegmentationStorage:
        raise InputError(f"{path}: is {dataset.get('Modality', 'unknown')}, no DICOM Segmentation object.")
    structures = _structures(dataset, path)
    frames = _frames(dataset)
    labels = np.zeros(geometry.shape, np.uint8)
    for structure in STRUCTURES:
        for index, frame in enumerate(frames):
            if structures.get(_segment_number(dataset, index)) == structure:
                k, j, i = _voxels(frame, dataset, index, geometry, path)
                labels[k, j, i] = structure.value
    return labels


def _frames(dataset: Dataset) -> NDArray[np.bool_]:
    """All frames as masks, `(N, J, I)`."""
    pixels = dataset.pixel_array
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    full = float(dataset.get("MaximumFractionalValue", 1) or 1)
    return pixels >= full / 2 if full > 1 else pixels > 0


def _structures(dataset: Dataset, path: Path) -> dict[int, Structure]:
    """Which structure each segment number stands for, others left out."""
    found: dict[int, Structure] = {}
    for segment in dataset.SegmentSequence:
        label = str(segment.get("SegmentLabel", "")).strip().lower()
        codes = [
            Code(c.CodeValue, c.CodingSchemeDesignator, "")
            for c in segment.get("SegmentedPropertyTypeCodeSequence", ())
        ]
        for structure in STRUCTURES:
            if Code(structure.snomed_code, "SCT", "") in codes or label == structure.name:
                found[int(segment.SegmentNumber)] = structure
                break
    if not found:
        labels = ", ".join(f"'{segment.get('SegmentLabel', '')}'" for segment in dataset.SegmentSequence)
        names = ", ".join(structure.name for structure in STRUCTURES)
        raise InputError(f"{path}: has none of the structures {names}; its segments are {labels}.")
    return found


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
    rows, columns = np.nonzero(frame)
    places = (
        np.array(position.ImagePositionPatient, float)
        + columns[:, None] * column_spacing * row
        + rows[:, None] * row_spacing * column
    )
    indices = geometry.lps_to_index(places)  # (P, 3) in (i, j, k)
    voxels = np.rint(indices).astype(np.intp)
    if np.abs(indices - voxels).max(initial=0.0) > OFF_GRID_TOLERANCE:
        raise InputError(f"{path}: frame {index + 1} lies between the voxels of the CT. Give the CT it was drawn on.")
    if (voxels < 0).any() or (voxels >= geometry.size).any():
        raise InputError(f"{path}: frame {index + 1} lies outside the CT. Give the CT it was drawn on.")
    i, j, k = voxels.T
    return k, j, i
