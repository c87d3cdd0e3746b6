# SPDX-License-Identifier: Apache-2.0
"""DICOM files that are damaged or of no use: named, and none hides the others."""

from __future__ import annotations

import resource
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


USELESS = {
    "empty.dcm": b"",
    "empty": b"",
    "text.dcm": b"a text under a name of DICOM",
    "zeros": bytes(3000),
    "1.2.840.113": bytes(3000),
    "magic.dcm": bytes(128) + b"DICM",
    "noise": bytes(128) + b"DICM" + bytes(range(256)) * 4,
    "begins like one": b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(200),
    "numbers": b"\x08\0\0\0\x10\0\0\0" + bytes(100),
}


@pytest.mark.parametrize("name", USELESS)
def test_an_unreadable_file_is_named_and_hides_nothing(
    tmp_path: Path, make_series: Fixture, caplog: pytest.LogCaptureFixture, refused: Fixture, name: str
) -> None:
    series = make_series()
    series.save(tmp_path)
    (tmp_path / name).write_bytes(USELESS[name])
    assert (read_volume(tmp_path).array == series.hu).all()
    [record] = caplog.records
    assert record.getMessage() == f"{tmp_path}: left out what cannot be read: {name}"
    for path in tmp_path.glob(f"{series.uid[-6:]}*"):
        path.unlink()
    refused(tmp_path, "no DICOM files", name)


