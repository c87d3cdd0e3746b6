# SPDX-License-Identifier: Apache-2.0
"""What the values in a label file mean: as somebody says, or as the file says, and else this package's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.found_labels import UnknownLabelsError
from liver_seg_ros.files.label_names import read_label_names
from liver_seg_ros.files.label_schemes import IRCADB, LITS, MSD08, TOTALSEGMENTATOR, LabelScheme
from liver_seg_ros.files.label_values import found_by_values, relabelled, values_in
from liver_seg_ros.files.volumes import find_labels, read_labels
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BONE, KIDNEY, LIVER, PORTAL_VEIN, SEGMENTED, SPLEEN, STRUCTURES, TUMOR, VESSEL

Save = Callable[..., Path]


def voxels(*values: float, dtype: type = np.uint8) -> np.ndarray:
    """`(3, 4, 5)` whose first voxels are `values`."""
    array = np.zeros((3, 4, 5), dtype)
    array.reshape(-1)[: len(values)] = values
    return array


def first(found, count: int) -> list[int]:
    return found.labels.array.reshape(-1)[:count].tolist()


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes values to a NIfTI file, with names as TotalSegmentator writes them."""

    def write(array: np.ndarray, names: dict[int, str] | None = None, xml: bytes | None = None) -> Path:
        image = nibabel.Nifti1Image(array.T, np.diag([-8.0, -8.0, 8.0, 1.0]))
        image.header.set_xyzt_units("mm")
        if names is not None:
            labels = "".join(
                f'<Label Key="{value}" Red="1.0" Green="0.5" Blue="0.0" Alpha="1"><![CDATA[{name}]]></Label>\n'
                for value, name in names.items()
            )
            text = (
                '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension>  <Date><![CDATA[2013-07-14T05:45:09]]></Date>'
                f'   <VolumeInformation Index="0">   <LabelTable>\n{labels}  </LabelTable>  <StudyMetaDataLinkSet>  '
                "</StudyMetaDataLinkSet>  <VolumeType><![CDATA[Label]]></VolumeType>   </VolumeInformation>"
                "</CaretExtension>\n              "
            )
            xml = text.encode()
        if xml is not None:
            image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, xml))
        path = tmp_path / "labels.nii.gz"
        nibabel.save(image, path)
        return path

    return write


values = st.integers(0, 400)
meanings = st.dictionaries(st.integers(1, 500), st.sampled_from((*STRUCTURES, None)))


@given(arrays(st.sampled_from([np.uint8, np.uint16]), array_shapes(min_dims=3, max_dims=3, max_side=5)), meanings)
def test_each_voxel_becomes_what_its_value_means(stored: np.ndarray, meaning: dict) -> None:
    expected = [meaning[value].value if meaning.get(value) else 0 for value in stored.reshape(-1).tolist()]
    assert relabelled(stored, meaning).reshape(-1).tolist() == expected
    assert values_in(stored) == sorted(set(stored.reshape(-1).tolist()) - {0})


@given(arrays(np.uint16, (2, 3, 4), elements=values), meanings)
def test_a_users_scheme_says_all_or_the_file_is_refused(stored: np.ndarray, meaning: dict) -> None:
    scheme = LabelScheme("my.yaml", "my.yaml", meaning, is_users=True)
    unsaid = sorted(set(stored.reshape(-1).tolist()) - {0} - set(meaning))
    if unsaid:
        with pytest.raises(UnknownLabelsError, match=rf"my.yaml says nothing about label values {unsaid[0]}\b.*null"):
            found_by_values(stored, Geometry((4, 3, 2)), "file", scheme)
        return
    found = found_by_values(stored, Geometry((4, 3, 2)), "file", scheme)
    assert (found.labels.array == relabelled(stored, meaning)).all()
    assert found.taken_for == {str(value): meaning[value] for value in values_in(stored)}
    assert set(found.structures) == {structure for structure in meaning.values() if structure}


