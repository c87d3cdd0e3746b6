# SPDX-License-Identifier: Apache-2.0
"""Labels as an RT Structure Set (PS3.3 A.19): outlines in the planes of the CT's own slices, in LPS mm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom.base import SOPClass
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from liver_seg_ros.dicom_out.codes import kind_of
from liver_seg_ros.dicom_out.contours import outlines
from liver_seg_ros.dicom_out.equipment import Maker, common, patient_and_study
from liver_seg_ros.dicom_out.reference import Reference
from liver_seg_ros.dicom_out.segments import OutSegment
from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.source_series import SourceSlice
from liver_seg_ros.volume import LabelVolume

SERIES_NUMBER = 9005

#: Retired, and what every planning system still reads (PS3.3 C.7.4.1: Detached Study Management).
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_DIGITS = 3  # of a coordinate in mm


def make_structure_set(
    reference: Reference, labels: LabelVolume, segments: Sequence[OutSegment], maker: Maker
) -> SOPClass:
    """The structures of `labels`, which lie on the grid of the reference's CT; a region for each of `segments`.

    Raises:
        InputError: no voxel is labelled, or labels on another grid.
    """
    if not labels.geometry.is_same_grid(reference.ct.geometry):
        raise InputError(f"labels on {labels.geometry.in_words} of a CT on {reference.ct.geometry.in_words}")
    if not segments or reference.ct.series is None:
        raise InputError("no voxel is labelled: there is nothing to export")
    header = reference.first
    found = SOPClass(
        sop_class_uid=RTStructureSetStorage,
        modality="RTSTRUCT",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **patient_and_study(header),
        **common(SERIES_NUMBER, "contours"),
    )
    found.copy_patient_and_study_information(header)
    found.OperatorsName = None
    found.FrameOfReferenceUID = header.FrameOfReferenceUID
    found.PositionReferenceIndicator = header.get("PositionReferenceIndicator")
    found.StructureSetLabel = "LIVER"
    found.StructureSetDate, found.StructureSetTime = found.InstanceCreationDate, found.InstanceCreationTime
    found.ReferencedFrameOfReferenceSequence = [_frame_of_reference(reference)]
    found.StructureSetROISequence = [_region(segment, header, maker) for segment in segments]
    found.ROIContourSequence = [_contours(s, labels, reference.ct.series.slices) for s in segments]
    found.RTROIObservationsSequence = [_observation(segment) for segment in segments]
    found.ApprovalStatus = "UNAPPROVED"
    return found


def _frame_of_reference(reference: Reference) -> Dataset:
    header = reference.first
    series = _item(
        SeriesInstanceUID=header.SeriesInstanceUID,
        ContourImageSequence=[
            _item(ReferencedSOPClassUID=h.SOPClassUID, ReferencedSOPInstanceUID=h.SOPInstanceUID)
            for h in reference.headers
        ],
    )
    study = _item(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=header.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _item(FrameOfReferenceUID=header.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _region(segment: OutSegment, header: Dataset, maker: Maker) -> Dataset:
    return _item(
        ROINumber=segment.number,
        ReferencedFrameOfReferenceUID=header.FrameOfReferenceUID,
        ROIName=segment.label,
        ROIGenerationAlgorithm=maker.how.value,
    )


def _observation(segment: OutSegment) -> Dataset:
    code = kind_of(segment.structure)
    return _item(
        ObservationNumber=segment.number,
        ReferencedROINumber=segment.number,
        RTROIIdentificationCodeSequence=[
            _item(CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator, CodeMeaning=code.meaning)
        ],
        RTROIInterpretedType="GTV" if segment.structure == TUMOR else "ORGAN",
        ROIInterpreter=None,
    )


def _contours(segment: OutSegment, labels: LabelVolume, slices: Sequence[SourceSlice]) -> Dataset:
    return _item(
        ROIDisplayColor=list(segment.structure.color_rgb),
        ReferencedROINumber=segment.number,
        ContourSequence=list(_polygons(segment, labels, slices)),
    )


def _polygons(segment: OutSegment, labels: LabelVolume, slices: Sequence[SourceSlice]) -> Iterator[Dataset]:
    array = np.zeros(labels.array.shape, np.uint8)
    segment.paint(array, labels.geometry)
    for k in np.flatnonzero(array.any(axis=(1, 2))).tolist():
        image = _item(
            ReferencedSOPClassUID=slices[k].sop_class_uid, ReferencedSOPInstanceUID=slices[k].sop_instance_uid
        )
        frame = slices[k].frame
        if frame is not None:
            image.ReferencedFrameNumber = frame + 1
        for polygon in outlines(array[k] > 0):
            corners = labels.geometry.index_to_lps(np.insert(polygon, 2, k, axis=1))
            yield _item(
                ContourImageSequence=[image],
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(corners),
                ContourData=[f"{value:.{_DIGITS}f}" for value in corners.reshape(-1).tolist()],
            )


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item