OTHERS = {
    "README": b"text",
    "photo.jpg": bytes(500),
    ".hidden": bytes(500),
    "notes.txt": b"\x08\0\x05\1US 2",
    "people.txt": b"The US, the UN, and others",
    "numbers.bin": b"\x08\0\x05\0\xff\xff\xff\xff",
    "odd.bin": b"\x08\0\x05\0\x07\0\0\0",
    "long.bin": b"\x08\0\x05\0\x02\1\0\0",
    "swapped.bin": b"\0\x08\0\x05\0\0\0\x10",
    "seven.bin": b"\x08\0\x05\0CS\2",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_not_worth_a_word(
    tmp_path: Path, make_series: Fixture, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    series = make_series()
    series.save(tmp_path)
    (tmp_path / name).write_bytes(OTHERS[name])
    assert (read_volume(tmp_path).array == series.hu).all()
    assert not caplog.records


def test_many_unreadable_files_are_not_all_named(
    tmp_path: Path, make_series: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    make_series().save(tmp_path)
    for n in range(7):
        (tmp_path / f"x{n}.dcm").touch()
    read_volume(tmp_path)
    assert caplog.messages[0].endswith("x0.dcm, x1.dcm, x2.dcm, x3.dcm, x4.dcm and 2 more")


def test_a_damaged_file_of_another_series(
    tmp_path: Path, make_series: Fixture, forms: dict, caplog: pytest.LogCaptureFixture
) -> None:
    series, other = make_series(), make_series()
    series.save(tmp_path)
    data = forms["whole"](other.slices[2])
    for length in (200, 400, data.index(other.uid.encode()) + 70):
        (tmp_path / "other.dcm").write_bytes(data[:length])
        caplog.clear()
        assert (read_volume(tmp_path).array == series.hu).all()
        assert "other.dcm" in caplog.text
    (tmp_path / "other.dcm").write_bytes(data[:-100])  # its attributes are whole
    assert (read_volume(tmp_path, series_uid=series.uid).array == series.hu).all()


@pytest.mark.parametrize("k", [0, 4])
def test_an_outer_slice_that_is_cut_off_is_not_lost(
    tmp_path: Path, make_series: Fixture, refused: Fixture, k: int
) -> None:
    """Without it the others are a whole volume. What is left of it tells to which series it belongs."""
    series = make_series()
    series.save(tmp_path)
    path = sorted(tmp_path.iterdir())[k]
    data = path.read_bytes()
    begin = data.index(series.uid.encode()) + len(series.uid) + 1
    for length in range(begin, len(data), 23):
        path.write_bytes(data[:length])
        refused(tmp_path, path.name)


def test_a_gap_names_the_file_that_may_fill_it(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    make_series().save(tmp_path)
    path = sorted(tmp_path.iterdir())[2]
    path.write_bytes(path.read_bytes()[:300])
    refused(tmp_path, "5.00 mm apart", f"Not readable: {path.name}.")


@pytest.mark.parametrize(
    ("name", "value"),
    [("SOPClassUID", b"1.2\\1.3 "), ("SeriesInstanceUID", b"1.2\\1.3 "), ("NumberOfFrames", b"many")],
)
def test_a_file_damaged_in_what_files_are_sorted_by(
    tmp_path: Path, make_series: Fixture, caplog: pytest.LogCaptureFixture, refused: Fixture, name: str, value: bytes
) -> None:
    series, other = make_series(), make_series()
    part = other.slices[0]
    part.NumberOfFrames = 1
    part._dict[Tag(name)] = RawDataElement(Tag(name), dictionary_VR(name), len(value), value, 0, False, True)
    dcmwrite(tmp_path / "odd.dcm", part)
    refused(tmp_path, "no DICOM files (not readable: odd.dcm)")
    series.save(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydicom's remarks are not for users
        assert (read_volume(tmp_path).array == series.hu).all()
    assert "odd.dcm" in caplog.text


def test_a_series_description_of_several_lines(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    """DICOM takes a backslash for the border of two values; people write it nevertheless."""
    series = make_series()
    for dataset in series.slices:
        dataset.SeriesDescription = ["Abdomen", "venous"]
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()
    make_series().save(tmp_path)
    refused(tmp_path, "['Abdomen', 'venous'], 5 slices")


def test_a_file_that_may_not_be_opened(
    tmp_path: Path, make_series: Fixture, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = make_series()
    series.save(tmp_path)
    series.slices[0].save_as(tmp_path / "locked.dcm")
    opened = Path.open

    def locked(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "locked.dcm":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", locked)
    assert (read_volume(tmp_path).array == series.hu).all()
    assert "locked.dcm" in caplog.text


def test_attributes_that_claim_gigabytes(
    tmp_path: Path, make_series: Fixture, forms: dict, caplog: pytest.LogCaptureFixture
) -> None:
    """A value of 4 GB in a file of 2 KB, where memory is short."""
    series = make_series()
    series.save(tmp_path)
    data = forms["whole"](series.slices[0])
    at = data.index(b"\x08\0\x60\0CS")
    (tmp_path / "greedy.dcm").write_bytes(data[:at] + b"\x08\0\x50\0UN\0\0\xf0\xff\xff\xff" + data[at:])
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), limits[1]))
    try:
        assert (read_volume(tmp_path).array == series.hu).all()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert "greedy.dcm" in caplog.text


def test_a_derived_picture_that_lies_nowhere(
    tmp_path: Path, make_series: Fixture, caplog: pytest.LogCaptureFixture, refused: Fixture
) -> None:
    series = make_series()
    series.save(tmp_path)
    report = series.slices[0].copy()
    del report.ImagePositionPatient
    for kind in (["DERIVED", "PRIMARY", "PROJECTION"], ["ORIGINAL", "secondary", "SCREEN SAVE"]):
        report.ImageType = kind
        report.save_as(tmp_path / "dose.dcm")
        caplog.clear()
        assert (read_volume(tmp_path).array == series.hu).all()
        assert caplog.messages == [f"{tmp_path}: left out derived pictures without a position: dose.dcm"]
    report.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    report.save_as(tmp_path / "dose.dcm")
    refused(tmp_path, "dose.dcm: has no ImagePositionPatient")


FRACTIONS = st.floats(0, 1, exclude_max=True)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 15),
    is_enhanced=st.booleans(),
    changes=st.lists(st.tuples(FRACTIONS, st.integers(0, 255)), max_size=4),
    rest=st.one_of(st.just(1.0), FRACTIONS),
)
def test_no_damage_ends_in_anything_but_one_line(
    tmp_path: Path,
    make_series: Fixture,
    make_enhanced: Fixture,
    forms: dict,
    number: int,
    is_enhanced: bool,
    changes: list[tuple[float, int]],
    rest: float,
) -> None:
    """Bytes of the attributes are changed, or the file is cut off anywhere: a volume comes, or one line."""
    slices = make_series().slices
    form = list(forms.values())[number]
    content = bytearray(form(make_enhanced(slices) if is_enhanced else slices[0]))
    pixels = len(slices[0].PixelData) * (5 if is_enhanced else 1)
    for place, value in changes:
        content[int(place * max(200, len(content) - pixels))] = value
    for path in tmp_path.iterdir():
        path.unlink()
    for k, part in enumerate([] if is_enhanced else slices[1:]):
        part.save_as(tmp_path / f"{k}.dcm")
    (tmp_path / "damaged.dcm").write_bytes(content[: int(rest * len(content))])
    try:
        volume = read_volume(tmp_path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert volume.array.dtype == "int16"


def test_an_attribute_of_a_value_representation_that_there_is_not_ends_in_one_line_whichever_it_is(
    tmp_path: Path, make_series: Fixture
) -> None:
    """pydicom reads most values when they are asked for, so that where they are asked for must name the file."""
    series = make_series()
    series.save(tmp_path)
    refused = []
    for victim in sorted(tmp_path.iterdir())[::2]:  # not every slice is asked everything
        content = victim.read_bytes()
        for element in series.slices[0]:
            if element.keyword == "PixelData":
                continue
            tag = element.tag.group.to_bytes(2, "little") + element.tag.element.to_bytes(2, "little")
            place = content.index(tag + element.VR.encode()) + 4
            victim.write_bytes(content[:place] + b"AI" + content[place + 2 :])
            try:
                read_volume(tmp_path)
            except InputError as error:
                assert "\n" not in str(error)
                refused.append(element.keyword)
        victim.write_bytes(content)
    assert {"StudyInstanceUID", "SOPInstanceUID", "Rows"} <= {*refused}
