# SPDX-License-Identifier: Apache-2.0
"""The frames of an enhanced CT, each told like the header of a single slice.

An enhanced object says what all frames share once and the rest per frame, in functional groups (DICOM PS3.3 C.7.6.16
and A.38). Objects converted from single slices keep further attributes in groups of their own (C.7.6.16.2.25, .26).
"""

from __future__ import annotations

from pydicom import Dataset

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_slice import KEYWORDS

# Later ones win; what a converter could not place says least.
GROUPS = (
    "UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence",
    "CTXRayDetailsSequence", "CTReconstructionSequence", "CardiacSynchronizationSequence",
    "ContrastBolusUsageSequence", "TemporalPositionSequence", "FrameContentSequence", "CTImageFrameTypeSequence",
    "PixelMeasuresSequence",
    "PlaneOrientationSequence", "PlanePositionSequence", "PixelValueTransformationSequence",
)  # fmt: skip

# What a frame calls otherwise than a slice does.
RENAMED = {
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
    "FrameType": "ImageType",
}


def headers_of_frames(header: Dataset) -> list[Dataset]:
    """What `header`, that of an enhanced CT, says of each frame, in the order of the file.

    Raises `InputError` where it describes another number of frames than it has.
    """
    claimed = int(header.get("NumberOfFrames") or 1)
    frames = header.get("PerFrameFunctionalGroupsSequence") or ()
    if len(frames) != claimed:
        raise InputError(
            f"{header.filename}: is an enhanced (multi-frame) CT that describes {len(frames)} frames and claims "
            f"{claimed}. Export the series again."
        )
    shared = (header.get("SharedFunctionalGroupsSequence") or (Dataset(),))[0]
    common = Dataset()
    for keyword in KEYWORDS:
        if keyword in header:
            common.add(header[keyword])
    # Frames of one object belong together; a large object may come as a concatenation of several.
    common.ConcatenationUID = header.get("ConcatenationUID") or header.get("SOPInstanceUID")
    return [_flat(common, shared, frame) for frame in frames]


def _flat(common: Dataset, shared: Dataset, frame: Dataset) -> Dataset:
    flat = Dataset()
    flat.update(common)
    for groups in (shared, frame):
        for name in GROUPS:
            for item in (groups.get(name) or ())[:1]:
                flat.update(item)
    for theirs, ours in RENAMED.items():
        if theirs in flat:
            flat.add_new(ours, flat[theirs].VR, flat[theirs].value)  # anew: elements are shared with other frames
    return flat
