# SPDX-License-Identifier: Apache-2.0
"""Decoding one frame of JPEG, JPEG-LS or JPEG 2000 to the values that were stored.

pydicom decodes these with further packages only; GDCM comes with SimpleITK. It is given a bare monochrome picture of
the frame and nothing else of the file, since it would invert MONOCHROME1, apply the rescale, and open all frames.
"""

from __future__ import annotations

import struct
from tempfile import NamedTemporaryFile

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_slice import PIXEL_KEYWORDS
from liver_seg_ros.files.quiet import quiet_on_failure

SYNTAXES = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes)
# Start-of-frame markers of JPEG (SOF0 to SOF15 without the three that are other segments) and JPEG-LS (SOF55).
_FRAME_MARKERS = {0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def decode_frame(code: bytes, syntax: UID, image: Dataset, where: str) -> NDArray[np.integer]:
    """The stored values `(J, I)` of one compressed frame.

    Args:
        code: the frame's whole codestream.
        syntax: one of `SYNTAXES`.
        image: has the attributes of `PIXEL_KEYWORDS`.
        where: the file; starts messages.

    Raises:
        InputError: another size than the file says, so that memory is bounded before it is spent, or not decodable.
    """
    size = codestream_size(code)
    if size != (image.Rows, image.Columns):
        told = "nothing that is a picture" if size is None else f"a picture of {size[0]} x {size[1]} pixels"
        raise InputError(
            f"{where}: its compressed pixels hold {told}, not {image.Rows} x {image.Columns}. Export the series again."
        )
    bare = FileDataset("", {}, preamble=bytes(128), file_meta=FileMetaDataset())
    bare.file_meta.TransferSyntaxUID = syntax
    bare.SOPClassUID = bare.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    bare.SOPInstanceUID = bare.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    for name in PIXEL_KEYWORDS:
        setattr(bare, name, image[name].value)
    bare.HighBit = image.BitsStored - 1
    bare.PixelData = encapsulate([code])
    with NamedTemporaryFile(suffix=".dcm") as file:
        bare.save_as(file, enforce_file_format=True)
        file.flush()
        try:
            with quiet_on_failure():
                decoded = SimpleITK.ReadImage(file.name)
        except RuntimeError as error:
            raise InputError(
                f"{where}: its compression ({syntax.name}) cannot be decoded. Export the series uncompressed."
            ) from error
    return SimpleITK.GetArrayFromImage(decoded)[0]


def codestream_size(code: bytes) -> tuple[int, int] | None:
    """`(rows, columns)` that a codestream says it has; None where it does not begin as one.

    JPEG: ISO 10918-1 B.2.2, JPEG-LS: ISO 14495-1 C.2.2, JPEG 2000: ISO 15444-1 A.5.1.
    """
    try:
        if code[:4] == b"\xff\x4f\xff\x51":
            right, bottom, left, top = struct.unpack(">4I", code[8:24])
            return bottom - top, right - left
        if code[:2] != b"\xff\xd8":
            return None
        offset = 2
        while True:
            prefix, marker, length = struct.unpack(">BBH", code[offset : offset + 4])
            if prefix != 0xFF:
                return None
            if marker in _FRAME_MARKERS:
                rows, columns = struct.unpack(">HH", code[offset + 5 : offset + 9])
                return rows, columns
            offset += 1 if marker == 0xFF else length + 2  # 0xFF fills
    except struct.error:
        return None
