# SPDX-License-Identifier: Apache-2.0
"""DICOM Segmentation objects on the grid of their CT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_seg import describe_dicom_seg, find_dicom_seg, read_dicom_seg
from liver_seg_ros.files.label_schemes import TOTALSEGMENTATOR, LabelScheme
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.volumes import read_labels, read_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, PORTAL_VEIN, TUMOR, VESSEL

GEOMETRY = Geometry((16, 12, 5), (1.5, 1.25, 2.5), (-20.0, -30.0, 100.0), ((0.8, -0.6, 0), (0.6, 0.8, 0), (0, 0, 1)))


def code(value: str, scheme: str, meaning: str) -> Dataset:
    dataset = Dataset()
    dataset.CodeValue, dataset.CodingSchemeDesignator, dataset.CodeMeaning = value, scheme, meaning
    return dataset


def item(**attributes: object) -> Dataset:
    dataset = Dataset()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def save_seg(path: Path, segments: dict[int, tuple[str, Dataset]], frames: list[tuple], geometry: Geometry) -> Path:
    """Write a segmentation: `frames` are (segment number, k, mask `(J, I)`) on slices of `geometry`, in any order."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, SegmentationStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    seg = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    seg.SOPClassUID, seg.SOPInstanceUID, seg.Modality = SegmentationStorage, meta.MediaStorageSOPInstanceUID, "SEG"
    seg.SegmentationType, seg.NumberOfFrames = "BINARY", len(frames)
    seg.Columns, seg.Rows = geometry.size[:2]
    seg.SamplesPerPixel, seg.PhotometricInterpretation = 1, "MONOCHROME2"
    seg.BitsAllocated = seg.BitsStored = 1
    seg.HighBit = seg.PixelRepresentation = 0
    seg.SegmentSequence = [
        item(SegmentNumber=number, SegmentLabel=label, SegmentedPropertyTypeCodeSequence=[coded])
        for number, (label, coded) in segments.items()
    ]
    axes = geometry.direction_matrix
    spacing = geometry.spacing_mm
    seg.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=[*axes[:, 0].tolist(), *axes[:, 1].tolist()])],
            PixelMeasuresSequence=[item(PixelSpacing=[spacing[1], spacing[0]])],
        )
    ]
    seg.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[
                item(ImagePositionPatient=[round(v, 6) for v in geometry.index_to_lps((0, 0, k)).tolist()])
            ],
            SegmentIdentificationSequence=[item(ReferencedSegmentNumber=number)],
        )
        for number, k, _ in frames
    ]
    seg.PixelData = pack_bits(np.concatenate([mask.reshape(-1) for _, _, mask in frames]).astype(np.uint8))
    seg["PixelData"].VR = "OB"
    seg.save_as(path)
    return path


LIVER_SCT, MASS_SCT = code("10200004", "SCT", "Liver"), code("4147007", "SCT", "Mass")
BLADDER_SCT, LIVER_SRT = code("89837001", "SCT", "Urinary bladder"), code("T-62000", "SRT", "Liver")
ORGAN_SRT = code("T-D0060", "SRT", "Organ")  # leaves open which


@pytest.fixture
def masks() -> np.ndarray:
    """`(2, K, J, I)`: a liver and a tumor that overlaps it."""
    masks = np.zeros((2, *GEOMETRY.shape), bool)
    masks[0, 1:4, 2:9, 3:12] = True
    masks[1, 2:4, 4:6, 5:14] = True
    return masks


def test_frames_are_placed_by_position_in_any_order(tmp_path: Path, masks: np.ndarray) -> None:
    frames = [(s + 3, k, masks[s, k]) for s, k in [(1, 3), (0, 1), (1, 2), (0, 3), (0, 2)]]
    segments = {3: ("segment A", LIVER_SCT), 4: ("segment B", MASS_SCT)}
    labels = read_dicom_seg(save_seg(tmp_path / "seg.dcm", segments, frames, GEOMETRY), GEOMETRY)
    assert (labels.mask(2) == masks[1]).all()
    assert (labels.mask(1) == masks[0] & ~masks[1]).all()


