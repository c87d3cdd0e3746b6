"""Between a SimpleITK image and an array with its `Geometry`: NRRD and MetaImage in, all volume formats out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.metaimage import check_whole_metaimage
from liver_seg_ros.files.quiet import quiet_on_failure
from liver_seg_ros.geometry import Geometry

# A CT of 512x512x300 takes 3 s to gzip at level 1 and 20 s at ITK's own level, for a file a tenth smaller.
COMPRESSION_LEVEL = 1

# What ITK has to say about headers would land on the user's terminal; what matters is raised as InputError.
SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)


def read_itk(path: Path) -> tuple[NDArray[np.generic], Geometry, dict[str, str]]:
    """The voxels `(K, J, I)` of a NRRD or MetaImage file as stored, where they are, and the file's own metadata.

    Raises:
        InputError: unreadable, cut off, not one 3-D volume of one number per voxel, or with axes that are not at right
            angles.
    """
    if path.suffix.lower() in (".mha", ".mhd"):
        check_whole_metaimage(path)
    try:
        with quiet_on_failure():
            image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read; it is cut off, damaged or of another format.") from error
    if image.GetNumberOfComponentsPerPixel() != 1 or "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{path}: holds {image.GetPixelIDTypeAsString()} voxels; this needs one number per voxel.")
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3:
        raise InputError(
            f"{path}: has {image.GetDimension()} dimensions {image.GetSize()}; this needs one 3-D volume. "
            "Extract one first."
        )
    try:
        geometry = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    except ValueError as error:
        raise InputError(f"{path}: its geometry is unusable: {error}. Resample or export it again.") from error
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return SimpleITK.GetArrayFromImage(image), geometry, metadata


def write_itk(
    path: Path, array: NDArray[np.generic], geometry: Geometry, metadata: Mapping[str, str] | None = None
) -> None:
    """Write `array` `(K, J, I)` to `path`, compressed where the format can, with `metadata` as its own fields.

    Raises `InputError` where the file cannot be written.
    """
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction_matrix.reshape(-1).tolist())
    for key, value in (metadata or {}).items():
        image.SetMetaData(key, value)
    with written_beside(path) as temporary:
        try:
            SimpleITK.WriteImage(image, str(temporary), useCompression=True, compressionLevel=COMPRESSION_LEVEL)
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be written. Is the disk full?") from error
