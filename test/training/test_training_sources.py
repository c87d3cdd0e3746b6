# SPDX-License-Identifier: Apache-2.0
"""Data sets in their own layouts: the right thing at the right place, the papers' splits, and faults that are named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import nibabel
import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.training.sources.about import ABOUT
from liver_seg_ros.training.sources.catalog import divided, open_source, sources_in
from liver_seg_ros.training.sources.names import ON_DISK
from liver_seg_ros.training.sources.splits import divide, ratio
from liver_seg_ros.training.sources.subject import PARTS, Picture, Scan

sys.path.insert(0, str(Path(__file__).parent))  # tests are not importable from each other

from training_layouts import LAYOUTS, PLACES, affine, lits, ltbv, msd, pairs, save, scene

VALUES = {"liver": LIVER.value, "tumor": TUMOR.value, "vessel": VESSEL.value, "vessel outside": 0, "background": 0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a source, made when it is first asked for."""
    made: dict[Callable[[Path], Path], Path] = {}

    def folder(source: str) -> Path:
        make = LAYOUTS[source]
        if make not in made:
            made[make] = make(tmp_path_factory.mktemp(source))
        return made[make]

    return folder


def test_every_source_on_disk_has_a_layout_here_and_terms_in_the_table() -> None:
    assert {*LAYOUTS} == {*ON_DISK} == {*ABOUT} - {"phantoms"}
    assert all(row.title and row.license and row.layout for row in ABOUT.values())


@pytest.mark.parametrize("source", [name for name in LAYOUTS if name != "kvasir_seg"])
def test_hu_and_labels_are_found_where_they_lie_in_the_patient(source: str, folders: Callable[[str], Path]) -> None:
    data_set = open_source(source, folders(source))
    assert len(data_set.subjects) == 4
    spoken = {structure.name for structure in data_set.about.structures or (LIVER, TUMOR, VESSEL)}
    for subject in data_set.subjects[:3]:  # orientations differ from one to the next
        scan = subject.load()
        assert isinstance(scan, Scan)
        assert {structure.name for structure in scan.truth.structures} == spoken
        for place, hu, what in PLACES:
            index = tuple(np.rint(scan.ct.geometry.lps_to_index(place)).astype(int)[::-1])
            assert scan.ct.array[index] == hu, (what, subject.name)
            inside = "liver" if what in ("tumor", "vessel") and "liver" in spoken else "background"
            shown = what if what in spoken or what == "background" else inside
            if what == "vessel outside":  # cut off where there is a liver to be inside of (paper 2)
                shown = "vessel" if "vessel" in spoken and "liver" not in spoken else "background"
            assert scan.truth.labels.array[index] == VALUES[shown], (what, subject.name)


def test_pictures_have_their_colors_and_masks_of_two_values(folders: Callable[[str], Path]) -> None:
    picture = open_source("kvasir_seg", folders("kvasir_seg")).subjects[2].load()
    assert isinstance(picture, Picture) and picture.rgb.shape == (48, 64, 3)
    j, i = np.mgrid[:48, :64]
    true = (j - 20) ** 2 + (i - 40) ** 2 < 180
    assert np.count_nonzero(picture.mask ^ true) < 0.03 * np.count_nonzero(true)
    assert np.abs(np.median(picture.rgb[true], axis=0) - (200, 90, 80)).max() < 6


@pytest.mark.parametrize("source", LAYOUTS)
def test_a_layout_is_told(source: str, folders: Callable[[str], Path]) -> None:
    both = ("ltbv_portal", "ltbv_arterial")
    assert sources_in(folders(source)) == (both if source in both else (source,))


