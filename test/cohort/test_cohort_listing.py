# SPDX-License-Identifier: Apache-2.0
"""Which cases a folder or a CSV file lists, and what is told of those that do not list any."""

from __future__ import annotations

import pytest

from liver_seg_ros.cohort.listing import CohortCase, list_cases
from liver_seg_ros.errors import InputError


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_folder_lists_files_phantoms_and_dicom(tmp_path):
    volume = touch(tmp_path / "b.nii.gz")
    ct, truth = touch(tmp_path / "a" / "ct.nrrd"), touch(tmp_path / "a" / "labels.nii.gz")
    touch(tmp_path / "c" / "series" / "0001.dcm")
    touch(tmp_path / "notes.txt")
    touch(tmp_path / ".hidden" / "ct.nii.gz")
    (tmp_path / "empty").mkdir()
    expected = [CohortCase("a", ct, truth), CohortCase("b", volume), CohortCase("c", tmp_path / "c")]
    assert list_cases(tmp_path) == expected


def test_a_csv_lists_paths_beside_it_with_truth_and_name_where_given(tmp_path):
    file = tmp_path / "cases.csv"
    file.write_text("\ufeffct,case,truth\nx/ct.mha,one,x/t.nii\n\n/abs/two.nii.gz,,\n", encoding="utf-8")
    one = CohortCase("one", tmp_path / "x/ct.mha", tmp_path / "x/t.nii")
    assert list_cases(file) == [one, CohortCase("two", tmp_path / "/abs/two.nii.gz")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("volume\na.nii\n", "with one called ct"),
        ("", "with one called ct"),
        ("ct\n", "lists no CT"),
        ("ct,case\n,x\n", "line 2: no ct"),
        ("ct,case\na.nii,x\nb.nii,x\n", "two cases are called 'x'"),
        ("ct,case\na.nii,../x\n", "'../x' cannot be the name of a folder"),
        ("ct,case\na.nii,é\n", "cannot be the name of a folder"),
    ],
)
def test_a_csv_that_lists_nothing_usable_is_refused_in_one_line(tmp_path, content, says):
    file = tmp_path / "cases.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=says) as error:
        list_cases(file)
    assert "\n" not in str(error.value)


def test_what_is_neither_is_refused(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00ct")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "none", touch(tmp_path / "x.nii"), tmp_path / "binary.csv", tmp_path / "empty"):
        with pytest.raises(InputError, match=path.name):
            list_cases(path)