@pytest.mark.parametrize("coded", [LIVER_SRT, ORGAN_SRT])
def test_old_codes_and_labels_count_and_others_are_left_out(tmp_path: Path, masks: np.ndarray, coded: Dataset) -> None:
    segments = {1: ("bladder", BLADDER_SCT), 2: ("x" if coded is LIVER_SRT else "Liver", coded)}
    frames = [(1, 2, masks[1, 2]), (2, 1, masks[0, 1])]
    labels = read_dicom_seg(save_seg(tmp_path / "seg.dcm", segments, frames, GEOMETRY), GEOMETRY)
    assert labels.counts() == {"liver": int(masks[0, 1].sum()), "tumor": 0, "vessel": 0}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirrored_export_lies_at_the_same_place(tmp_path: Path, masks: np.ndarray, axis: int) -> None:
    mirrored = np.flip(masks[0], 2 - axis)
    frames = [(1, k, mirrored[k]) for k in range(5)]
    path = save_seg(tmp_path / "seg.dcm", {1: ("Liver", LIVER_SCT)}, frames, GEOMETRY.flip(axis))
    assert (read_dicom_seg(path, GEOMETRY).mask(1) == masks[0]).all()


@pytest.mark.parametrize("axes", [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_frames_may_lie_in_any_plane_of_the_ct(tmp_path: Path, masks: np.ndarray, axes: tuple[int, int, int]) -> None:
    """Sagittal or coronal frames, as a program writes that cuts the other way: rows along another axis of the CT."""
    turned = Geometry(
        tuple(GEOMETRY.size[axis] for axis in axes),
        tuple(GEOMETRY.spacing_mm[axis] for axis in axes),
        GEOMETRY.origin_mm,
        GEOMETRY.direction_matrix[:, axes],
    )
    array = masks[0].T.transpose(axes).T  # (i, j, k) is the order of `axes`
    frames = [(1, k, array[k]) for k in range(turned.size[2])]
    path = save_seg(tmp_path / "seg.dcm", {1: ("Liver", LIVER_SCT)}, frames, turned)
    assert (read_dicom_seg(path, GEOMETRY).mask(1) == masks[0]).all()


@pytest.mark.parametrize(("stretch", "fits"), [(1.005, True), (1.02, False)])
def test_pixels_of_another_size_count_by_how_far_the_last_one_is_off(
    tmp_path: Path, masks: np.ndarray, stretch: float, fits: bool
) -> None:
    """The last set pixel is 11 to the right: at 0.5 % a twentieth of a voxel off, at 2 % a fifth."""
    i_mm, j_mm, k_mm = GEOMETRY.spacing_mm
    wider = Geometry(GEOMETRY.size, (i_mm * stretch, j_mm, k_mm), GEOMETRY.origin_mm, GEOMETRY.direction)
    path = save_seg(tmp_path / "seg.dcm", {1: ("Liver", LIVER_SCT)}, [(1, 2, masks[0, 2])], wider)
    if fits:
        assert (read_dicom_seg(path, GEOMETRY).mask(1)[2] == masks[0, 2]).all()
    else:
        refused(path, GEOMETRY, "between the voxels")


def refused(path: Path, geometry: Geometry, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_dicom_seg(path, geometry)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_another_ct(tmp_path: Path, masks: np.ndarray) -> None:
    path = save_seg(tmp_path / "seg.dcm", {1: ("Liver", LIVER_SCT)}, [(1, k, masks[0, k]) for k in (1, 2)], GEOMETRY)
    refused(path, GEOMETRY.resampled((1.5, 1.25, 4.0)), "between the voxels")
    far = Geometry(GEOMETRY.size, GEOMETRY.spacing_mm, (-20.0, -30.0, 150.0), GEOMETRY.direction)
    refused(path, far, "outside the CT")


def test_no_structure_of_the_table(tmp_path: Path, masks: np.ndarray) -> None:
    path = save_seg(tmp_path / "seg.dcm", {1: ("bladder", BLADDER_SCT)}, [(1, 1, masks[0, 1])], GEOMETRY)
    refused(path, GEOMETRY, "'bladder'")


def test_no_segmentation_object(tmp_path: Path, make_series: Callable) -> None:
    make_series().save(tmp_path)
    refused(next(tmp_path.iterdir()), GEOMETRY, "is CT, no DICOM Segmentation")
    refused(tmp_path / "none.dcm", GEOMETRY, "no such file")
    (tmp_path / "text.dcm").write_text("text")
    refused(tmp_path / "text.dcm", GEOMETRY, "no readable DICOM Seg")


@pytest.mark.parametrize("name", ["SegmentSequence", "PerFrameFunctionalGroupsSequence", "PixelData"])
def test_damaged_object(tmp_path: Path, masks: np.ndarray, name: str) -> None:
    path = save_seg(tmp_path / "seg.dcm", {1: ("Liver", LIVER_SCT)}, [(1, 1, masks[0, 1])], GEOMETRY)
    dataset = dcmread(path)
    delattr(dataset, name)
    dataset.save_as(path)
    refused(path, GEOMETRY, "seg.dcm")


def test_real_segmentation_is_the_same_as_the_nrrd_beside_it(shared_data: Path) -> None:
    folder = shared_data / "ct_dicom_3slice"
    ct = read_volume(folder)
    labels = read_dicom_seg(folder / "liver.dcm", ct.geometry)
    nrrd = read_labels(folder / "liver_seg.nrrd")
    assert nrrd.geometry.is_same_grid(ct.geometry)
    assert (labels.array == nrrd.array).all()
    assert 35 < np.median(ct.array[labels.mask(1)]) < 60  # liver without contrast
    assert np.median(ct.array[labels.mask(1)[:, ::-1]]) < 35  # mirrored, the mask would lie elsewhere


def edit(path: Path, change: Callable[[Dataset], None]) -> Path:
    """Change each segment's description in the file at `path`."""
    dataset = dcmread(path)
    for described in dataset.SegmentSequence:
        change(described)
    dataset.save_as(path)
    return path


def test_a_code_wins_over_a_label_and_what_is_left_out_is_named(
    tmp_path: Path, masks: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    segments = {1: ("Liver", BLADDER_SCT), 2: ("Liver", MASS_SCT)}
    path = save_seg(tmp_path / "seg.dcm", segments, [(1, 1, masks[0, 1]), (2, 2, masks[1, 2])], GEOMETRY)
    labels = read_dicom_seg(path, GEOMETRY)
    assert labels.counts() == {"liver": 0, "tumor": int(masks[1, 2].sum()), "vessel": 0}
    (warning,) = (record.getMessage() for record in caplog.records)
    assert "'Liver' is not in the label table (it is coded SCT 89837001 'Urinary bladder')" in warning


def test_region_and_modifier_say_nothing_of_what_it_is(tmp_path: Path, masks: np.ndarray) -> None:
    def lies_in_the_liver(described: Dataset) -> None:
        described.AnatomicRegionSequence = [LIVER_SCT]
        described.SegmentedPropertyTypeModifierCodeSequence = [LIVER_SCT]

    vein = code("29092000", "SCT", "Vein")
    frames = [(1, 2, masks[0, 2]), (2, 1, masks[0, 1])]
    path = save_seg(tmp_path / "seg.dcm", {1: ("a", MASS_SCT), 2: ("b", vein)}, frames, GEOMETRY)
    labels = read_dicom_seg(edit(path, lies_in_the_liver), GEOMETRY)
    assert (labels.mask(2)[2] == masks[0, 2]).all() and (labels.mask(3)[1] == masks[0, 1]).all()


def test_a_tumor_lies_in_a_vessel_whatever_the_order_of_frames(tmp_path: Path, masks: np.ndarray) -> None:
    """What overlaps is settled as everywhere in this package: tumor over vessel over liver."""
    vessel = code("59820001", "SCT", "Blood vessel")
    segments = {1: ("tumor", MASS_SCT), 2: ("vessel", vessel), 3: ("liver", LIVER_SCT)}
    third = np.zeros_like(masks[0])
    third[2, 3:8, 4:9] = True
    frames = [(1, 2, masks[1, 2]), (2, 2, third[2]), (3, 2, masks[0, 2])]
    for order in (frames, frames[::-1]):
        found = find_dicom_seg(save_seg(tmp_path / "seg.dcm", segments, order, GEOMETRY), GEOMETRY)
        assert (found.labels.mask(2)[2] == masks[1, 2]).all()
        assert (found.labels.mask(3)[2] == third[2] & ~masks[1, 2]).all()
        assert found.organ is not None and (found.organ[2] == masks[0, 2] | masks[1, 2]).all()
        assert found.structures == (LIVER, TUMOR, VESSEL)


def test_no_organ_without_a_liver(tmp_path: Path, masks: np.ndarray) -> None:
    path = save_seg(tmp_path / "seg.dcm", {1: ("tumor", MASS_SCT)}, [(1, 2, masks[1, 2])], GEOMETRY)
    assert find_dicom_seg(path, GEOMETRY).organ is None


def test_long_codes_and_segments_without_any(tmp_path: Path, masks: np.ndarray) -> None:
    path = save_seg(tmp_path / "seg.dcm", {1: ("Liver", LIVER_SCT)}, [(1, 1, masks[0, 1])], GEOMETRY)

    def lengthen(described: Dataset) -> None:
        del described.SegmentedPropertyTypeCodeSequence[0].CodeValue
        described.SegmentedPropertyTypeCodeSequence[0].LongCodeValue = "4147007"

    assert find_dicom_seg(edit(path, lengthen), GEOMETRY).taken_for == {"1 Liver": TUMOR}

    def strip(described: Dataset) -> None:
        del described.SegmentedPropertyTypeCodeSequence

    assert find_dicom_seg(edit(path, strip), GEOMETRY).taken_for == {"1 Liver": LIVER}


def test_the_users_own_word_and_that_of_a_tool(
    tmp_path: Path, masks: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [(1, 1, masks[0, 1]), (2, 2, masks[1, 2])]
    path = save_seg(tmp_path / "seg.dcm", {1: ("a", BLADDER_SCT), 2: ("b", MASS_SCT)}, frames, GEOMETRY)
    mine = LabelScheme("mine.yaml", "mine.yaml", {1: PORTAL_VEIN, 2: None}, is_users=True)
    found = find_dicom_seg(path, GEOMETRY, mine)
    assert found.labels.counts() == {"liver": 0, "tumor": 0, "vessel": 0, "portal_vein": int(masks[0, 1].sum())}
    assert describe_dicom_seg(path, mine) == ("mine.yaml", {"1 a": PORTAL_VEIN, "2 b": None})
    assert not caplog.records  # who leaves something out knows it
    nothing = LabelScheme("no.yaml", "no.yaml", {1: None, 2: None}, is_users=True)
    with pytest.raises(InputError, match=r"has none of the structures.*'b' is not in the label table \(no.yaml leaves"):
        find_dicom_seg(path, GEOMETRY, nothing)
    with pytest.raises(InputError, match="Leave --labels out"):
        find_dicom_seg(path, GEOMETRY, TOTALSEGMENTATOR)


def test_segments_are_described_without_their_ct(tmp_path: Path, masks: np.ndarray) -> None:
    path = save_seg(tmp_path / "seg.dcm", {1: ("x", LIVER_SCT), 2: ("y", BLADDER_SCT)}, [(1, 1, masks[0, 1])], GEOMETRY)
    assert describe_dicom_seg(path) == ("segments of DICOM", {"1 x": LIVER, "2 y": None})


def test_without_preamble_and_suffix(tmp_path: Path, masks: np.ndarray) -> None:
    path = save_seg(tmp_path / "seg.dcm", {1: ("Liver", LIVER_SCT)}, [(1, 1, masks[0, 1])], GEOMETRY)
    (tmp_path / "bare").write_bytes(path.read_bytes()[128:])
    for read in (
        read_dicom_seg(tmp_path / "bare", GEOMETRY),
        read_label_source(tmp_path / "bare", None, GEOMETRY).labels,
    ):
        assert (read.mask(1)[1] == masks[0, 1]).all()
