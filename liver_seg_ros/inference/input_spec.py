# SPDX-License-Identifier: Apache-2.0
"""How a CT becomes a network's input: the section `input` of a bundle's `model.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from liver_seg_ros.checked_fields import FieldError, Flag, Number, Valid, Whole
from liver_seg_ros.geometry import Geometry, Vector
from liver_seg_ros.inference.conventions import (
    BLENDS,
    CONVENTIONS,
    GAUSSIAN,
    LPS,
    NNUNET,
    ORIENTATIONS,
    OWN,
)

MAX_OVERLAP = 0.9

#: What a network may take, in this order: the CT, and its Canny map (`canny.canny_map`).
IMAGE, EDGES = NETWORK_INPUTS = ("image", "edges")
#: Or, behind the CT, the class numbers that the first network of a cascade found (`cascade`).
PREVIOUS = "previous"

#: What a network of stage "segment" is shown: the liver's box, or the CT as far as it reaches.
LIVER_VIEW, CT_VIEW = VIEWS = ("liver", "ct")

#: What is valid of a grid's spacing and of a window of HU, in bundles and in recipes.
SPACING = Valid("three positive lengths in mm, [i, j, k]", lambda lengths: min(lengths) > 0)
WINDOW = Valid("[low, high] in HU with low < high", lambda window: window[0] < window[1])
#: What is valid of the sizes that something is resampled to.
SIZE = Valid(
    "three sizes in voxels, [i, j, k], null where the spacing decides",
    lambda size: size is None or (any(size) and all(n is None or n > 0 for n in size)),
)
_PATCH = Valid("three positive sizes in voxels, [i, j, k]", lambda sizes: min(sizes) > 0)
_FLAG = Valid("true or false")
_INPUTS = Valid(
    f"[{IMAGE}], [{IMAGE}, {EDGES}] or [{IMAGE}, {PREVIOUS}]",
    lambda names: names in (NETWORK_INPUTS[:1], NETWORK_INPUTS, (IMAGE, PREVIOUS)),
)


@dataclass(frozen=True)
class InputSpec:
    """How a CT becomes the network's input. Triples are in file order `(i, j, k)`.

    Attributes:
        spacing_mm: voxel spacing the network was trained at.
        hu_window: (low, high) in HU, see `preprocessing.normalize`.
        patch: window in voxels, each side a multiple of `divisor`. Its number of voxels, which sets the peak memory, is
            the most that is run at once; the sides may differ (see `windows`). Of a network of slices, k is how many
            slices are run at once.
        overlap: what neighboring windows share, as a fraction of the patch, 0 to 0.9; slices share nothing.
        divisor: every side of the input must be a multiple of it; of slices, i and j.
        slices: whether the network takes a batch of slices and no volume.
        neighbors: of a network of slices, how many slices on either side it sees as further channels.
        inputs: what it takes, some of `NETWORK_INPUTS`.
        fixed_window: every window has the patch's sizes, no others: of a network whose positions are embedded, or
            whose attention spans the window.
        size: voxels that what it is shown is resampled to, whatever its spacing; None, or None for an axis, where
            `spacing_mm` decides.
        view: what a network of stage "segment" is shown, one of `VIEWS`; a localizer is shown the CT.
        convention: whose way of resampling and of windows it needs, one of `conventions.CONVENTIONS`.
        orientation: what its axes i, j, k grow to, one of `conventions.ORIENTATIONS`.
        beyond: what windows see beyond the CT, as `values` has it; None for the outermost voxels, repeated.
        blend: how windows that overlap are averaged, one of `conventions.BLENDS`.

    Raises:
        InputError: fields that do not fit each other.
    """

    spacing_mm: Annotated[tuple[Number, Number, Number], SPACING]
    hu_window: Annotated[tuple[Number, Number], WINDOW]
    patch: Annotated[tuple[Whole, Whole, Whole], _PATCH]
    overlap: Annotated[Number, Valid.between(0, MAX_OVERLAP)]
    divisor: Annotated[Whole, Valid.between(1, 128, "a whole number")]
    # Bundles from before these fields have none of them.
    slices: Annotated[Flag, _FLAG] = False
    neighbors: Annotated[Whole, Valid("a number from 0 upward", lambda value: value >= 0)] = 0
    inputs: Annotated[tuple[str, ...], _INPUTS] = (IMAGE,)
    fixed_window: Annotated[Flag, _FLAG] = False
    size: Annotated[tuple[Whole | None, Whole | None, Whole | None] | None, SIZE] = None
    view: Annotated[str, Valid.one_of(VIEWS)] = LIVER_VIEW
    convention: Annotated[str, Valid.one_of(CONVENTIONS)] = OWN
    orientation: Annotated[str, Valid.one_of(ORIENTATIONS)] = LPS
    beyond: Annotated[Number | None, Valid("a number, or null")] = None
    blend: Annotated[str, Valid.one_of(BLENDS)] = GAUSSIAN

    def __post_init__(self) -> None:
        sides = self.patch[:2] if self.slices else self.patch
        if any(edge % self.divisor for edge in sides):
            which = "i and j multiples" if self.slices else "each a multiple"
            words = f"three positive sizes in voxels, [i, j, k], {which} of input.divisor = {self.divisor}"
            raise FieldError("patch", list(self.patch), words)
        if self.neighbors and not self.slices:
            raise FieldError("neighbors", self.neighbors, "0 where input.slices is false: volumes have no neighbors")
        if PREVIOUS in self.inputs and self.slices:
            raise FieldError(
                "inputs", list(self.inputs), f"[{IMAGE}] where input.slices is true: cascades are of volumes"
            )
        if self.convention != OWN and not self.fixed_window:
            raise FieldError("fixed_window", self.fixed_window, f"true where input.convention is {self.convention}")
        if EDGES in self.inputs and not self.slices:
            raise FieldError("inputs", list(self.inputs), f"[{IMAGE}] where input.slices is false: edges are a slice's")

    @property
    def channels(self) -> dict[str, int]:
        """{name of an input: its channels}, in order."""
        return {name: 2 * self.neighbors + 1 if name == IMAGE else 1 for name in self.inputs}

    @property
    def least_window(self) -> tuple[int, int, int]:
        """`(K, J, I)` of the smallest window that the network takes."""
        if self.fixed_window:
            i, j, k = self.patch
            return 1 if self.slices else k, j, i
        return 1 if self.slices else self.divisor, self.divisor, self.divisor

    def spacing_for(self, shown: Geometry) -> Vector:
        """The spacing `(i, j, k)` that the network sees of what lies on the grid `shown`."""
        if self.convention == NNUNET:
            i, j, k = self.spacing_mm
            return (i, j, shown.spacing_mm[2]) if self.slices else (i, j, k)
        return spacing_of(self.size, self.spacing_mm, shown)


def spacing_of(size: tuple[int | None, int | None, int | None] | None, spacing_mm: Vector, shown: Geometry) -> Vector:
    """The spacing `(i, j, k)` that brings the grid `shown` to `size` voxels; where that is None, `spacing_mm`."""
    wanted = zip(size or (None, None, None), shown.extent_mm, spacing_mm, strict=True)
    i, j, k = (float(spacing) if count is None else extent / count for count, extent, spacing in wanted)
    return i, j, k
