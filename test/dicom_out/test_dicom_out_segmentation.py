# SPDX-License-Identifier: Apache-2.0
"""Labels as DICOM Segmentation: every voxel at its place in the patient, whatever the CT's orientation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from liver_seg_ros.dicom_out.equipment import Made, Maker
from liver_seg_ros.dicom_out.export import export, save
from liver_seg_ros.dicom_out.reference import read_reference
from liver_seg_ros.dicom_out.segments import MOST_LESIONS, segments_of
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.geometry import Box
from liver_seg_ros.labels import KIDNEY, LIVER, STRUCTURES, TUMOR, VESSEL
from liver_seg_ros.volume import LabelVolume, Volume

SHAPE, SPACING = (4, 5, 7), (5.0, 4.0, 6.0)
WITHOUT_FIRST = Box((0, 0, 1), (16, 12, 5))
#: How scanners lay slices: axial, prone, feet first (both turn rows or columns around), sagittal, coronal.
AXES = [
    np.diag(signs)[:, order] for order in ((0, 1, 2), (1, 2, 0), (0, 2, 1))
    for signs in ((1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, 1), (-1, -1, -1))
]  # fmt: skip


def right_handed(axes: np.ndarray) -> np.ndarray:
    """With the normal that DICOM gives two directions: their cross product."""
    return np.stack([axes[:, 0], axes[:, 1], np.cross(axes[:, 0], axes[:, 1])], axis=1)


ORIENTATIONS = st.one_of(
    st.sampled_from(AXES).map(right_handed),
    st.tuples(*[st.floats(-180, 180)] * 3).map(lambda angles: Rotation.from_euler("zyx", angles, True).as_matrix()),
)


def places_of_frames(path: Path, number: int) -> np.ndarray:
    """LPS `(N, 3)` of all set pixels of one segment by DICOM's own equation (PS3.3 C.7.6.2.1.1) and nothing else."""
    seg = dcmread(path)
    shared = seg.SharedFunctionalGroupsSequence[0]
    row, column = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    down_mm, right_mm = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    places = []
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            first = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
            places += [first + c * right_mm * row + r * down_mm * column for r, c in np.argwhere(frame)]
    return np.array(places)


