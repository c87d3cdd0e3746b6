# SPDX-License-Identifier: Apache-2.0
"""Measurements as a structured report (TID 1500, PS3.16), one group for each segment of the segmentation beside it.

Every figure carries the uncertainty that the resolution leaves, as upper and lower uncertainty (TID 310).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from highdicom.seg import Segmentation
from highdicom.sr import (
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementProperties,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from liver_seg_ros import __version__
from liver_seg_ros.dicom_out.codes import category_of, kind_of
from liver_seg_ros.dicom_out.equipment import DEVICE_UID, NAME, common
from liver_seg_ros.dicom_out.reference import Reference
from liver_seg_ros.dicom_out.segments import OutSegment
from liver_seg_ros.measurement import AxialDiameter, Gap, PartMeasurement, StructureMeasurement

SERIES_NUMBER = 9002

_VOLUME = codes.SCT.Volume
_LARGEST = CodedConcept("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
_LONG, _SHORT = codes.SCT.LongAxis, codes.SCT.ShortAxis
#: Of our own (PS3.16 chapter 8: schemes that begin with 99 are private): DICOM has no code for these distances.
_OURS = "99LIVERSEG"
_TO_VESSEL = CodedConcept("TO_VESSEL", _OURS, "Distance to nearest vessel")
_TO_CAPSULE = CodedConcept("TO_CAPSULE", _OURS, "Distance to surface of liver")
_ML, _MM = CodedConcept("mL", "UCUM", "milliliter"), codes.UCUM.Millimeter
_DIGITS = 3


def make_report(
    reference: Reference,
    segmentation: Segmentation,
    segments: Sequence[OutSegment],
    measurements: Iterable[StructureMeasurement],
) -> ComprehensiveSR:
    """The measurements of the structures and lesions that have a segment in `segmentation`."""
    measured = {item.structure: item for item in measurements}
    groups = [
        _group(segmentation, segment, figures)
        for segment in segments
        if (figures := list(_figures(segment, measured.get(segment.structure))))
    ]
    report = MeasurementReport(
        observation_context=_observer(),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    return ComprehensiveSR(
        evidence=[*reference.headers, segmentation],
        content=report[0],
        is_complete=False,  # a reader has to look at it
        is_verified=False,
        **common(SERIES_NUMBER, "measurements"),
    )


def _observer() -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(DEVICE_UID, NAME, NAME, "liver-seg", __version__)
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))


def _group(
    segmentation: Segmentation, segment: OutSegment, figures: Sequence[Measurement]
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        # highdicom's own way (from_segmentation) fails for an object with one segment.
        referenced_segment=ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            segment.number,
            source_series=SourceSeriesForSegmentation(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID),
        ),
        finding_type=kind_of(segment.structure),
        finding_category=category_of(segment.structure),
        measurements=figures,
    )


def _figures(segment: OutSegment, measured: StructureMeasurement | None) -> Iterator[Measurement]:
    """What was measured of a segment: of a lesion by itself, of a structure as a whole."""
    of: StructureMeasurement | PartMeasurement | None = measured
    if measured is not None and measured.parts:
        number = segment.lesion
        of = measured.parts[number - 1] if number is not None and number <= len(measured.parts) else None
    if of is None:
        return
    yield _measurement(_VOLUME, of.volume_ml, of.volume_uncertainty_ml, _ML)
    yield _measurement(_LARGEST, of.largest_diameter_mm, of.diameter_uncertainty_mm, _MM)
    yield from _axial(of.axial)
    if isinstance(of, PartMeasurement):
        yield from _gap(_TO_VESSEL, of.to_vessel)
        yield from _gap(_TO_CAPSULE, of.to_capsule)


def _axial(axial: AxialDiameter | None) -> Iterator[Measurement]:
    if axial is not None:
        yield _measurement(_LONG, axial.long_mm, axial.uncertainty_mm, _MM)
        yield _measurement(_SHORT, axial.short_mm, axial.uncertainty_mm, _MM)


def _gap(name: CodedConcept, gap: Gap | None) -> Iterator[Measurement]:
    if gap is not None:
        yield _measurement(name, gap.distance_mm, gap.uncertainty_mm, _MM)


def _measurement(name: CodedConcept | Code, value: float, uncertainty: float, unit: CodedConcept | Code) -> Measurement:
    rounded = round(uncertainty, _DIGITS)
    properties = MeasurementProperties(upper_measurement_uncertainty=rounded, lower_measurement_uncertainty=rounded)
    for item in properties:  # highdicom writes them without a unit
        item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [CodedConcept.from_code(unit)]
    return Measurement(name, round(value, _DIGITS), unit, properties=properties)
