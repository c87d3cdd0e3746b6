"""Reading NIfTI (`.nii`, `.nii.gz`) with nibabel, which is stricter than ITK where it matters.

ITK reads a truncated NIfTI file without a word and fills the rest with whatever was in memory, and takes the qform
where a sform says otherwise. Here a file is whole or refused, and where both forms are coded the sform holds, as in
nibabel, FSL and SPM.
"""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.values import scaled
from liver_seg_ros.geometry import Geometry

# NIfTI is RAS, patient right to left and posterior to anterior being negative; DICOM LPS counts both the other way.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
MM_PER_UNIT = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}

# What nibabel and the layers below it raise for files that are damaged, cut off or of another format.
UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    MemoryError,
    OverflowError,
    zlib.error,
)

# Notes about header fields that nibabel corrects by itself go to the terminal otherwise.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)


def read_nifti(path: Path) -> tuple[NDArray[np.generic], Geometry]:
    """The values `(K, J, I)` in a NIfTI file, its slope and intercept applied, and where they are.

    Raises:
        InputError: not NIfTI, cut off or damaged, not one 3-D volume of real numbers, or without a usable orientation.
    """
    image = _load(path)
    header = image.header
    proxy: Any = image.dataobj  # an ArrayProxy
    shape = tuple(int(n) for n in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    _check_shape(path, shape, header.get_data_dtype())
    geometry = _geometry(path, header, shape)
    try:
        stored = proxy.get_unscaled()
    except UNREADABLE as error:
        raise InputError(f"{path}: is cut off or damaged. Copy or export it again.") from error
    array = np.asarray(stored).reshape(shape, order="F").T  # file order is i fastest: the transpose is C-contiguous
    # nibabel empties slope and intercept in the header; the proxy has them, 1 and 0 where the slope means none.
    return scaled(array, proxy.slope, proxy.inter), geometry


def _load(path: Path) -> nibabel.Nifti1Image:
    try:
        image = nibabel.load(path)
    except HeaderDataError as error:
        raise InputError(f"{path}: its header is damaged ({error}). Export it again.") from error
    except UNREADABLE as error:
        raise InputError(f"{path}: is no readable NIfTI file. Export it again.") from error
    if not isinstance(image, nibabel.Nifti1Image):  # NIfTI-2 is a subclass
        raise InputError(f"{path}: is {type(image).__name__}, not NIfTI. Convert it to NIfTI, NRRD or MetaImage.")
    return image


def _check_shape(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    if dtype.fields is not None or np.issubdtype(dtype, np.complexfloating):
        raise InputError(f"{path}: holds color or complex voxels ({dtype}); this needs one number per voxel.")
    if len(shape) != 3:
        raise InputError(f"{path}: has {len(shape)} dimensions {shape}; this needs one 3-D volume. Extract one first.")


def _geometry(path: Path, header: nibabel.Nifti1Header, shape: tuple[int, ...]) -> Geometry:
    name, affine = "sform", header.get_sform(coded=True)[0]
    try:
        unit = header.get_xyzt_units()[0]
        if affine is None:
            name, affine = "qform", header.get_qform(coded=True)[0]
    except UNREADABLE as error:
        raise InputError(f"{path}: its header is damaged ({error}). Export it again.") from error
    if affine is None:
        raise InputError(
            f"{path}: does not say how it lies in the patient (sform and qform codes are both 0). Set one of them."
        )
    matrix = RAS_TO_LPS @ affine
    matrix[:3] *= MM_PER_UNIT[unit]
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    try:
        with np.errstate(invalid="ignore", divide="ignore"):
            return Geometry(shape, tuple(spacing), tuple(matrix[:3, 3]), matrix[:3, :3] / spacing)  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(f"{path}: its {name} is unusable: {error}. Resample or export it again.") from error