@settings(max_examples=10)
@given(
    axes=ORIENTATIONS,
    origin=st.tuples(*[st.floats(-300, 300).map(lambda v: round(v, 3))] * 3),
    order=st.permutations(range(4)),
    enhanced=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_voxel_keeps_its_place_and_its_slice(
    make_ct: Callable[..., Path], axes: np.ndarray, origin: tuple, order: list[int], enhanced: bool, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ct = read_volume(make_ct(folder / "ct", axes, origin, SPACING, SHAPE, list(order), enhanced))
        array = np.random.default_rng(seed).choice([0, 0, 1, 15], ct.array.shape).astype(np.uint8)
        labels = LabelVolume(array, ct.geometry)
        save(folder, export(ct, labels, ("seg",), Maker()))
        for number, structure in enumerate(labels.structures(), 1):
            expected = ct.geometry.index_to_lps(np.argwhere(array == structure.value)[:, ::-1])
            found = places_of_frames(folder / "labels.dcm", number)
            apart_mm, nearest = cKDTree(expected).query(found)
            assert len(found) == len(expected) == len(set(nearest.tolist())) and apart_mm.max() < 0.01
        again = read_label_source(folder / "labels.dcm", None, ct.geometry)
        assert (again.labels.array == array).all()
        assert_frames_refer_to_the_slices_they_lie_on(folder)


def assert_frames_refer_to_the_slices_they_lie_on(folder: Path) -> None:
    slices = {}
    for path in (folder / "ct").iterdir():
        header = dcmread(path)
        if "PerFrameFunctionalGroupsSequence" in header:
            for number, groups in enumerate(header.PerFrameFunctionalGroupsSequence, 1):
                slices[header.SOPInstanceUID, number] = groups.PlanePositionSequence[0].ImagePositionPatient
        else:
            slices[header.SOPInstanceUID, None] = header.ImagePositionPatient
    for groups in dcmread(folder / "labels.dcm").PerFrameFunctionalGroupsSequence:
        [source] = groups.DerivationImageSequence[0].SourceImageSequence
        there = slices[source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber")]
        here = groups.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(np.array(there, float), np.array(here, float), atol=1e-3)


@pytest.fixture(scope="module")
def saved(ct: Volume, labels: LabelVolume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    assert save(folder, export(ct, labels, ("seg",), Maker(Made.AUTOMATIC, "net", "1.2"))) == ["labels.dcm"]
    return folder / "labels.dcm"


def test_it_is_valid_and_belongs_to_the_study(saved: Path, ct: Volume, faults: Callable) -> None:
    assert faults(saved) == []
    seg, source = dcmread(saved), read_reference(ct).first
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID", "AccessionNumber"):
        assert seg[name].value == source[name].value
    assert seg.SeriesInstanceUID != source.SeriesInstanceUID
    [referenced] = seg.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == ct.uid
    instances = {one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence}
    assert instances == {part.sop_instance_uid for part in ct.series.slices}


def test_highdicom_reads_codes_of_the_label_table_and_a_segment_per_lesion(saved: Path, labels: LabelVolume) -> None:
    seg = highdicom.seg.segread(saved)
    described = [seg.get_segment_description(n) for n in seg.segment_numbers]
    assert [(d.segment_label, d.segmented_property_type.value) for d in described] == [
        ("Liver", LIVER.snomed_code), ("Tumor 1", TUMOR.snomed_code), ("Tumor 2", TUMOR.snomed_code),
        ("Vessel", VESSEL.snomed_code), ("Kidney", KIDNEY.snomed_code),
    ]  # fmt: skip
    assert {d.segmented_property_category.value for d in described} == {"123037004", "49755003"}
    assert all(d.algorithm_identification.name == "net" for d in described)
    volume = seg.get_volume(segment_numbers=[2])
    first = np.argwhere(volume.array[..., 0])
    sizes = (labels.array[2] == TUMOR.value).sum(), (labels.array[3] == TUMOR.value).sum()
    assert len(first) == sizes[0] > sizes[1]  # the largest first
    k, j, i = np.argwhere(labels.array == TUMOR.value).T
    centers = labels.geometry.index_to_lps(np.stack([i, j, k], 1)[k == 2])
    found = volume.map_indices_to_reference(first)
    assert np.allclose(sorted(map(tuple, found)), sorted(map(tuple, centers)), atol=1e-3)


def test_the_liver_is_the_organ_and_reading_gives_the_labels_again(
    saved: Path, ct: Volume, labels: LabelVolume
) -> None:
    found = read_label_source(saved, None, ct.geometry)
    assert (found.labels.array == labels.array).all()
    assert found.organ is not None and (found.organ == np.isin(labels.array, (1, 2, 3))).all()


def test_a_tilted_gantry_and_a_liver_with_many_specks(make_ct: Callable[..., Path], tmp_path: Path) -> None:
    """Straightened, the grid is not that of the files any more: no frame claims to be one of their slices."""
    ct = read_volume(make_ct(tmp_path / "ct", tilt_mm=1.0, shape=(5, 30, 40)))
    array = np.zeros(ct.array.shape, np.uint8)
    array[1, 1:28:3, 1:38:4] = 2  # lesions of one voxel each
    array[2:4, 4:9, 3:8] = 1
    save(tmp_path, export(ct, LabelVolume(array, ct.geometry), ("seg",), Maker()))
    seg = dcmread(tmp_path / "labels.dcm")
    assert len(seg.SegmentSequence) == 1 + MOST_LESIONS + 1
    assert (read_label_source(tmp_path / "labels.dcm", None, ct.geometry).labels.array == array).all()


def test_what_is_no_series_or_has_changed_is_refused_in_one_line(
    make_ct: Callable[..., Path], ct: Volume, labels: LabelVolume, tmp_path: Path
) -> None:
    def refused(ct: Volume, labels: LabelVolume, words: str) -> None:
        with pytest.raises(InputError, match=words):
            list(export(ct, labels, ("seg",), Maker()))

    refused(Volume(ct.array, ct.geometry), labels, "this CT is none")
    refused(ct, LabelVolume(np.zeros_like(labels.array), labels.geometry), "no voxel is labelled")
    refused(ct, LabelVolume(labels.array[1:], labels.geometry.crop(WITHOUT_FIRST)), "of a CT on")
    again = read_volume(make_ct(tmp_path / "ct"))
    path = again.series.slices[0].path
    path.unlink()
    refused(again, LabelVolume(labels.array, again.geometry), "not there any more")
    other = again.series.slices[1].path
    other.rename(path)
    refused(again, LabelVolume(labels.array, again.geometry), "is another object")


def test_a_part_of_a_ct_carries_the_slices_of_that_part(ct: Volume) -> None:
    part = ct.crop(WITHOUT_FIRST)
    assert part.series.slices == ct.series.slices[1:]
    with pytest.raises(InputError, match="of 4 slices from a series of 5"):
        Volume(part.array, part.geometry, part.uid, ct.series)


def test_every_structure_of_the_table_has_a_segment(ct: Volume) -> None:
    array = np.zeros(ct.array.shape, np.uint8)
    array.reshape(-1)[: len(STRUCTURES) * 3 : 3] = [s.value for s in STRUCTURES]
    segments = segments_of(LabelVolume(array, ct.geometry))
    assert {s.structure for s in segments} == set(STRUCTURES)
    assert len({s.tracking_uid for s in segments}) == len(segments)
