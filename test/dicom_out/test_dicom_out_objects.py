# SPDX-License-Identifier: Apache-2.0
"""Measurements, surfaces, pictures and contours as DICOM objects, and contours read again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom import config, dcmread
from pydicom.uid import EncapsulatedOBJStorage, EncapsulatedSTLStorage
from scipy import ndimage

from liver_seg_ros.dicom_out.contours import outlines
from liver_seg_ros.dicom_out.equipment import Maker
from liver_seg_ros.dicom_out.export import export, save
from liver_seg_ros.dicom_out.kinds import KINDS, check_kinds, names_of
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_labels import describe_dicom_labels
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.polygons import filled
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.labels import KIDNEY, LIVER, TUMOR, VESSEL
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct
from liver_seg_ros.volume import LabelVolume, Volume


@pytest.fixture(scope="module")
def out(ct: Volume, labels: LabelVolume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that can be exported."""
    folder = tmp_path_factory.mktemp("out")
    names = save(folder, export(ct, labels, check_kinds(KINDS), Maker()))
    assert set(names) <= set(names_of(KINDS)) and len(names) == 3 + 2 * 4 + 2
    return folder


def test_all_are_valid_in_one_study_and_frame(out: Path, ct: Volume, faults: Callable) -> None:
    for path in sorted(out.iterdir()):
        dataset = dcmread(path)
        assert dataset.StudyInstanceUID == ct.series.study_uid and dataset.PatientID == "P7"
        if dataset.Modality not in ("SR", "OT"):
            assert dataset.FrameOfReferenceUID == ct.series.frame_of_reference_uid
        if path.name.endswith("_obj.dcm"):  # this validator is older than the class; what it holds is that of STL
            assert dataset.SOPClassUID == EncapsulatedOBJStorage
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EncapsulatedSTLStorage
            dataset.MIMETypeOfEncapsulatedDocument = "model/stl"
            dataset.save_as(path)
        assert faults(path) == [], path.name
    assert len({dcmread(path).SeriesInstanceUID for path in out.iterdir()}) == len(list(out.iterdir()))


def test_the_report_has_each_figure_once_at_the_segment_that_it_measures(out: Path, labels: LabelVolume) -> None:
    report, seg = highdicom.sr.srread(out / "measurements.dcm"), dcmread(out / "labels.dcm")
    tracked = {segment.TrackingUID: segment for segment in seg.SegmentSequence}
    found = {}
    for group in report.content.get_volumetric_roi_measurement_groups():
        segment = tracked.pop(group.tracking_uid)
        assert group.referenced_segment[0].ReferencedSOPSequence[0].ReferencedSegmentNumber == segment.SegmentNumber
        assert group.finding_type.value == segment.SegmentedPropertyTypeCodeSequence[0].CodeValue
        found[segment.SegmentLabel] = {m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()}
    assert tracked == {}
    measured = {item.structure: item for item in measure(labels)}
    assert found["Liver"]["Volume"] == (round(measured[LIVER].volume_ml, 3), "mL")
    assert found["Vessel"]["Maximum 3D Diameter of a Mesh"] == (round(measured[VESSEL].largest_diameter_mm, 3), "mm")
    for number, lesion in enumerate(measured[TUMOR].parts, 1):
        figures = found[f"Tumor {number}"]
        assert figures["Volume"][0] == round(lesion.volume_ml, 3)
        assert figures["Long axis"][0] == round(lesion.axial.long_mm, 3)
        assert figures["Distance to nearest vessel"] == (round(lesion.to_vessel.distance_mm, 3), "mm")
    done = subprocess.run(["dsrdump", out / "measurements.dcm"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == "" and "UNVERIFIED" in done.stdout and "no units" not in done.stdout
    volume = f'"Volume")="{measured[LIVER].volume_ml:.6g}'
    assert volume[:16] in done.stdout


@pytest.mark.parametrize("charset", ["ISO_IR 100", "", "ISO_IR 192"])
def test_what_someone_typed_into_the_header_makes_no_object_invalid(
    make_ct: Callable[..., Path], tmp_path: Path, faults: Callable, charset: str
) -> None:
    """A name of one word that is not ASCII, a sex and dates that are none; and a result of a single structure."""
    for path in make_ct(tmp_path / "ct").iterdir():
        dataset = dcmread(path)
        dataset.SpecificCharacterSet = charset or "ISO_IR 100"
        dataset.PatientName = "Müllerin"
        dataset.PatientSex, dataset.ReferringPhysicianName = "U", "X"
        with config.disable_value_validation():
            dataset.PatientBirthDate, dataset.StudyTime = "19XX0101", "late"
            dataset.save_as(path)
        if not charset:  # the same bytes, and nobody says what they mean
            path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b" " * 10))
    ct = read_volume(tmp_path / "ct")
    array = np.zeros(ct.array.shape, np.uint8)
    array[1:3, 2:8, 3:9] = 1
    names = save(tmp_path, export(ct, LabelVolume(array, ct.geometry), ("seg", "sr", "rtstruct"), Maker()))
    for name in names:
        written = dcmread(tmp_path / name)
        assert faults(tmp_path / name) == [] and written.PatientName == "Müllerin^"
        assert not written.PatientSex and not written.PatientBirthDate and not written.StudyTime


def test_surfaces_lie_where_the_meshes_lie(out: Path, labels: LabelVolume) -> None:
    for mesh in reconstruct(labels, ReconstructionOptions(collision_margin_mm=0)).meshes:
        for kind in ("stl", "obj"):
            dataset = dcmread(out / f"{mesh.structure.name}_{kind}.dcm")
            document = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
            read = trimesh.load(BytesIO(document), kind)
            assert len(read.faces) == len(mesh.triangles)
            assert np.allclose(read.bounds, [mesh.vertices_mm.min(0), mesh.vertices_mm.max(0)], atol=1e-3)
            assert dataset.MeasurementUnitsCodeSequence[0].CodeValue == "mm"


