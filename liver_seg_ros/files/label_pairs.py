# SPDX-License-Identifier: Apache-2.0
"""Which label file is to be compared with which: two files, or two folders with a file or a folder for each case."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_folders import IRCADB_MASKS, TOTALSEGMENTATOR_MASKS
from liver_seg_ros.files.suffixes import ITK_SUFFIXES, NIFTI_SUFFIXES
from liver_seg_ros.files.volumes import SEGMENTATION_SUFFIX

#: What the labels of a case are called where each case is a folder, as `liver-seg segment` and `phantom` write it.
CASE_FILE = "labels"

#: Suffixes of label files; the first that a case has is read.
SUFFIXES = (*NIFTI_SUFFIXES[::-1], SEGMENTATION_SUFFIX, *ITK_SUFFIXES, ".dcm")


class LabelPair(NamedTuple):
    """The name of a case, the labels found in it, and the true ones."""

    case: str
    found: Path
    truth: Path


def label_pairs(found: Path, truth: Path) -> tuple[list[LabelPair], list[str]]:
    """The cases in two files or two folders, by name, and the names of those found that have no truth.

    A folder holds either a file for each case, of the same name but for its suffix on both sides, or a folder for each
    case with a file `labels.*` in it, or with masks as TotalSegmentator's data set and 3D-IRCADb have them.

    Raises:
        InputError: one is no file or folder, one is a file and the other a folder, the truth is empty, or a case of the
            truth was not found: such a case is no case to leave out.
    """
    for path in (found, truth):
        if not path.exists():
            raise InputError(f"{path} does not exist; give a label file, or a folder of them")
    if found.is_dir() != truth.is_dir():
        file, folder = (truth, found) if found.is_dir() else (found, truth)
        raise InputError(f"{file} is a file, {folder} a folder; give two files or two folders")
    if not truth.is_dir():
        return [LabelPair(_stem(truth) or truth.name, found, truth)], []
    true_files, found_files = _cases(truth), _cases(found)
    if not true_files:
        raise InputError(
            f"{truth} holds no labels; give a folder of label files ({', '.join(SUFFIXES)}), or one with a folder for "
            f"each case that holds {CASE_FILE}.*"
        )
    missing = sorted(set(true_files) - set(found_files))
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise InputError(
            f"{found} lacks {len(missing)} of {len(true_files)} cases of {truth}: {shown}; segment them, or take them "
            "out of the truth"
        )
    pairs = [LabelPair(case, found_files[case], true_files[case]) for case in sorted(true_files)]
    return pairs, sorted(set(found_files) - set(true_files))


def _cases(folder: Path) -> dict[str, Path]:
    """Case -> its label file."""
    cases: dict[str, Path] = {}
    in_folders = {
        path.parent.name: path.parent
        for masks in (IRCADB_MASKS, TOTALSEGMENTATOR_MASKS)
        for path in sorted(folder.glob(f"*/{masks}"))
        if path.is_dir()
    }
    in_folders |= {
        path.parent.name: path
        for suffix in reversed(SUFFIXES)
        for path in sorted(folder.glob(f"*/{CASE_FILE}{suffix}"))
        if path.is_file()
    }
    for suffix in reversed(SUFFIXES):
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name.lower().endswith(suffix) and _stem(path):
                cases[_stem(path)] = path
    return in_folders or cases


def _stem(path: Path) -> str:
    """The name without the longest suffix of a label file; empty where it has none."""
    name = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return ""
