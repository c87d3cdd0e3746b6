# SPDX-License-Identifier: Apache-2.0
"""Enhanced (multi-frame) CT: the same volume as its slices, in any order of frames, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless, LegacyConvertedEnhancedCTImageStorage, RLELossless, generate_uid

from liver_seg_ros.files.dicom_codec import decode_frame
from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


def turned(permutation: list[int], signs: list[int]) -> np.ndarray:
    """Axes `(i, j, k)` of a series along the patient's in this order; right-handed, as slices always are."""
    axes = np.eye(3)[:, permutation] * signs
    axes[:, 2] *= np.linalg.det(axes)
    return axes


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(5)),
    axes=st.builds(turned, st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([1, -1])] * 3).map(list)),
)
def test_frames_in_any_order_and_orientation(
    tmp_path_factory: pytest.TempPathFactory,
    make_series: Fixture,
    make_enhanced: Fixture,
    place: Fixture,
    check_places: Fixture,
    order: list[int],
    axes: np.ndarray,
) -> None:
    folder = tmp_path_factory.mktemp("enhanced")
    series = place(make_series(), axes)
    make_enhanced([series.slices[k] for k in order]).save_as(folder / "ct.dcm")
    volume = read_volume(folder)
    check_places(volume)
    assert volume.uid == series.uid
    single = read_volume(series.save(folder / "single"))
    assert (volume.array == single.array).all()
    assert volume.geometry == single.geometry


def test_each_frame_has_its_own_rescale_and_one_file_is_enough(
    tmp_path: Path, make_series: Fixture, make_enhanced: Fixture
) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.RescaleIntercept = -1024 - 8 * k
        dataset.PixelData = (series.hu[k] + 1024 + 8 * k).astype(np.int16).tobytes()
    make_enhanced(series.slices).save_as(tmp_path / "ct")
    assert (read_volume(tmp_path / "ct").array == series.hu).all()


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_frames(
    tmp_path: Path, make_series: Fixture, make_enhanced: Fixture, faults: Path, syntax: str, table: bool
) -> None:
    """The codestreams of JPEG-LS are those of a real encoder; RLE is pydicom's own."""
    series = make_series()
    enhanced = make_enhanced(series.slices)
    expected = series.hu
    if syntax == RLELossless:
        enhanced.compress(RLELossless)
    else:
        coded = [dcmread(path) for path in sorted((faults / "monochrome1_jpegls").iterdir())]
        plain = [dcmread(path) for path in sorted((faults / "monochrome1_plain").iterdir())]
        enhanced = make_enhanced(plain)
        enhanced.PhotometricInterpretation = "MONOCHROME1"
        expected = np.array([part.pixel_array.astype(int) - 1024 for part in plain])
        frames = [part.PixelData[16 : 16 + int.from_bytes(part.PixelData[12:16], "little")] for part in coded]
        enhanced.PixelData = encapsulate(frames, has_bot=table)
        enhanced["PixelData"].VR, enhanced["PixelData"].is_undefined_length = "OB", True
        enhanced.file_meta.TransferSyntaxUID = JPEGLSLossless
    enhanced.save_as(tmp_path / "ct.dcm")
    assert (read_volume(tmp_path / "ct.dcm").array == expected).all()


def test_a_concatenation_is_one_volume(tmp_path: Path, make_series: Fixture, make_enhanced: Fixture) -> None:
    """Frames of one object in two files that interleave; two objects that follow each other are one volume too."""
    series = make_series()
    uid = generate_uid()
    for name, places in {"a": (0, 2, 4), "b": (3, 1)}.items():
        part = make_enhanced([series.slices[k] for k in places])
        part.ConcatenationUID = uid
        part.save_as(tmp_path / f"{name}.dcm")
    assert (read_volume(tmp_path).array == series.hu).all()
    assert (read_volume(tmp_path / "b.dcm").array == series.hu).all()
    for name, places in {"a": (0, 1), "b": (4, 3, 2)}.items():
        make_enhanced([series.slices[k] for k in places]).save_as(tmp_path / f"{name}.dcm")
    assert (read_volume(tmp_path).array == series.hu).all()


def test_localizer_frames_are_left_out(tmp_path: Path, make_series: Fixture, make_enhanced: Fixture) -> None:
    series = make_series()
    enhanced = make_enhanced([series.slices[0], *series.slices])
    scout = enhanced.PerFrameFunctionalGroupsSequence[0]
    kind = Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    scout.CTImageFrameTypeSequence = [kind]
    del scout.PixelValueTransformationSequence, scout.PlanePositionSequence
    enhanced.ImageType = ["ORIGINAL", "PRIMARY", "MIXED", "NONE"]
    enhanced.save_as(tmp_path / "ct.dcm")
    assert (read_volume(tmp_path).array == series.hu).all()


