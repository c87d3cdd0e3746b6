"""The pixels of one DICOM CT slice in HU."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_scan import UNREADABLE
from liver_seg_ros.files.quiet import quiet_on_failure
from liver_seg_ros.files.values import to_hu

# Rescale types that mean HU or leave it open; others are maps of iodine, electron density and the like.
HU_RESCALE_TYPES = ("", "HU", "US")


def read_hu(path: Path) -> NDArray[np.int16]:
    """One slice `(J, I)` int16 in HU, its own rescale slope and intercept applied.

    MONOCHROME1 says how to show a picture, white for low; the values mean the same and are not inverted.

    Raises:
        InputError: color or multi-frame pixels, not in HU, cut off, or of a compression that cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path)
            _check_is_slice(dataset, path)
            syntax = dataset.file_meta.TransferSyntaxUID
            if syntax.is_encapsulated and syntax != RLELossless:
                return _decode_with_gdcm(path)
            return _rescaled(dataset, path)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"{path}: its pixels are cut off or cannot be decoded. Copy or export it again.") from error


def _check_is_slice(dataset: Dataset, path: Path) -> None:
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise InputError(f"{path}: is a color picture, no CT slice. Remove it or export the series again.")
    if int(dataset.get("NumberOfFrames", 1) or 1) != 1:
        raise InputError(f"{path}: holds several frames. Convert the series to single slices or NIfTI first.")
    rescale_type = str(dataset.get("RescaleType") or "").strip().upper()
    if rescale_type not in HU_RESCALE_TYPES:
        raise InputError(f"{path}: its values are {rescale_type}, not HU. Give a CT series in HU.")


def _rescaled(dataset: Dataset, path: Path) -> NDArray[np.int16]:
    slope = float(dataset.get("RescaleSlope", 1) or 1)
    intercept = float(dataset.get("RescaleIntercept", 0) or 0)
    stored = dataset.pixel_array  # (J, I)
    if slope == 1.0 and intercept.is_integer():
        return to_hu(stored.astype(np.int32) + int(intercept), str(path))
    return to_hu(stored * slope + intercept, str(path))


def _decode_with_gdcm(path: Path) -> NDArray[np.int16]:
    """JPEG, JPEG-LS and JPEG 2000, which pydicom decodes with further packages only; GDCM applies the rescale."""
    try:
        with quiet_on_failure():
            image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: its compression cannot be decoded. Export the series uncompressed.") from error
    return to_hu(SimpleITK.GetArrayFromImage(image)[0], str(path))
