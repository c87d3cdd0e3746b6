# SPDX-License-Identifier: Apache-2.0
"""Surfaces as encapsulated STL or OBJ (PS3.3 A.85.1 and A.85.2): the file itself, in the CT's frame of reference.

The vertices are LPS millimetres, which is that frame; so a viewer lays them over the CT as they are.
"""

from __future__ import annotations

from pathlib import Path

from highdicom.base import SOPClass
from pydicom import Dataset
from pydicom.uid import EncapsulatedOBJStorage, EncapsulatedSTLStorage, ExplicitVRLittleEndian

from liver_seg_ros.dicom_out.equipment import common, patient_and_study
from liver_seg_ros.dicom_out.reference import Reference
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.meshes import write_mesh
from liver_seg_ros.mesh import Mesh

SERIES_NUMBER = 9003

#: What a mesh may be stored as: SOP class and MIME type.
FORMATS = {"stl": (EncapsulatedSTLStorage, "model/stl"), "obj": (EncapsulatedOBJStorage, "model/obj")}


def make_encapsulated_mesh(reference: Reference, mesh: Mesh, kind: str, scratch: Path) -> SOPClass:
    """The surface of one structure.

    Args:
        reference: the CT that it was made of.
        mesh: in LPS mm.
        kind: one of `FORMATS`.
        scratch: a folder for a file that does not stay.

    Raises:
        InputError: another format.
    """
    if kind not in FORMATS:
        raise InputError(f"a mesh cannot be encapsulated as '{kind}'; use one of {', '.join(FORMATS)}")
    sop_class, mime_type = FORMATS[kind]
    path = scratch / f"mesh.{kind}"
    write_mesh(path, mesh)
    document = path.read_bytes()
    path.unlink()
    header = reference.first
    found = SOPClass(
        sop_class_uid=sop_class,
        modality="M3D",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **patient_and_study(header),
        **common(SERIES_NUMBER, f"surface of {mesh.structure.title}"),
    )
    found.copy_patient_and_study_information(header)
    found.FrameOfReferenceUID = header.FrameOfReferenceUID
    found.PositionReferenceIndicator = header.get("PositionReferenceIndicator")
    found.AcquisitionDateTime = None
    found.BurnedInAnnotation = "NO"  # a surface shows no letters
    found.RecognizableVisualFeatures = "NO"
    found.DocumentTitle = mesh.structure.title.capitalize()
    found.ConceptNameCodeSequence = [_coded("85040-4", "LN", "CT 3D printing model")]
    found.SourceInstanceSequence = [_instance(source) for source in reference.headers]
    found.ReferencedSeriesSequence = [Dataset()]
    found.ReferencedSeriesSequence[0].SeriesInstanceUID = header.SeriesInstanceUID
    found.ReferencedSeriesSequence[0].ReferencedInstanceSequence = [_instance(source) for source in reference.headers]
    found.MIMETypeOfEncapsulatedDocument = mime_type
    found.MeasurementUnitsCodeSequence = [_coded("mm", "UCUM", "mm")]
    found.ContentDescription = f"Surface of {mesh.structure.title} in LPS mm"
    found.ModelModification = found.ModelMirroring = "NO"
    found.EncapsulatedDocumentLength = len(document)
    found.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    return found


def _instance(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
