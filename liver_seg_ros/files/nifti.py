# SPDX-License-Identifier: Apache-2.0
"""Reading NIfTI (`.nii`, `.nii.gz`) with nibabel, which is stricter than ITK where it matters.

ITK reads a truncated NIfTI file without a word and fills the rest with whatever was in memory, and takes the qform
where a sform says otherwise. Here a file is whole or refused, and where both forms are coded the sform holds, as in
nibabel, FSL and SPM, unless it is sheared.
"""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.claims import MOST_INFLATED, check_claim
from liver_seg_ros.files.inflating import DAMAGED, read_gzipped
from liver_seg_ros.files.values import scaled
from liver_seg_ros.geometry import Geometry

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

_log = logging.getLogger(__name__)

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
    is_compressed = path.name.lower().endswith(".gz")
    stored_bytes = path.stat().st_size * MOST_INFLATED if is_compressed else path.stat().st_size
    check_claim(str(path), shape, header.get_data_dtype().itemsize, stored_bytes - header.get_data_offset())
    try:
        if is_compressed:
            array = read_gzipped(path, proxy.offset, shape[::-1], proxy.dtype)
        else:  # file order is i fastest: the transpose is C-contiguous
            array = np.asarray(proxy.get_unscaled()).reshape(shape, order="F").T
    except DAMAGED + UNREADABLE as error:
        raise InputError(f"{path}: is cut off or damaged. Copy or export it again.") from error
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
        raise InputError(f"{path}: holds color or complex voxels ({dtype}); this needs one number per voxel")
    if len(shape) != 3:
        raise InputError(f"{path}: has {len(shape)} dimensions {shape}; this needs one 3-D volume. Extract one first.")


def _geometry(path: Path, header: nibabel.Nifti1Header, shape: tuple[int, ...]) -> Geometry:
    """The grid of the sform; that of the qform where the sform has no code or is unusable, sheared for example."""
    problem, to_lps_mm = "", _ras_to_lps_mm(path, header)
    for name, affine_of in (("sform", header.get_sform), ("qform", header.get_qform)):
        try:
            affine, code = affine_of(coded=True)
            if code == 0:
                continue
            if name == "qform":
                _check_pixdim(path, header)
            geometry = _grid(shape, to_lps_mm @ affine)
        except UNREADABLE as error:
            problem = problem or f"its {name} is unusable: {error}"
            continue
        if problem:
            sform = to_lps_mm @ header.get_sform()
            apart = geometry.index_to_lps(geometry.corners) - (geometry.corners @ sform[:3, :3].T + sform[:3, 3])
            apart_mm = np.linalg.norm(apart, axis=1).max()
            elsewhere = f", which puts voxels up to {apart_mm:.1f} mm elsewhere" if np.isfinite(apart_mm) else ""
            _log.warning("%s: %s. Its qform is taken%s.", path, problem, elsewhere)
        return geometry
    if problem:
        raise InputError(f"{path}: {problem}. Resample or export it again.")
    raise InputError(
        f"{path}: does not say how it lies in the patient (sform and qform codes are both 0). Set one of them."
    )


def _check_pixdim(path: Path, header: nibabel.Nifti1Header) -> None:
    """Raise `ValueError` where the spacing of the qform is 0: nibabel makes it 1 when it loads a header."""
    with ImageOpener(str(path)) as file:
        stored = type(header).from_fileobj(file, check=False)
    if not stored["pixdim"][1:4].all():
        raise ValueError(f"spacing {stored['pixdim'][1:4].tolist()} must be three positive lengths in mm")


def _ras_to_lps_mm(path: Path, header: nibabel.Nifti1Header) -> NDArray[np.float64]:
    """NIfTI is RAS, patient right to left and posterior to anterior being negative; LPS counts both the other way."""
    try:
        mm = MM_PER_UNIT[header.get_xyzt_units()[0]]
    except KeyError as error:
        raise InputError(f"{path}: its unit of length (xyzt_units) is none that NIfTI has. Set it to mm.") from error
    return np.diag([-mm, -mm, mm, 1.0])


def _grid(shape: tuple[int, ...], matrix: NDArray[np.float64]) -> Geometry:
    """Raises `InputError` where the columns of `matrix` are not at right angles or its numbers not finite."""
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Geometry(shape, tuple(spacing), tuple(matrix[:3, 3]), matrix[:3, :3] / spacing)  # type: ignore[arg-type]
