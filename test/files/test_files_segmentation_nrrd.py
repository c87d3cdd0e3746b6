"""`.seg.nrrd`: the fields that 3D Slicer reads, in the file's own text, and segmentations from 3D Slicer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.itk import write_itk
from liver_seg_ros.files.label_schemes import LITS, LabelScheme
from liver_seg_ros.files.segmentation_nrrd import read_segments
from liver_seg_ros.files.volumes import find_labels, read_labels, write_labels
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BONE, LIVER, PORTAL_VEIN, SEGMENTED, STRUCTURES, TUMOR, VESSEL, Structure
from liver_seg_ros.volume import LabelVolume

GEOMETRY = Geometry((6, 5, 4), (4.0, 1.5, 2.0), (-10.0, 20.0, 30.0))


def some_labels() -> LabelVolume:
    array = np.zeros(GEOMETRY.shape, np.uint8)
    array[1:3, 1:4, 2:6] = 1
    array[2, 2, 3] = 2
    return LabelVolume(array, GEOMETRY)


def header(path: Path) -> dict[str, str]:
    """Fields (`name: value`) and key/value pairs (`name:=value`) of a NRRD header."""
    text = path.read_bytes().split(b"\n\n", 1)[0].decode("ascii")
    return dict(re.findall(r"^([^#:\n]+):[= ] ?(.*)$", text, re.MULTILINE))


def test_header_as_slicer_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.seg.nrrd"
    write_labels(path, some_labels())
    fields = header(path)
    assert fields["type"] in ("unsigned char", "uchar", "uint8")
    assert fields["space"] == "left-posterior-superior"
    assert fields["encoding"] in ("gzip", "gz")
    assert fields["sizes"] == "6 5 4"
    assert fields["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    assert fields["Segmentation_MasterRepresentation"] == "Binary labelmap"
    assert fields["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    for number, structure in enumerate(SEGMENTED):
        segment = {key.split("_", 1)[1]: value for key, value in fields.items() if key.startswith(f"Segment{number}_")}
        assert segment["ID"] == segment["Name"] == structure.name
        assert segment["LabelValue"] == str(structure.value)
        assert segment["Layer"] == "0"
        color = [float(channel) for channel in segment["Color"].split()]
        assert np.allclose(color, np.array(structure.color_rgb) / 255, atol=1e-5)
        assert f"~SCT^{structure.snomed_code}^{structure.snomed_meaning}~" in segment["Tags"]
        altered = ("49755003", "Morphologically Altered Structure")
        category = altered if structure is TUMOR else ("123037004", "Anatomical Structure")
        assert f"~SCT^{'^'.join(category)}~SCT^" in segment["Tags"]
        assert segment["Tags"].startswith("TerminologyEntry:")
        assert segment["Tags"].endswith("|")
    assert [fields[f"Segment{number}_Extent"] for number in range(3)] == [
        "2 5 1 3 1 2",
        "3 3 2 2 2 2",
        "0 -1 0 -1 0 -1",
    ]


def segments(*rows: tuple[str, int], **more: str) -> dict[str, str]:
    fields = dict(more)
    for number, (name, value) in enumerate(rows):
        fields |= {f"Segment{number}_ID": f"Segment_{number}", f"Segment{number}_Name": name}
        fields |= {f"Segment{number}_LabelValue": str(value), f"Segment{number}_Layer": "0"}
    return fields


def test_segments_that_slicer_numbered_otherwise(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 3, GEOMETRY.shape).astype(np.uint8)
    fields = segments(("Tumor", 1), ("my organ", 2), Segment1_Tags="TerminologyEntry:x~SCT^10200004^Liver~^^|")
    write_itk(tmp_path / "drawn.seg.nrrd", array, GEOMETRY, fields)
    read = read_labels(tmp_path / "drawn.seg.nrrd")
    assert (read.mask(2) == (array == 1)).all()
    assert (read.mask(1) == (array == 2)).all()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (segments(("liver", 1), ("bladder", 2)), "'bladder' is not in the label table"),
        (segments(("liver", 1)) | {"Segment0_Layer": "1"}, "overlaps"),
        (segments(("liver", 1)), "not in the table"),  # the voxels of value 2 belong to no segment
        (segments(("liver", 0)), "no value"),
    ],
)
def test_segments_without_a_row_in_the_table(tmp_path: Path, fields: dict[str, str], words: str) -> None:
    array = np.zeros(GEOMETRY.shape, np.uint8)
    array[0, 0, :3] = (0, 1, 2)
    write_itk(tmp_path / "drawn.seg.nrrd", array, GEOMETRY, fields)
    with pytest.raises(InputError, match=words):
        read_labels(tmp_path / "drawn.seg.nrrd")


CODES = {
    "liver": "SCT^10200004^Liver", "vein": "SCT^29092000^Vein", "vessel": "SCT^59820001^Blood vessel",
    "mass": "SCT^4147007^Mass", "neoplasm": "SRT^M-80003^Neoplasm", "anatomy": "SCT^123037004^Anatomical Structure",
    "altered": "SCT^49755003^Morphologically Altered Structure", "tissue": "SCT^85756007^Tissue", "cyst":
    "SCT^367643001^Cyst", "right": "SCT^24028007^Right", "": "^^",
}  # fmt: skip


def tags(category: str, kind: str, modifier: str = "", region: str = "", region_modifier: str = "") -> str:
    codes = "~".join(CODES[name] for name in (category, kind, modifier))
    where = "~".join(CODES[name] for name in (region, region_modifier))
    return f"Segmentation.Status:inprogress|TerminologyEntry:Some list~{codes}~Some other list~{where}|"


def slicer_file(path: Path, array: np.ndarray, *rows: tuple[str, int, str], layers: tuple[int, ...] = ()) -> Path:
    """Write a segmentation of `rows` (name, value, tags); `array` is `(K, J, I)`, or `(K, J, I, L)` of L layers."""
    fields = segments(*[(name, value) for name, value, _ in rows])
    fields |= {f"Segment{number}_Tags": tag for number, (_, _, tag) in enumerate(rows)}
    fields |= {f"Segment{number}_Layer": str(layer) for number, layer in enumerate(layers)}
    image = SimpleITK.GetImageFromArray(array, isVector=array.ndim == 4)
    image.SetSpacing((8.0, 8.0, 8.0))
    for key, value in fields.items():
        image.SetMetaData(key, value)
    SimpleITK.WriteImage(image, str(path))
    return path


def voxels(*values: int) -> np.ndarray:
    array = np.zeros((3, 4, 5), np.int16)
    array.reshape(-1)[: len(values)] = values
    return array


@pytest.mark.parametrize(
    ("name", "tag", "structure"),
    [
        ("lesion in segment 8", tags("altered", "neoplasm", region="liver"), TUMOR),
        ("liver", tags("altered", "mass", region="liver"), TUMOR),  # a code wins over a name
        ("branch", tags("anatomy", "vein", region="liver"), VESSEL),
        ("liver", tags("anatomy", "vessel", modifier="liver", region="liver"), VESSEL),
        ("my organ", tags("anatomy", "liver", modifier="right", region="mass", region_modifier="right"), LIVER),
        ("Liver", tags("tissue", "tissue", region="mass"), LIVER),  # as 3D Slicer codes what nobody coded
        ("Tumor 3", tags("", ""), TUMOR),
        ("liver", "DicomRtImport.RoiNumber:1|", LIVER),
    ],
)
def test_the_property_decides_and_no_region_or_modifier(
    tmp_path: Path, name: str, tag: str, structure: Structure
) -> None:
    read = read_labels(slicer_file(tmp_path / "drawn.seg.nrrd", voxels(7, 7), (name, 7, tag)))
    assert read.array.sum() == 2 * structure.value and read.mask(structure.value).sum() == 2


@given(st.sampled_from(sorted(CODES)), st.sampled_from(sorted(CODES)), st.sampled_from(sorted(CODES)))
def test_what_stands_behind_the_type_never_matters(modifier: str, region: str, region_modifier: str) -> None:
    def property_of(tag: str) -> tuple:
        fields = segments(("x", 1)) | {"Segment0_Tags": tag}
        (layered,) = read_segments(fields, "file")
        return layered.segment.kind, layered.segment.category

    plain = property_of(tags("altered", "mass"))
    assert plain[0].value == "4147007" and plain[1].value == "49755003"
    assert property_of(tags("altered", "mass", modifier, region, region_modifier)) == plain


def test_a_tumor_in_the_region_liver_as_3d_slicer_saves_it(faults: Path) -> None:
    read = read_labels(faults / "tumor_in_region_liver.seg.nrrd")
    assert read.counts() == {"liver": 123_008, "tumor": 925, "vessel": 4_855}
    assert read.counts()["tumor"] * read.geometry.voxel_volume_mm3 / 1000 == pytest.approx(13.43, abs=0.005)


def test_values_of_any_size_and_several_segments_of_one_structure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        ("left", 3, tags("anatomy", "liver")),
        ("right", 300, tags("anatomy", "liver")),
        ("tumor 1", 12, ""),
        ("tumor 2", 9, ""),
    ]
    found = find_labels(slicer_file(tmp_path / "drawn.seg.nrrd", voxels(3, 300, 12, 9, 0, 3), *rows))
    assert found.labels.array.reshape(-1)[:6].tolist() == [1, 1, 2, 2, 0, 1]
    assert found.structures == (LIVER, TUMOR) and found.organ is None and not caplog.records
    assert found.taken_for == {"3 left": LIVER, "300 right": LIVER, "12 tumor 1": TUMOR, "9 tumor 2": TUMOR}


def test_segments_that_overlap_in_layers(tmp_path: Path) -> None:
    """A tumor in a vessel in the liver: the first is tumor, the second vessel, and all of it the organ."""
    array = np.zeros((3, 4, 5, 2), np.uint8)
    array[0, 0, :, 0] = (1, 1, 1, 1, 2)
    array[0, 0, :, 1] = (0, 5, 1, 0, 0)
    rows = [
        ("l", 1, tags("anatomy", "liver")),
        ("v", 2, tags("anatomy", "vein")),
        ("v", 1, tags("anatomy", "vein")),
        ("t", 5, tags("altered", "mass")),
    ]
    path = tmp_path / "drawn.seg.nrrd"
    found = find_labels(slicer_file(path, array, *rows, layers=(0, 0, 1, 1)))
    assert found.labels.array[0, 0].tolist() == [1, 2, 3, 1, 3]
    assert found.organ is not None and found.organ[0, 0].tolist() == [True, True, True, True, False]
    assert found.organ.sum() == 4 and found.labels.array.astype(bool).sum() == 5


def test_what_no_code_and_no_name_explains_is_named(tmp_path: Path) -> None:
    path = tmp_path / "drawn.seg.nrrd"
    slicer_file(path, voxels(1, 2), ("liver", 1, ""), ("spot", 2, tags("altered", "cyst", region="liver")))
    with pytest.raises(InputError, match=r"'spot' .*SCT 367643001 'Cyst'.*--labels") as caught:
        read_labels(path)
    assert "'liver'" not in str(caught.value) and "\n" not in str(caught.value)


def test_several_that_nothing_explains_are_all_named(tmp_path: Path) -> None:
    path = slicer_file(tmp_path / "drawn.seg.nrrd", voxels(1, 2), ("one", 1, ""), ("two", 2, ""))
    with pytest.raises(InputError, match=r"'one' is not in the label table \(.*\), 'two' is not in the label table"):
        read_labels(path)


def test_a_code_of_another_scheme_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entry = "TerminologyEntry:x~FMA^67498^Organ~FMA^7197^Liver~^^~x~^^~^^|"
    read = read_labels(slicer_file(tmp_path / "drawn.seg.nrrd", voxels(1), ("one", 1, entry)))
    assert read.counts()["liver"] == 1
    assert "segment 'one'" in caplog.text and "FMA 7197 'Liver'" in caplog.text


def test_the_users_own_word_wins_over_codes(tmp_path: Path) -> None:
    rows = [("a", 1, tags("anatomy", "liver")), ("b", 2, tags("altered", "mass")), ("c", 3, "")]
    path = slicer_file(tmp_path / "drawn.seg.nrrd", voxels(1, 2, 3), *rows)
    mine = LabelScheme("mine.yaml", "mine.yaml", {1: PORTAL_VEIN, 3: None}, {"b": BONE}, is_users=True)
    found = find_labels(path, mine)
    assert found.labels.array.reshape(-1)[:3].tolist() == [PORTAL_VEIN.value, BONE.value, 0]
    assert found.source == "mine.yaml" and found.taken_for == {"1 a": PORTAL_VEIN, "2 b": BONE, "3 c": None}
    with pytest.raises(InputError, match=r"mine.yaml says nothing about segment 2 'b'"):
        find_labels(path, LabelScheme("mine.yaml", "mine.yaml", {1: LIVER, 3: None}, is_users=True))
    with pytest.raises(InputError, match=r"says itself what its segments are.*Leave --labels out"):
        find_labels(path, LITS)


def test_values_that_several_segments_share(tmp_path: Path) -> None:
    array = np.zeros((3, 4, 5, 2), np.uint8)
    array[0, 0, 0], array[0, 0, 1] = (1, 0), (0, 1)
    path = slicer_file(tmp_path / "drawn.seg.nrrd", array, ("a", 1, ""), ("b", 1, ""), layers=(0, 1))
    with pytest.raises(InputError, match=r"2 segments have the value 1. Say in m.yaml what they are by their names"):
        find_labels(path, LabelScheme("m.yaml", "m.yaml", {1: LIVER}, is_users=True))
    named = LabelScheme("m.yaml", "m.yaml", {}, {"a": LIVER, "b": TUMOR}, is_users=True)
    assert find_labels(path, named).labels.array[0, 0, :2].tolist() == [1, 2]
    slicer_file(path, voxels(1), ("liver", 1, ""), ("tumor", 1, ""))
    with pytest.raises(InputError, match="two segments share the value 1"):
        read_labels(path)


def test_several_numbers_per_voxel_without_segments(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((3, 4, 5, 2), np.uint8), isVector=True)
    image.SetSpacing((8.0, 8.0, 8.0))
    SimpleITK.WriteImage(image, str(tmp_path / "pairs.nrrd"))
    with pytest.raises(InputError, match="2 numbers per voxel"):
        read_labels(tmp_path / "pairs.nrrd")


def test_what_is_written_comes_back_by_its_codes(tmp_path: Path) -> None:
    array = np.zeros((4, 5, 6), np.uint8)
    array.reshape(-1)[: len(STRUCTURES)] = [structure.value for structure in STRUCTURES]
    path = tmp_path / "labels.seg.nrrd"
    write_labels(path, LabelVolume(array, Geometry((6, 5, 4), (4.0, 4.0, 4.0))))
    image = SimpleITK.ReadImage(str(path))
    for key in image.GetMetaDataKeys():
        if key.endswith(("_Name", "_ID")):
            image.SetMetaData(key, "renamed")
    SimpleITK.WriteImage(image, str(path))
    assert (read_labels(path).array == array).all()
