# SPDX-License-Identifier: Apache-2.0
"""Reading any CT or label file that users have, and writing ours: where to begin in this package.

What comes in is right-handed, checked and in HU; what goes out is written atomically, so that a file that
exists is whole.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.checks import check_ct, check_labels
from liver_seg_ros.files.found_labels import FoundLabels
from liver_seg_ros.files.itk import read_itk, write_itk
from liver_seg_ros.files.label_names import read_label_names
from liver_seg_ros.files.label_schemes import LabelScheme
from liver_seg_ros.files.label_values import found_by_values
from liver_seg_ros.files.nifti import read_nifti
from liver_seg_ros.files.segmentation_nrrd import read_segments, segment_metadata
from liver_seg_ros.files.slicer_segments import found_by_segments
from liver_seg_ros.files.suffixes import ITK_SUFFIXES, NIFTI_SUFFIXES
from liver_seg_ros.files.values import to_hu
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.progress import Done, not_told
from liver_seg_ros.volume import LabelVolume, Scalar, Volume, make_right_handed

WRITABLE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")  # .mhd and .nhdr are two files: no rename makes both appear
SEGMENTATION_SUFFIX = ".seg.nrrd"


def read_volume(
    path: str | Path, series_uid: str | None = None, acquisition: str | None = None, done: Done = not_told
) -> Volume:
    """The CT in a NIfTI, NRRD or MetaImage file, a DICOM folder, or the series that a DICOM file belongs to.

    Args:
        path: the file or folder.
        series_uid: which DICOM series to take where a folder holds several.
        acquisition: which of several acquisitions that interleave in one DICOM series; the refusal without it names
            them.
        done: is told how much of a DICOM folder was read.

    Returns:
        The CT in HU on a right-handed grid; its `uid` is the Series Instance UID where there is one, with the name of
        the acquisition where the series holds several.

    Raises:
        InputError: the file is missing, damaged, of another kind, or no CT in HU and mm (see `checks.check_ct`).
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder. Check the path.")
    if path.is_dir() or not _has_suffix(path, NIFTI_SUFFIXES + ITK_SUFFIXES):
        # What reads DICOM takes longer to come than a network to load, and other files do without.
        from liver_seg_ros.files.dicom import read_series
        from liver_seg_ros.files.dicom_file import looks_like_dicom

        if not path.is_dir() and not looks_like_dicom(path):
            raise InputError(f"{path}: is no DICOM, NIfTI, NRRD or MetaImage file. Give one of these.")
        volume = Volume(*read_series(path, series_uid, acquisition, done))
    elif series_uid is not None or acquisition is not None:
        what = "a series UID" if series_uid is not None else "an acquisition"
        raise InputError(f"{path}: {what} chooses in a DICOM folder, and this is a single file. Leave it out.")
    else:
        array, geometry, _ = _read_file(path)
        volume = Volume(*_right_handed(to_hu(array, str(path)), geometry))
    check_ct(volume, str(path))
    return volume


def read_labels(path: str | Path) -> LabelVolume:
    """The labels in a NIfTI, NRRD or MetaImage file, on a right-handed grid. Raises as `find_labels` does."""
    return find_labels(path).labels


def find_labels(path: str | Path, scheme: LabelScheme | None = None) -> FoundLabels:
    """The labels in a NIfTI, NRRD or MetaImage file, and what they were taken for.

    A segmentation of 3D Slicer (`.seg.nrrd`) numbers its segments as it likes and says by codes what they are; a NIfTI
    file may name its values. Of other files `scheme` says whose numbers they hold, this package's own where there is
    none. Folders of masks and DICOM Segmentation objects: see `label_sources`.

    Raises:
        InputError: the file is missing, damaged, of another kind, lies on a grid that no CT has (see
            `checks.check_labels`), or holds values of which nobody says what they mean.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    if not _has_suffix(path, NIFTI_SUFFIXES + ITK_SUFFIXES):
        raise InputError(f"{path}: is no NIfTI, NRRD or MetaImage file. Give one of these.")
    found = _find_labels(path, scheme)
    check_labels(found.labels, str(path))
    return found


def write_volume(path: str | Path, volume: Volume) -> None:
    """Write a CT as int16 HU; the suffix of `path` chooses the format, one of `WRITABLE_SUFFIXES`.

    Raises `InputError` for another suffix or where the file cannot be written.
    """
    _check_writable(Path(path))
    write_itk(Path(path), volume.array, volume.geometry)


def write_labels(path: str | Path, labels: LabelVolume) -> None:
    """Write labels as uint8; `.seg.nrrd` gets the names, colors and codes that 3D Slicer shows.

    Raises `InputError` for an unknown suffix or where the file cannot be written.
    """
    path = Path(path)
    _check_writable(path)
    write_itk(path, labels.array, labels.geometry, segment_metadata(labels) if _is_segmentation(path) else None)


def read_stored(path: Path, layers: bool = False) -> tuple[NDArray[np.generic], Geometry, dict[str, str]]:
    """The values in a NIfTI, NRRD or MetaImage file, `(K, J, I)`, their right-handed grid, and the file's own metadata.

    Of several numbers per voxel see `itk.read_itk`. Raises `InputError` where the file cannot be read.
    """
    array, geometry, metadata = _read_file(path, layers)
    return *_right_handed(array, geometry), metadata


def _find_labels(path: Path, scheme: LabelScheme | None) -> FoundLabels:
    where = str(path)
    array, geometry, metadata = read_stored(path, layers=True)
    if segments := read_segments(metadata, where):
        return found_by_segments(array, geometry, where, segments, scheme)
    if array.ndim > 3:
        raise InputError(f"{path}: holds {array.shape[3]} numbers per voxel; this needs one. Extract one first.")
    names = read_label_names(path) if _has_suffix(path, NIFTI_SUFFIXES) else {}
    return found_by_values(array, geometry, where, scheme, names)


def _read_file(path: Path, layers: bool = False) -> tuple[NDArray[np.generic], Geometry, dict[str, str]]:
    if _has_suffix(path, NIFTI_SUFFIXES):
        return *read_nifti(path), {}
    return read_itk(path, layers)


def _right_handed(array: NDArray[Scalar], geometry: Geometry) -> tuple[NDArray[Scalar], Geometry]:
    """`make_right_handed` with C-contiguous voxels: networks and wire formats cannot take negative strides."""
    array, geometry = make_right_handed(array, geometry)
    return np.ascontiguousarray(array), geometry


def _has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes)


def _is_segmentation(path: Path) -> bool:
    return _has_suffix(path, (SEGMENTATION_SUFFIX,))


def _check_writable(path: Path) -> None:
    if not _has_suffix(path, WRITABLE_SUFFIXES):
        raise InputError(f"{path}: cannot write this format. Use one of {', '.join(WRITABLE_SUFFIXES)}.")