@pytest.mark.parametrize(
    ("scheme", "stored", "expected", "structures"),
    [
        (TOTALSEGMENTATOR, (1, 5, 64, 117, 8, 2), (SPLEEN, LIVER, PORTAL_VEIN, BONE, None, KIDNEY), None),
        (LITS, (1, 2), (LIVER, TUMOR), (LIVER, TUMOR)),
        (MSD08, (1, 2), (VESSEL, TUMOR), (TUMOR, VESSEL)),
    ],
)
def test_schemes_of_tools(save: Save, scheme: LabelScheme, stored, expected, structures) -> None:
    found = find_labels(save(voxels(*stored)), scheme)
    assert first(found, len(stored)) == [structure.value if structure else 0 for structure in expected]
    assert found.source == scheme.about and found.organ is None
    assert found.taken_for == {str(value): meant for value, meant in zip(stored, expected, strict=True)}
    assert structures is None or found.structures == structures


def test_values_that_a_tool_does_not_have(save: Save) -> None:
    with pytest.raises(UnknownLabelsError, match=r"label values 118 are none of TotalSegmentator"):
        find_labels(save(voxels(1, 118)), TOTALSEGMENTATOR)
    with pytest.raises(UnknownLabelsError, match=r"label values 3 are none of LiTS \(1 liver, 2 lesion\)"):
        find_labels(save(voxels(1, 2, 3)), LITS)
    with pytest.raises(InputError, match="is one file, and not 3D-IRCADb"):
        find_labels(save(voxels(1)), IRCADB)


def test_unknown_values_name_the_flag_and_who_would_know_them(save: Save) -> None:
    with pytest.raises(UnknownLabelsError) as caught:
        read_labels(save(voxels(1, 5, 51, 64)))
    message = str(caught.value)
    assert "label values 51, 64 are not in the table (1 liver, 2 tumor, 3 vessel ... 20 small_bowel)" in message
    assert "--labels totalsegmentator, lits, msd08, ircadb or a YAML file" in message
    assert message.endswith("totalsegmentator would know them.") and "\n" not in message
    with pytest.raises(UnknownLabelsError) as caught:
        read_labels(save(voxels(1, 500, dtype=np.uint16)))
    assert "label values 500 are" in str(caught.value) and "would know" not in str(caught.value)
    with pytest.raises(
        UnknownLabelsError, match=r"200, 201, 202, 203, 204, 205, 206, 207 and more are not in the table"
    ):
        read_labels(save(voxels(*range(200, 209))))


def test_a_picture_of_many_values_is_no_label_file_of_a_tool(tmp_path: Path) -> None:
    ramp = np.arange(300, dtype=np.int16).reshape(5, 6, 10)
    with pytest.raises(InputError) as caught:
        found_by_values(ramp, Geometry((10, 6, 5)), "file")
    assert not isinstance(caught.value, UnknownLabelsError)


def test_own_numbers_beyond_the_first_three_are_said(save: Save, caplog: pytest.LogCaptureFixture) -> None:
    """TotalSegmentator's spleen and liver, 1 and 5, are liver and hepatic vein here: nothing in the file says whose."""
    found = find_labels(save(voxels(1, 2, 3)))
    assert first(found, 3) == [1, 2, 3] and not caplog.records
    assert find_labels(save(voxels(1, 5))).structures == (*SEGMENTED, STRUCTURES[4])
    assert "taken for this package's own numbers (5 hepatic_vein)" in caplog.text and "--labels" in caplog.text


@pytest.mark.parametrize(
    ("stored", "structures"),
    [
        ((0,), (LIVER,)),
        ((1,), (LIVER,)),
        ((1, 16), (LIVER, SPLEEN)),
        ((1, 2), SEGMENTED),
        ((1, 3), SEGMENTED),
        ((2,), SEGMENTED),
        ((1, 4), (*SEGMENTED, PORTAL_VEIN)),
    ],
)
def test_what_own_labels_speak_about(save: Save, stored: tuple[int, ...], structures: tuple) -> None:
    assert find_labels(save(voxels(*stored))).structures == structures


