# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a result that says whether to believe it: what is cut, how bright it is, what made it.

Everything here is measured on the labels, and on their CT where there is one; nothing here judges (`plausibility`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import BILE_DUCT, LIVER, LIVER_VESSELS, TUMOR, Structure
from liver_seg_ros.measurement import PartMeasurement, StructureMeasurement
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume, Volume, is_one_of

#: What scanners write where they measured nothing. Air of lungs and bowel is denser, and a liver borders on no vacuum.
PADDING_HU = -1024

#: What contrast medium makes bright.
BLOOD_VESSELS = tuple(structure for structure in LIVER_VESSELS if structure != BILE_DUCT)

#: Fewer voxels have no typical HU.
_FEWEST_VOXELS = 50

#: A median of more voxels is that of every so many-th.
_MOST_VOXELS = 1_000_000

_SIDES = (("left", "right"), ("back", "front"), ("head", "feet"))  # where LPS grows to, and where it comes from


@dataclass(frozen=True)
class Run:
    """What is known of the networks that made labels.

    Attributes:
        searched: whether the whole CT was searched because the localizer was unsure.
        cut_off: whether the liver ends only where the networks looked no further.
        synthetic_models: names of the models that were trained on synthetic CT only, as their bundles say.
        least_lesion: the confidence in a lesion below which it is to be doubted; None where no model says one.
    """

    searched: bool = False
    cut_off: bool = False
    synthetic_models: tuple[str, ...] = ()
    least_lesion: float | None = None


@dataclass(frozen=True)
class Evidence:
    """What is known of a result.

    Attributes:
        geometry: the grid of the labels.
        measurements: of its structures.
        liver_cut_mm2: area of the organ that lies on the edge of the scan, by the side of the patient that it faces
            ("head", "feet", "left", "right", "front", "back"), the largest first; empty where it does not.
        liver_hu: median of the liver's own tissue; None without a CT or a liver.
        vessel_hu: median of the vessels in it; None without a CT or vessels.
        run: None where the labels come from elsewhere.
    """

    geometry: Geometry
    measurements: tuple[StructureMeasurement, ...]
    liver_cut_mm2: Mapping[str, float]
    liver_hu: float | None = None
    vessel_hu: float | None = None
    run: Run | None = None

    __repr__ = short_repr

    def measured(self, structure: Structure) -> StructureMeasurement:
        """The measurement of a structure, zeros where there is none."""
        nothing = StructureMeasurement(structure, 0.0, 0.0, 0)
        return next((measured for measured in self.measurements if measured.structure == structure), nothing)

    @property
    def lesions(self) -> tuple[PartMeasurement, ...]:
        """The lesions that were measured one by one, largest first."""
        return self.measured(TUMOR).parts


def gather(
    labels: LabelVolume,
    measurements: Sequence[StructureMeasurement],
    ct: Volume | None = None,
    run: Run | None = None,
) -> Evidence:
    """What can be seen of `labels` and `ct`, which lie on one grid.

    Raises:
        InputError: the CT has another number of voxels.
    """
    if ct is not None and ct.array.shape != labels.array.shape:
        raise InputError(f"a CT of shape {ct.array.shape} is not that of labels of shape {labels.array.shape}")
    liver_hu = vessel_hu = None
    box = Box.around(labels.array)
    if ct is not None and box is not None:
        liver_hu, vessel_hu = (
            _median_hu(ct.array[box.slices], labels.array[box.slices], structures)
            for structures in ((LIVER,), BLOOD_VESSELS)
        )
    return Evidence(labels.geometry, tuple(measurements), _liver_cut_mm2(labels, ct), liver_hu, vessel_hu, run)


def _liver_cut_mm2(labels: LabelVolume, ct: Volume | None) -> dict[str, float]:
    """See `Evidence.liver_cut_mm2`; with a CT, the edge of what the scanner saw counts too."""
    geometry = labels.geometry
    box = Box.around(labels.array)
    if box is None:
        return {}
    box = box.padded((1, 1, 1), geometry.size)
    inside = is_one_of(labels.array[box.slices], (LIVER, TUMOR))
    unseen = np.zeros_like(inside) if ct is None else ct.array[box.slices] <= PADDING_HU
    area_mm2: dict[str, float] = {}
    for axis, spacing_mm in enumerate(geometry.spacing_mm):  # index axes i, j, k
        body, beyond = np.moveaxis(inside, 2 - axis, 0), np.moveaxis(unseen, 2 - axis, 0)
        before, after = np.count_nonzero(body[1:] & beyond[:-1]), np.count_nonzero(body[:-1] & beyond[1:])
        if box.start[axis] == 0:
            before += np.count_nonzero(body[0])
        if box.stop[axis] == geometry.size[axis]:
            after += np.count_nonzero(body[-1])
        grows_to, comes_from = _sides(geometry, axis)
        for side, faces in ((comes_from, before), (grows_to, after)):
            if faces:
                area_mm2[side] = area_mm2.get(side, 0.0) + float(faces * geometry.voxel_volume_mm3 / spacing_mm)
    return dict(sorted(area_mm2.items(), key=lambda item: -item[1]))


def _sides(geometry: Geometry, axis: int) -> tuple[str, str]:
    """The sides of the patient that an index axis (0 = i) grows to and comes from, the nearest where it is oblique."""
    along = geometry.direction_matrix[:, axis]
    nearest = int(np.abs(along).argmax())
    grows_to, comes_from = _SIDES[nearest]
    return (grows_to, comes_from) if along[nearest] > 0 else (comes_from, grows_to)


def _median_hu(hu: NDArray[np.int16], labels: NDArray[np.uint8], structures: Sequence[Structure]) -> float | None:
    """The median of `hu` where `labels` are one of the structures; None where hardly a voxel is."""
    found = hu[is_one_of(labels, structures)]
    return None if len(found) < _FEWEST_VOXELS else float(np.median(found[:: 1 + len(found) // _MOST_VOXELS]))
