# SPDX-License-Identifier: Apache-2.0
"""Between a SimpleITK image and an array with its `Geometry`: NRRD and MetaImage in, all volume formats out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from liver_seg_ros.atomic import final_place, written_beside
from liver_seg_ros.errors import InputError, WriteError
from liver_seg_ros.files.claims import check_claim
from liver_seg_ros.files.metaimage import check_metaimage
from liver_seg_ros.files.nrrd import check_nrrd, most_bytes, read_nrrd_fields
from liver_seg_ros.files.quiet import quiet_on_failure
from liver_seg_ros.files.utf8_path import utf8_path
from liver_seg_ros.files.values import scaled
from liver_seg_ros.geometry import Geometry

# A CT of 512x512x300 takes 3 s to gzip at level 1 and 20 s at ITK's own level, for a file a tenth smaller.
COMPRESSION_LEVEL = 1

METAIMAGE_SUFFIXES = (".mha", ".mhd")
NIFTI_HEADER_BYTES = 352  # with its four bytes that say that nothing extends it

# What ITK has to say about headers would land on the user's terminal; what matters is raised as InputError.
SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)


def read_itk(path: Path, layers: bool = False) -> tuple[NDArray[np.generic], Geometry, dict[str, str]]:
    """The values `(K, J, I)` in a NRRD or MetaImage file, scaled as it says, where they are, and its own metadata.

    With `layers`, a file of several numbers per voxel is taken too, as `(K, J, I, L)`: 3D Slicer stores segments that
    overlap so.

    Raises:
        InputError: unreadable, cut off, not one 3-D volume of one number per voxel, or with axes that are not at right
            angles, not in mm or without a place in the patient.
    """
    is_metaimage = path.suffix.lower() in METAIMAGE_SUFFIXES
    slope, offset = check_metaimage(path) if is_metaimage else (1.0, 0.0)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("MetaImageIO" if is_metaimage else "NrrdImageIO")  # by itself ITK knows no suffix in capitals
    with utf8_path(path) as name:
        reader.SetFileName(name)
        try:
            with quiet_on_failure():
                reader.ReadImageInformation()
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be read; it is cut off, damaged or of another format") from error
        _check_shape(path, reader, layers)
        if not is_metaimage:
            fields, voxel_bytes = read_nrrd_fields(path), _voxel_bytes(reader)
            check_nrrd(path, fields)
            check_claim(str(path), reader.GetSize(), voxel_bytes, most_bytes(path, fields, voxel_bytes))
        try:
            with quiet_on_failure():
                image = reader.Execute()
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be read; it is cut off, damaged or of another format") from error
    while image.GetDimension() > 3:
        image = image[..., 0]
    try:
        geometry = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    except InputError as error:
        raise InputError(f"{path}: its geometry is unusable: {error}. Resample or export it again.") from error
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return scaled(SimpleITK.GetArrayFromImage(image), slope, offset), geometry, metadata


def _check_shape(path: Path, reader: SimpleITK.ImageFileReader, layers: bool) -> None:
    kind = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    if (reader.GetNumberOfComponents() != 1 and not layers) or "complex" in kind:
        raise InputError(f"{path}: holds {kind} voxels; this needs one number per voxel")
    size = reader.GetSize()
    if len(size) < 3 or any(n > 1 for n in size[3:]):
        raise InputError(f"{path}: has {len(size)} dimensions {size}; this needs one 3-D volume. Extract one first.")


def _voxel_bytes(reader: SimpleITK.ImageFileReader) -> int:
    image = SimpleITK.Image([1, 1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
    return int(image.GetSizeOfPixelComponent() * image.GetNumberOfComponentsPerPixel())


def write_itk(
    path: Path, array: NDArray[np.generic], geometry: Geometry, metadata: Mapping[str, str] | None = None
) -> None:
    """Write `array` `(K, J, I)` to `path`, compressed where the format can, with `metadata` as its own fields.

    Raises `InputError` where nothing can be written there, `WriteError` where there is no space for all of it.
    """
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction_matrix.reshape(-1).tolist())
    for key, value in (metadata or {}).items():
        image.SetMetaData(key, value)
    with written_beside(path) as temporary:
        try:
            with utf8_path(temporary) as name, quiet_on_failure():
                SimpleITK.WriteImage(image, name, useCompression=True, compressionLevel=COMPRESSION_LEVEL)
                _check_whole(temporary, array.nbytes)
        except RuntimeError as error:
            raise WriteError.of(final_place(path)) from error


def _check_whole(path: Path, voxel_bytes: int) -> None:
    """Raise `RuntimeError`, as ITK does at other times, where a file is cut off: NIfTI's writer takes no notice, and
    NRRD's none of the last bytes.
    """
    size, expected = path.stat().st_size, voxel_bytes
    if path.name.endswith((".nii", ".nii.gz")):
        expected += NIFTI_HEADER_BYTES
    if path.name.endswith((".nii.gz", ".nrrd")):
        with path.open("rb") as file:
            file.seek(max(0, size - 4))  # how much was compressed, modulo 2^32 (RFC 1952)
            size, expected = int.from_bytes(file.read(), "little"), expected % 2**32
    elif not path.name.endswith(".nii"):
        return  # MetaImage's writer takes notice
    if size != expected:
        raise RuntimeError(f"{path} is cut off")
