# SPDX-License-Identifier: Apache-2.0
"""Labels as a DICOM Segmentation object (PS3.3 A.51) on the grid of their CT.

Frames are the CT's own slices, with rows and columns as in its files, so that a viewer lays one over the other whatever
the patient's orientation. Which source instance each frame was made of is found by its place, not by its order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom import Volume as SpatialArray
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray

from liver_seg_ros.dicom_out.codes import category_of, kind_of
from liver_seg_ros.dicom_out.equipment import Maker, common
from liver_seg_ros.dicom_out.reference import Reference
from liver_seg_ros.dicom_out.segments import OutSegment
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.claims import check_claim
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.volume import LabelVolume

SERIES_NUMBER = 9001


def make_segmentation(
    reference: Reference, labels: LabelVolume, segments: Sequence[OutSegment], maker: Maker
) -> Segmentation:
    """The segmentation of `labels`, which lie on the grid of the reference's CT.

    Slices without a label have no frame.

    Raises:
        InputError: no voxel is labelled, labels on another grid, or too little memory for all segments at once.
    """
    if not labels.geometry.is_same_grid(reference.ct.geometry):
        raise InputError(f"labels on {labels.geometry.in_words} of a CT on {reference.ct.geometry.in_words}")
    box = Box.around(labels.array)
    if box is None or not segments:
        raise InputError("no voxel is labelled: there is nothing to export")
    columns, rows, _ = labels.geometry.size
    slab = Box((0, 0, box.start[2]), (columns, rows, box.stop[2]))
    check_claim("the segmentation", (*slab.size, len(segments)), 1)
    array = np.zeros((*labels.array[slab.slices].shape, len(segments)), np.uint8)
    for place, segment in enumerate(segments):
        segment.paint(array[..., place], labels.geometry.crop(slab))
    first, *others = reference.headers
    return Segmentation(
        source_images=[first] if reference.is_multi_frame else reference.headers,
        further_source_images=others if reference.is_multi_frame and others else None,
        pixel_array=SpatialArray(
            array,
            _kji_affine(labels.geometry.crop(slab)),
            coordinate_system="PATIENT",
            frame_of_reference_uid=first.FrameOfReferenceUID,
            channels={"SegmentNumber": [segment.number for segment in segments]},
        ),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(segment, maker) for segment in segments],
        content_label="LIVER",
        content_description="Structures in and around the liver",
        **common(SERIES_NUMBER, "labels"),
    )


def _kji_affine(geometry: Geometry) -> NDArray[np.float64]:
    """4x4 from homogeneous `(k, j, i, 1)` to LPS mm: highdicom counts frames, rows and columns."""
    return geometry.affine[:, [2, 1, 0, 3]]


def _description(segment: OutSegment, maker: Maker) -> SegmentDescription:
    return SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=category_of(segment.structure),
        segmented_property_type=kind_of(segment.structure),
        algorithm_type=maker.how.value,
        algorithm_identification=maker.algorithm,
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.tracking_id,
        display_color=CIELabColor.from_rgb(*segment.structure.color_rgb),
    )
