# SPDX-License-Identifier: Apache-2.0
"""Labels of any tool as ground truth, in the form of the networks' labels, to score against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.files.found_labels import FoundLabels
from liver_seg_ros.files.label_sources import find_labels_in
from liver_seg_ros.files.matching import on_grid_of
from liver_seg_ros.geometry import Box
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, LIVER_VESSELS, PORTAL_VEIN, SEGMENTED, TUMOR, VESSEL, Structure
from liver_seg_ros.reconstruction.masks import PAD, structure_mask
from liver_seg_ros.volume import LabelVolume, Volume, is_one_of


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth in the form that networks are scored against.

    Attributes:
        labels: 1 liver, 2 tumor, 3 vessels inside the organ; nothing else.
        structures: what the truth speaks about. A mask of the liver says nothing about tumors.
    """

    labels: LabelVolume
    structures: tuple[Structure, ...]


def read_truth_of(ct: Volume, path: Path, whose: str | None = None) -> Truth:
    """The labels at `path` as ground truth, on the grid of `ct`. Raises as `read_labels_of`, or as `as_truth`."""
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
    is_vessel = is_one_of(array, (VESSEL, PORTAL_VEIN, HEPATIC_VEIN))
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
    organ = is_one_of(labels.array, SEGMENTED)
    if {*labels.structures()}.isdisjoint({*LIVER_VESSELS} - {VESSEL}):
        return organ
    box = Box.around((labels.array == LIVER.value) | (labels.array == TUMOR.value))
    mask = structure_mask(labels, LIVER)
    if box is not None and mask is not None:
        organ[box.slices] |= mask.array[(slice(PAD, -PAD),) * 3]
    return organ