def test_what_has_no_known_layout_is_said_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has the layout of no data set .*lits17: volume-N.nii"):
        sources_in(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        open_source("lits17", tmp_path / "none")
    with pytest.raises(InputError, match="holds nothing of LiTS17"):
        open_source("lits17", tmp_path)


@pytest.mark.parametrize(
    ("source", "split", "patients", "counts"),
    [
        ("lits17", "paper3", 131, (90, 24, 0)),
        ("lits17", "paper4", 131, (100, 15, 15)),
        ("lits17", "paper5", 131, (88, 22, 20)),
        ("lits17", "paper1", 130, (104, 0, 26)),
        ("ltvs", "paper2", 52, (37, 5, 10)),
        ("ircadb01", "paper1", 20, (16, 0, 4)),
        ("ltbv_portal", "paper1", 18, (14, 0, 4)),
    ],
)
def test_the_papers_splits(source: str, split: str, patients: int, counts: tuple[int, int, int]) -> None:
    names = [f"patient{n}" for n in range(patients)]
    parts = divide(names, ABOUT[source].splits[split])
    assert tuple(map(len, parts)) == counts
    assert all(not {*a} & {*b} for a, b in combinations(parts, 2))
    assert parts == divide(names[::-1], ABOUT[source].splits[split])
    assert parts != divide(names, ABOUT[source].splits[split], seed=1)


def test_a_split_is_listed_without_reading_a_scan_and_counts_its_fewest_slices(tmp_path: Path) -> None:
    for number in range(131):
        for name in ("volume", "segmentation"):
            (tmp_path / f"{name}-{number}.nii").touch()
    division = divided(open_source("lits17", tmp_path), "paper5")
    assert [len(division.parts[part]) for part in PARTS] == [88, 22, 20]
    assert division.fewest_slices == 48
    assert division.in_words == "paper5: 88:22:20 patients, scans from 48 slices of 131, drawn with seed 0"


def test_too_few_patients_are_said(folders: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=r"needs 130 patients, and there are 4; .* a ratio such as 8:1:1"):
        divided(open_source("lits17", folders("lits17")), "paper4")


def test_small_ratios_leave_no_part_empty() -> None:
    assert [len(part) for part in divide(list("abcd"), ratio("8:1:1"))] == [2, 1, 1]
    assert [len(part) for part in divide(list("abc"), ratio("8:0:2"))] == [2, 0, 1]
    assert [len(part) for part in divide(list("aabbbc"), ratio("1:1:1"))] == [1, 1, 1]  # of three patients


def test_scans_of_one_patient_stay_together(tmp_path: Path) -> None:
    data_set = open_source("pairs", pairs(tmp_path))
    for seed in range(6):
        parts = divided(data_set, "1:1:1", seed).parts.values()
        assert any({"p0", "p1"} <= {subject.name for subject in part} for part in parts)
    both = [divided(open_source(f"ltbv_{phase}", ltbv(tmp_path / phase)), "paper1") for phase in ("portal", "arterial")]
    assert [[s.name for s in both[0].parts[part]] for part in PARTS] == [
        [s.name for s in both[1].parts[part]] for part in PARTS
    ]


def test_the_split_that_a_data_set_comes_with_is_taken(folders: Callable[[str], Path]) -> None:
    division = divided(open_source("totalsegmentator", folders("totalsegmentator")))
    assert [[subject.name for subject in division.parts[part]] for part in PARTS] == [
        ["s0000", "s0003"], ["s0001"], ["s0002"],
    ]  # fmt: skip
    with pytest.raises(InputError, match="has no split 'paper5'; give one of a ratio"):
        divided(open_source("totalsegmentator", folders("totalsegmentator")), "paper5")


def test_a_task_of_the_decathlon_is_not_taken_for_another(folders: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"its labels are .*'vessel'.*Task03_Liver has"):
        open_source("msd03", folders("msd08"))
    index = json.loads((msd(tmp_path, 3, 1) / "dataset.json").read_text())
    index["training"][0]["image"] = "../../etc/passwd"
    (tmp_path / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="it must be one in this folder"):
        open_source("msd03", tmp_path)


def test_a_volume_without_labels_or_twice_is_named(tmp_path: Path) -> None:
    lits(tmp_path, 2)
    (tmp_path / "Training Batch 1" / "segmentation-0.nii").unlink()
    with pytest.raises(InputError, match=r"there is no segmentation-0\.nii for it"):
        open_source("lits17", tmp_path).subjects[0].load()
    save(tmp_path / "volume-1.nii", scene(affine())["hu"], affine())
    with pytest.raises(InputError, match="keep one of them"):
        open_source("lits17", tmp_path)


def test_labels_of_another_grid_are_named(tmp_path: Path) -> None:
    lits(tmp_path, 1)
    path = tmp_path / "Training Batch 1" / "segmentation-0.nii"
    image = nibabel.load(path)
    save(path, np.array(image.get_fdata()[:, :, :-1], np.uint8), image.affine)  # a copy: the file itself is mapped
    with pytest.raises(InputError, match="its grid is not the CT's"):
        open_source("lits17", tmp_path).subjects[0].load()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("license: internal", "field 'license' is missing"),
        ("images: patients", "field 'images' is missing; it must be one of synthetic, mixed, patients"),
        ('ct: "cts/{case}.nii.gz"', "case 'p0' needs 'ct', or a pattern at the top"),
    ],
)
def test_a_description_that_lacks_a_line_says_which(tmp_path: Path, line: str, message: str) -> None:
    path = pairs(tmp_path, 1) / "pairs.yaml"
    text = path.read_text()
    assert line in text
    path.write_text(text.replace(line, ""))
    with pytest.raises(InputError, match=message):
        open_source("pairs", path)