def test_pictures_are_color_and_say_no_orientation(out: Path) -> None:
    for name in ("overlay", "scene"):
        dataset = dcmread(out / f"{name}.dcm")
        assert dataset.pixel_array.shape[2] == 3 and np.ptp(dataset.pixel_array) > 50
        assert not dataset.PatientOrientation


@settings(max_examples=40)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_filling_the_outlines_gives_the_mask_again(mask: np.ndarray) -> None:
    polygons = outlines(mask)
    assert (filled(polygons, mask.shape) == mask).all()
    # A hole is part of the polygon around it: as many polygons as pieces, which touch at corners or not.
    assert ndimage.label(mask, np.ones((3, 3)))[1] <= len(polygons) <= ndimage.label(mask)[1]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-2, 8), st.floats(-2, 8)), min_size=3, max_size=8))
def test_pixels_in_a_polygon_are_those_around_which_it_winds_oddly(corners: list[tuple[float, float]]) -> None:
    """Held against the sum of angles under which the polygon is seen, away from its edges."""
    polygon = np.array(corners)
    mask = filled([polygon], (6, 6))
    for j, i in np.ndindex(6, 6):
        seen = polygon - (i, j)
        behind = np.roll(seen, -1, axis=0)
        cross = seen[:, 0] * behind[:, 1] - seen[:, 1] * behind[:, 0]
        dot = (seen * behind).sum(1)
        lengths = np.linalg.norm(behind - seen, axis=1)
        if (np.abs(cross) < 1e-6 * (1 + lengths)).any():
            continue  # on an edge, or in line with one
        assert mask[j, i] == (round(float(np.arctan2(cross, dot).sum()) / (2 * np.pi)) % 2 == 1)


def test_contours_are_read_as_the_labels_that_they_were_made_of(
    out: Path, ct: Volume, labels: LabelVolume, make_ct: Callable[..., Path], tmp_path: Path
) -> None:
    found = read_label_source(out / "contours.dcm", None, ct.geometry)
    assert (found.labels.array == labels.array).all()
    assert found.structures == (LIVER, TUMOR, VESSEL, KIDNEY) and found.organ is not None
    contours = dcmread(out / "contours.dcm")
    kinds = {c.ContourGeometricType for roi in contours.ROIContourSequence for c in roi.ContourSequence}
    assert kinds == {"CLOSED_PLANAR"}
    for roi in contours.ROIContourSequence:  # each names the slice in whose plane it lies
        for contour in roi.ContourSequence:
            [part] = [
                n for n, s in enumerate(ct.series.slices)
                if s.sop_instance_uid == contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            ]  # fmt: skip
            k = ct.geometry.lps_to_index(np.array(contour.ContourData, float).reshape(-1, 3))[:, 2]
            assert np.allclose(k, part, atol=1e-2)
    other = read_volume(make_ct(tmp_path / "other", origin=(500.0, 0.0, 0.0)))
    with pytest.raises(InputError, match=r"lie outside the CT|lies in no slice"):
        read_label_source(out / "contours.dcm", None, other.geometry)


def test_contours_on_every_other_slice_stand_for_those_between_and_names_do_without_codes(
    out: Path, ct: Volume, labels: LabelVolume, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = dcmread(out / "contours.dcm")
    del dataset.RTROIObservationsSequence
    dataset.StructureSetROISequence[4].ROIName = "nothing known"
    for roi in dataset.ROIContourSequence:
        index = [ct.geometry.lps_to_index(np.array(c.ContourData, float)[:3])[2] for c in roi.ContourSequence]
        roi.ContourSequence = [c for c, k in zip(roi.ContourSequence, index, strict=True) if round(k) % 2 == 0]
    dataset.save_as(tmp_path / "every_other.dcm")
    found = read_label_source(tmp_path / "every_other.dcm", None, ct.geometry).labels
    assert (found.array[2] == np.where(labels.array[2] == 15, 0, labels.array[2])).all()
    inside = np.isin(found.array, (1, 2, 3))
    assert (inside[1] == inside[2]).all() and (inside[3] == inside[4]).all() and not inside[0].any()
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "2.0 slices apart" in said and "'nothing known'" in said
    assert describe_dicom_labels(tmp_path / "every_other.dcm")[1]["1 Liver"] == LIVER


@pytest.mark.parametrize("name", ["StructureSetROISequence", "ContourData", "nan", "no structure"])
def test_a_damaged_structure_set_is_one_line(out: Path, ct: Volume, tmp_path: Path, name: str) -> None:
    dataset = dcmread(out / "contours.dcm")
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    if name == "ContourData":
        contour.ContourData = contour.ContourData[:-1]
    elif name == "nan":
        contour.ContourData[0] = 1e400
    elif name == "no structure":
        del dataset.RTROIObservationsSequence
        for roi in dataset.StructureSetROISequence:
            roi.ROIName = "unknown"
    else:
        delattr(dataset, name)
    dataset.save_as(tmp_path / "contours.dcm")
    with pytest.raises(InputError, match=r"contours\.dcm") as caught:
        read_label_source(tmp_path / "contours.dcm", None, ct.geometry)
    assert "\n" not in str(caught.value)


def test_what_can_be_exported_and_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_kinds(["sr"]) == ("seg", "sr")
    with pytest.raises(InputError, match="'dvd' is nothing to export; there is seg, sr"):
        check_kinds(["dvd"])
