"""What is known about a CT besides its voxels: its labels in another file, and whether it is a phantom."""

from __future__ import annotations

import json
from pathlib import Path

from liver_seg_ros.cli.phantom import VESSELS
from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.files.dicom_seg import read_dicom_seg
from liver_seg_ros.files.matching import on_grid_of
from liver_seg_ros.files.volumes import read_labels
from liver_seg_ros.labels import LIVER, SEGMENTED
from liver_seg_ros.volume import LabelVolume, Volume


def read_labels_of(ct: Volume, path: Path) -> LabelVolume:
    """The labels in `path`, a DICOM SEG where it is called `*.dcm`, on the grid of `ct` in its order of axes.

    Raises `InputError` where they cannot be read or are labels of another CT.
    """
    if path.suffix.lower() == ".dcm":
        return read_dicom_seg(path, ct.geometry)
    return on_grid_of(ct, read_labels(path), str(path))


def score(labels: LabelVolume, truth: LabelVolume) -> dict[str, float]:
    """Dice of `labels` against `truth`.

    A truth with no value but the liver's is a mask of the organ: then only the liver is scored, because such a mask
    says nothing about tumors and vessels.
    """
    only_liver = truth.array.max(initial=0) <= LIVER.value
    return dice(labels, truth, (LIVER,) if only_liver else SEGMENTED)


def known_synthetic(path: Path) -> bool | None:
    """True where `liver-seg phantom` wrote the CT or labels at `path`: its description lies beside them. Else None."""
    try:
        description = json.loads((path.parent / VESSELS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(description, dict) or path.name not in (description.get("ct"), description.get("labels")):
        return None
    return True