def test_names_in_the_file_say_what_it_holds(save: Save, caplog: pytest.LogCaptureFixture) -> None:
    """TotalSegmentator 1 numbered otherwise than 2; both write the names into the file."""
    names = {1: "spleen", 5: "liver", 9: "portal_vein_and_splenic_vein", 12: "adrenal_gland_left", 18: "vertebrae_L5"}
    path = save(voxels(1, 5, 9, 12, 18), names)
    for scheme in (None, TOTALSEGMENTATOR):
        found = find_labels(path, scheme)
        assert first(found, 5) == [SPLEEN.value, LIVER.value, PORTAL_VEIN.value, 0, BONE.value]
        assert found.source == "names in the file" and found.taken_for["1 spleen"] == SPLEEN
        assert (
            found.structures == (LIVER, PORTAL_VEIN, SPLEEN, BONE) and found.taken_for["12 adrenal_gland_left"] is None
        )
    assert not caplog.records
    mine = LabelScheme("my.yaml", "my.yaml", dict.fromkeys((1, 5, 9, 12, 18), TUMOR), is_users=True)
    assert first(find_labels(path, mine), 5) == [2] * 5
    assert first(find_labels(save(voxels(1, 2), names), LITS), 2) == [1, 2]


def test_strange_names_are_left_out_and_named(save: Save, caplog: pytest.LogCaptureFixture) -> None:
    found = find_labels(save(voxels(1, 2), {1: "liver", 2: "gizzard", 3: "crop"}))
    assert first(found, 2) == [1, 0] and "gizzard" in caplog.text and "crop" not in caplog.text
    with pytest.raises(UnknownLabelsError, match="label values 4 have no name in the file"):
        read_labels(save(voxels(1, 4), {1: "liver", 2: "gizzard"}))


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"just a comment",
        b"<CaretExtension",
        b"<CaretExtension><VolumeInformation><LabelTable></LabelTable></VolumeInformation></CaretExtension>",
        b"<CaretExtension><VolumeInformation><LabelTable><Label Key='x'>spleen</Label><Label>spleen</Label>"
        b"<Label Key='1'/></LabelTable></VolumeInformation></CaretExtension>",
        b"<!DOCTYPE x [<!ENTITY a 'spleen'>]><CaretExtension><VolumeInformation><LabelTable><Label Key='1'>&a;</Label>"
        b"</LabelTable></VolumeInformation></CaretExtension>",
        b"<CaretExtension>" + b" " * (1 << 20) + b"</CaretExtension>",
    ],
)
def test_other_extensions_say_nothing(save: Save, xml: bytes) -> None:
    path = save(voxels(1), xml=xml)
    assert read_label_names(path) == {} and first(find_labels(path), 1) == [1]


def test_names_that_are_numbers_say_nothing(save: Save) -> None:
    """TotalSegmentator calls them L1, L2, ... where it was not told."""
    assert find_labels(save(voxels(1, 2), {1: "L1", 2: "L2"})).taken_for == {"1": LIVER, "2": TUMOR}


@given(st.dictionaries(st.integers(0, 999), st.text("abcdefghij <>&'\"]é_", min_size=1).map(str.strip), max_size=5))
def test_names_come_back(tmp_path_factory: pytest.TempPathFactory, names: dict[int, str]) -> None:
    from xml.sax.saxutils import escape, quoteattr

    labels = "".join(f"<Label Key={quoteattr(str(v))}>{escape(name)}</Label>" for v, name in names.items())
    xml = f"<CaretExtension><VolumeInformation><LabelTable>{labels}</LabelTable></VolumeInformation></CaretExtension>"
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, xml.encode() + b"\0\0\0"))
    path = tmp_path_factory.getbasetemp() / "named.nii"
    nibabel.save(image, path)
    assert read_label_names(path) == {value: name for value, name in names.items() if name}
