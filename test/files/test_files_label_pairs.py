# SPDX-License-Identifier: Apache-2.0
"""Which files are compared: by their names, nothing left out without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_pairs import label_pairs


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_two_files_are_one_case(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "truth_3.seg.nrrd")
    pairs, without_truth = label_pairs(tmp_path / "a.nii.gz", tmp_path / "truth_3.seg.nrrd")
    assert pairs == [("truth_3", tmp_path / "a.nii.gz", tmp_path / "truth_3.seg.nrrd")]
    assert without_truth == []


def test_files_pair_by_name_whatever_their_format(tmp_path: Path) -> None:
    found = touch(tmp_path / "found", "p.10.nii.gz", "p2.seg.nrrd", "p2.nii.gz", "p3.mha", "notes.txt")
    truth = touch(tmp_path / "truth", "p2.nrrd", "p.10.nii", "p.10.txt")
    pairs, without_truth = label_pairs(found, truth)
    assert pairs == [
        ("p.10", found / "p.10.nii.gz", truth / "p.10.nii"),
        ("p2", found / "p2.nii.gz", truth / "p2.nrrd"),
    ]
    assert without_truth == ["p3"]


def test_folders_of_cases_pair_by_their_labels_and_not_by_their_cts(tmp_path: Path) -> None:
    found = touch(tmp_path / "found", "case1/labels.nii.gz", "case1/labels.seg.nrrd", "case2/labels.nii.gz")
    truth = touch(tmp_path / "truth", "case1/ct.nii.gz", "case1/labels.nii.gz", "case2/labels.nrrd", "README.txt")
    pairs, _ = label_pairs(found, truth)
    assert pairs == [
        ("case1", found / "case1/labels.nii.gz", truth / "case1/labels.nii.gz"),
        ("case2", found / "case2/labels.nii.gz", truth / "case2/labels.nrrd"),
    ]


def test_a_case_of_masks_is_the_folder_that_holds_them(tmp_path: Path) -> None:
    found = touch(tmp_path / "found", "p1/labels.nii.gz", "p2/labels.nii.gz")
    truth = touch(tmp_path / "truth", "p1/MASKS_DICOM/liver/image_0", "p2/segmentations/liver.nii.gz", "p2/ct.nii.gz")
    pairs, _ = label_pairs(found, truth)
    assert [(pair.case, pair.truth) for pair in pairs] == [("p1", truth / "p1"), ("p2", truth / "p2")]


def test_a_case_that_was_not_found_is_named_and_not_left_out(tmp_path: Path) -> None:
    found = touch(tmp_path / "found", "b.nii.gz")
    truth = touch(tmp_path / "truth", *(f"{name}.nii.gz" for name in "abcdefgh"))
    with pytest.raises(InputError, match=r"lacks 7 of 8 cases.*: a, c, d, e, f and 2 more;"):
        label_pairs(found, truth)


@pytest.mark.parametrize(
    ("found", "truth", "said"),
    [
        ("nothing", "truth", "nothing does not exist"),
        ("found", "nothing", "nothing does not exist"),
        ("found/a.nii.gz", "truth", "a.nii.gz is a file, .*truth a folder"),
        ("found", "truth/a.nii.gz", "truth/a.nii.gz is a file, .*found a folder"),
        ("found", "empty", "empty holds no labels"),
    ],
)
def test_what_cannot_be_paired_is_one_line(tmp_path: Path, found: str, truth: str, said: str) -> None:
    touch(tmp_path, "found/a.nii.gz", "truth/a.nii.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=said):
        label_pairs(tmp_path / found, tmp_path / truth)
