# SPDX-License-Identifier: Apache-2.0
"""What a caller may fix of a phantom; whatever is left None is drawn from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector
from liver_seg_ros.phantom.tissue import PHASES, Phase
from liver_seg_ros.phantom.variation import VARIATIONS, Variation


@dataclass(frozen=True)
class PhantomOptions:
    """The scan and the disease of a phantom.

    Attributes:
        size: voxels along `(i, j, k)`.
        spacing_mm: voxel spacing along `(i, j, k)`; the slices are as thick as they are far apart.
        phase: contrast phase; None draws one.
        tumor_count: number of tumors asked for; None draws 1 to 6. A tumor that finds no room is left out.
        noise_hu: standard deviation of the noise in the image; None draws 6 to 22.
        tilt_deg: how far the patient lies turned about each axis at most.
        center_mm: where the grid's center lies relative to the liver's, in mm along LPS; None places the grid so that
            the liver is inside, wherever the rest of the field of view leaves room.
        variation: "plain"; "varied" for patients and scanners far beyond the plausible, to train on; "varied_tumors"
            for plain ones with tumors that are hard to see whole; "varied_vessels" for varied ones with more, thinner
            and fainter vessels; "varied_cysts" for varied ones with more cysts; or "varied_hypodense" for those with
            tumors that are taken for cysts, too.
        surroundings: whether the phantom has a duodenum, which it lacks otherwise, and says where each organ is.

    Raises:
        InputError: an option outside its range.
    """

    size: tuple[int, int, int] = (256, 256, 150)
    spacing_mm: Vector = (1.5, 1.5, 2.0)
    phase: Phase | None = None
    tumor_count: int | None = None
    noise_hu: float | None = None
    tilt_deg: float = 6.0
    center_mm: Vector | None = None
    variation: Variation = "plain"
    surroundings: bool = False

    def __post_init__(self) -> None:
        if len(self.size) != 3 or min(self.size) < 8 or max(self.size) > 2048:
            raise InputError(f"phantom size {_times(self.size)}: give three numbers of voxels, each 8 to 2048")
        if len(self.spacing_mm) != 3 or min(self.spacing_mm) < 0.3 or max(self.spacing_mm) > 10:
            raise InputError(f"phantom spacing {_times(self.spacing_mm)} mm: give three numbers, each 0.3 to 10 mm")
        if self.phase is not None and self.phase not in PHASES:
            raise InputError(f"phantom phase '{self.phase}': choose one of {', '.join(PHASES)}")
        if self.tumor_count is not None and not 0 <= self.tumor_count <= 50:
            raise InputError(f"phantom tumor count {self.tumor_count}: give 0 to 50")
        if self.noise_hu is not None and not 0 <= self.noise_hu <= 200:
            raise InputError(f"phantom noise {self.noise_hu} HU: give 0 to 200 HU")
        if self.variation not in VARIATIONS:
            raise InputError(f"phantom variation '{self.variation}': choose one of {', '.join(VARIATIONS)}")
        if not 0 <= self.tilt_deg <= 30:
            raise InputError(f"phantom tilt {self.tilt_deg} degrees: give 0 to 30 degrees")


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
