"""What is known about the input besides the CT itself: a mask to compare with, and whether it is a phantom."""

from __future__ import annotations

import json
from pathlib import Path

from liver_seg_ros.cli.phantom import VESSELS
from liver_seg_ros.files.dicom_seg import read_dicom_seg
from liver_seg_ros.files.volumes import read_labels
from liver_seg_ros.labels import LIVER, STRUCTURES
from liver_seg_ros.scores import dice
from liver_seg_ros.volume import LabelVolume


def score(labels: LabelVolume, truth_path: Path) -> dict[str, float]:
    """Dice of `labels` against the file at `truth_path`, a DICOM SEG where it is called `*.dcm`.

    A truth with no value but the liver's is a mask of the organ: then only the liver is scored, because such a mask
    says nothing about tumors and vessels. Raises `InputError` where it cannot be read or is on another grid.
    """
    if truth_path.suffix.lower() == ".dcm":
        truth = read_dicom_seg(truth_path, labels.geometry)
    else:
        truth = read_labels(truth_path)
    only_liver = truth.array.max(initial=0) <= LIVER.value
    return dice(labels, truth, (LIVER,) if only_liver else STRUCTURES)


def known_synthetic(path: Path) -> bool | None:
    """True where `liver-seg phantom` wrote the CT or labels at `path`: its description lies beside them. Else None."""
    try:
        description = json.loads((path.parent / VESSELS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(description, dict) or path.name not in (description.get("ct"), description.get("labels")):
        return None
    return True
