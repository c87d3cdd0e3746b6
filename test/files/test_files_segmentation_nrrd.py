"""`.seg.nrrd`: the fields that 3D Slicer reads, in the file's own text, and segmentations from 3D Slicer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.itk import write_itk
from liver_seg_ros.files.volumes import read_labels, write_labels
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import SEGMENTED
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