def test_only_localizers(tmp_path: Path, make_series: Fixture, make_enhanced: Fixture, refused: Fixture) -> None:
    enhanced = make_enhanced(make_series().slices)
    kind = enhanced.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0]
    kind.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    enhanced.save_as(tmp_path / "ct.dcm")
    refused(tmp_path, "only scouts")
    enhanced.ImageType = kind.FrameType
    enhanced.save_as(tmp_path / "ct.dcm")
    refused(tmp_path, "holds no CT series, only 1 CT localizer")


def test_a_legacy_converted_object(tmp_path: Path, make_series: Fixture, make_enhanced: Fixture) -> None:
    series = make_series()
    enhanced = make_enhanced(series.slices)
    kind = LegacyConvertedEnhancedCTImageStorage
    enhanced.SOPClassUID = enhanced.file_meta.MediaStorageSOPClassUID = kind
    enhanced.save_as(tmp_path / "ct.dcm")
    assert (read_volume(tmp_path).array == series.hu).all()


def remove(*names: str) -> Callable[[Dataset], None]:
    def change(enhanced: Dataset) -> None:
        for groups in (enhanced.SharedFunctionalGroupsSequence[0], enhanced.PerFrameFunctionalGroupsSequence[2]):
            for name in names:
                if name in groups:
                    delattr(groups, name)

    return change


def lose_a_description(enhanced: Dataset) -> None:
    enhanced.PerFrameFunctionalGroupsSequence.pop()


def claim_more(enhanced: Dataset) -> None:
    frame = enhanced.PerFrameFunctionalGroupsSequence[0]
    enhanced.PerFrameFunctionalGroupsSequence.append(frame)
    enhanced.NumberOfFrames += 1


def claim_memory(enhanced: Dataset) -> None:
    enhanced.Rows = enhanced.Columns = 65535


def claim_wide(enhanced: Dataset) -> None:
    enhanced.Columns = 17


def claim_narrow(enhanced: Dataset) -> None:
    enhanced.Columns = 15


def be_of_iodine(enhanced: Dataset) -> None:
    enhanced.PerFrameFunctionalGroupsSequence[3].PixelValueTransformationSequence[0].RescaleType = "MGML"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove("PlanePositionSequence"), "frame 3: has no ImagePositionPatient"),
        (remove("PlaneOrientationSequence"), "frame 1: has no ImageOrientationPatient"),
        (remove("PixelMeasuresSequence"), "frame 1: has no PixelSpacing"),
        (remove("PixelValueTransformationSequence"), "frame 3: has no RescaleSlope"),
        (lose_a_description, "describes 4 frames and claims 5"),
        (claim_more, "holds 1920 bytes of pixels"),
        (claim_memory, "claims 65535 x 65535 pixels"),
        (claim_wide, "its 17 x 12 pixels of 5 frames need 2040"),
        (claim_narrow, "its 15 x 12 pixels of 5 frames need 1800"),
        (be_of_iodine, "frame 4: its values are MGML, not HU"),
    ],
)
def test_broken_objects(
    tmp_path: Path, make_series: Fixture, make_enhanced: Fixture, refused: Fixture, change: Callable, words: str
) -> None:
    enhanced = make_enhanced(make_series().slices)
    change(enhanced)
    enhanced.save_as(tmp_path / "ct.dcm")
    refused(tmp_path, "ct.dcm", words)


def test_no_frame_is_decoded_twice_or_in_vain(
    tmp_path: Path, faults: Path, make_enhanced: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A multi-frame object of many phases must not be decoded whole to read one of them."""
    coded = [dcmread(path) for path in sorted((faults / "monochrome1_jpegls").iterdir())]
    enhanced = make_enhanced([*coded, *coded])
    for n, frame in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].FrameAcquisitionNumber = 1 + n // 2
    frames = [part.PixelData[16 : 16 + int.from_bytes(part.PixelData[12:16], "little")] for part in coded]
    enhanced.PixelData = encapsulate(frames * 2)
    enhanced["PixelData"].VR, enhanced["PixelData"].is_undefined_length = "OB", True
    enhanced.file_meta.TransferSyntaxUID = JPEGLSLossless
    enhanced.save_as(tmp_path / "ct.dcm")
    decoded = []
    monkeypatch.setattr(
        "liver_seg_ros.files.dicom_pixels.decode_frame", lambda *a: decoded.append(1) or decode_frame(*a)
    )
    assert len(read_volume(tmp_path, acquisition="2").array) == len(decoded) == 2
