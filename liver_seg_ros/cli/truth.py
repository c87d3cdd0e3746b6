"""What is known about a CT besides its voxels: its labels at another path, what is true, whether it is a phantom."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.cli.phantom import VESSELS
from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.files.found_labels import FoundLabels
from liver_seg_ros.files.label_scheme_files import find_scheme
from liver_seg_ros.files.label_schemes import LabelScheme
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.matching import on_grid_of
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, LIVER_VESSELS, PORTAL_VEIN, SEGMENTED, TUMOR, VESSEL, Structure
from liver_seg_ros.reconstruction.masks import PAD, structure_mask
from liver_seg_ros.volume import LabelVolume, Volume


@dataclass(frozen=True, eq=False)
class Truth:
    """What is right, as the networks are judged by it.

    Attributes:
        labels: 1 liver, 2 tumor, 3 vessels inside the organ; nothing else.
        structures: what the truth speaks about. A mask of the liver says nothing about tumors.
    """

    labels: LabelVolume
    structures: tuple[Structure, ...]


def find_labels_in(path: Path, whose: str | None = None, grid: Geometry | None = None) -> FoundLabels:
    """The labels at `path`: a file, a folder of masks, or a DICOM SEG, which needs the `grid` of its CT.

    `whose` is the value of `--labels`. Raises `InputError` where they cannot be read or nobody says what they mean.
    """
    return read_label_source(path, scheme_of(whose), grid)


def scheme_of(whose: str | None) -> LabelScheme | None:
    """The scheme that `--labels` names. Raises `InputError` where there is none of this name."""
    return None if whose is None else find_scheme(whose)


def read_labels_of(ct: Volume, path: Path, whose: str | None = None) -> LabelVolume:
    """The labels at `path` on the grid of `ct` in its order of axes; see `find_labels_in`.

    Raises `InputError` where they cannot be read or are labels of another CT.
    """
    return on_grid_of(ct, find_labels_in(path, whose, ct.geometry).labels, str(path))


def read_truth_of(ct: Volume, path: Path, whose: str | None = None) -> Truth:
    """What the labels at `path` say is right, on the grid of `ct`. Raises as `read_labels_of`, or as `as_truth`."""
    truth = as_truth(find_labels_in(path, whose, ct.geometry), str(path))
    return Truth(on_grid_of(ct, truth.labels, str(path)), truth.structures)


def as_truth(found: FoundLabels, where: str) -> Truth:
    """Labels in the form that a network's are in: veins are vessels, and only inside the organ; surroundings are none.

    Raises `InputError` where they speak of neither liver, tumors nor the vessels of the liver. Portal veins without
    hepatic ones are no truth of vessels: whoever found the others would seem wrong.
    """
    veins = {VESSEL} & {*found.structures} or {PORTAL_VEIN, HEPATIC_VEIN}
    spoken = [structure for structure in (LIVER, TUMOR) if structure in found.structures]
    if veins <= {*found.structures}:
        spoken.append(VESSEL)
    if not spoken:
        names = ", ".join(structure.name for structure in SEGMENTED)
        raise InputError(f"{where}: says nothing about {names}: there is nothing to score with it")
    array = found.labels.array
    truth = np.zeros_like(array)
    is_vessel = np.isin(array, [structure.value for structure in (VESSEL, PORTAL_VEIN, HEPATIC_VEIN)])
    if LIVER in spoken:
        organ = _organ(found.labels) if found.organ is None else found.organ
        truth[organ] = LIVER.value
        is_vessel &= organ
    truth[is_vessel] = VESSEL.value
    truth[array == TUMOR.value] = TUMOR.value
    return Truth(LabelVolume(truth, found.labels.geometry, found.labels.uid), tuple(spoken))


def score(labels: LabelVolume, truth: Truth) -> dict[str, float]:
    """Dice of `labels` against `truth`, of those structures that it speaks about."""
    return dice(labels, truth.labels, truth.structures)


def _organ(labels: LabelVolume) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: liver, tumors and vessels, which lie in the liver where nothing tells them apart; of vessels
    that are told apart those that the liver encloses."""
    organ = np.isin(labels.array, [structure.value for structure in SEGMENTED])
    if {*labels.structures()}.isdisjoint({*LIVER_VESSELS} - {VESSEL}):
        return organ
    box = Box.around((labels.array == LIVER.value) | (labels.array == TUMOR.value))
    mask = structure_mask(labels, LIVER)
    if box is not None and mask is not None:
        organ[box.slices] |= mask.array[(slice(PAD, -PAD),) * 3]
    return organ


def known_synthetic(path: Path) -> bool | None:
    """True where `liver-seg phantom` wrote the CT or labels at `path`: its description lies beside them. Else None."""
    try:
        description = json.loads((path.parent / VESSELS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(description, dict) or path.name not in (description.get("ct"), description.get("labels")):
        return None
    return True
