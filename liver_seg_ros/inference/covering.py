# SPDX-License-Identifier: Apache-2.0
"""Which windows a network is run on, where only a part of a volume is asked about.

Every voxel asked about lies in some window with so much around it (`Layer`), or all that the volume has there. Of the
windows as few voxels are run as a greedy search finds: a box around what is asked about is cut in two where that saves
most, each half shrinks to what it holds, and so on while cutting saves anything. So windows have any size that the
network's divisor allows, which costs nothing: with OpenVINO the first window of a size took 5 ms of a processor longer
than the second, and from 24x24x24 to 136x160x120 voxels the time of a voxel was the same within a tenth. Only the first
large window costs more, as memory that is new has to be filled: 0.2 to 0.3 s for 2.6 million voxels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf, prod

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.conventions import OWN
from liver_seg_ros.inference.input_spec import InputSpec
from liver_seg_ros.inference.region import Region
from liver_seg_ros.inference.windows import LONGEST, choose_windows

Triple = tuple[int, int, int]
Ints = NDArray[np.int64]

#: The share of voxels that windows of a region have to save. They see less around them than those of the whole box do:
#: with 15 % fewer voxels on average a patient's heart became liver (Dice 0.950, over the whole box 0.956).
LEAST_SAVED = 0.3

#: Where the whole grid takes more windows than this, none are sought: the search takes longer the more it cuts (over a
#: minute for thousands of windows), and cannot be cancelled.
_MOST_OF_ALL = 50

#: What a run costs besides its voxels, in voxels: about 5 ms with OpenVINO in INT8.
_VOXELS_PER_RUN = 20_000


@dataclass(frozen=True)
class Window:
    """A window in a volume; along an axis that is shorter than it, it reaches beyond on both sides.

    Attributes:
        start: its first voxel `(k, j, i)`.
        size: voxels `(K, J, I)`.
    """

    start: Triple
    size: Triple

    @property
    def voxels(self) -> int:
        """How many are run."""
        return prod(self.size)


@dataclass(frozen=True, eq=False)
class Layer:
    """Some of what is asked about, with voxels of the volume that a window holds around it along `(k, j, i)`."""

    mask: NDArray[np.bool_]
    context: Triple


@dataclass(frozen=True)
class Demand:
    """What windows have to be.

    Attributes:
        shape: `(K, J, I)` of the volume.
        divisor: of every side of a window.
        longest: `(K, J, I)` of a window at most.
        budget: voxels of a window at most.
    """

    shape: Triple
    divisor: int
    longest: Triple
    budget: int


def cover(layers: Sequence[Layer], borders: Sequence[NDArray[np.float64]], demand: Demand) -> list[Window] | None:
    """Windows for all of the first layer's mask, in the order of their first slice.

    Args:
        layers: whose masks `(K, J, I)` are on a grid that may be another than the volume's. The first one's holds the
            others': a voxel in several lies in one window with the context of each.
        borders: along each axis where the voxels of a mask begin and the last one ends, rising, in the volume's voxels.
        demand: see there.

    Returns:
        No window for an empty mask; None where a voxel of a mask with its context is more than a window may be.
    """
    search = _Search(
        [layer.mask for layer in layers],
        tuple(
            _Span(
                borders[axis], demand.shape[axis], np.array([layer.context[axis] for layer in layers]), demand.divisor
            )
            for axis in range(3)
        ),
        demand,
    )
    whole = search.tight(((0, 0, 0), layers[0].mask.shape))
    windows = [] if whole is None else list(search.split(whole))
    if any(window is None for window in windows):
        return None
    return sorted((w for w in windows if w is not None), key=lambda window: window.start)


def windows_for(region: Region, grid: Geometry, spec: InputSpec, largest: Triple | None = None) -> list[Window] | None:
    """Windows on the network's `grid` for `region`; None where those of the whole grid are better.

    They are (`windows.choose_windows`) where the network needs them, where they are many, and where less than
    `LEAST_SAVED` is saved.

    Args:
        region: of a CT whose axes point as those of `grid`; a part of it lies on `grid`.
        grid: what the network is shown, at its spacing.
        spec: of its bundle.
        largest: `(K, J, I)` that the runtime can take; None where it is not bound.
    """
    if spec.slices or spec.fixed_window or spec.convention != OWN or spec.beyond is not None or len(spec.inputs) > 1:
        return None
    of_all = choose_windows(grid.shape, spec, largest)
    if of_all.count > _MOST_OF_ALL:
        return None
    i, j, k = spec.patch
    longest = largest or (LONGEST * k, LONGEST * j, LONGEST * i)
    layers = [Layer(mask, _voxels(length_mm, grid, region.geometry)) for mask, length_mm in region.shown]
    windows = cover(layers, region.borders_on(grid), Demand(grid.shape, spec.divisor, longest, prod(spec.patch)))
    if windows is None:
        return None
    saves = sum(window.voxels for window in windows) <= (1 - LEAST_SAVED) * of_all.voxels
    return windows if saves else None


def _voxels(length_mm: float, grid: Geometry, ct: Geometry) -> Triple:
    """Voxels of `grid` `(k, j, i)` that are this long, and at least what a voxel of the CT is interpolated from."""
    axes = zip(grid.spacing_mm[::-1], ct.spacing_mm[::-1], strict=True)
    k, j, i = (max(ceil(length_mm / spacing), ceil(1 + wide / spacing / 2)) for spacing, wide in axes)
    return k, j, i


_Part = tuple[Triple, Triple]  # first voxel of the masks and the first beyond, along (k, j, i)


@dataclass(frozen=True, eq=False)
class _Span:
    """One axis: how the voxels of the masks lie on those of the volume; contexts `(L,)`, one a layer."""

    borders: NDArray[np.float64]
    length: int
    contexts: Ints
    divisor: int

    def sizes(self, first: Ints, stop: Ints) -> Ints:
        """`(N,)`: how long windows around `[first, stop)` `(L, N)` of the masks are; 0 where that is empty."""
        begin, end = self._reach(first, stop)
        return np.where(end > begin, -(-(end - begin) // self.divisor) * self.divisor, 0)

    def place(self, first: Ints, stop: Ints) -> tuple[int, int]:
        """First voxel and size of the window around `[first, stop)` `(L, 1)` of the masks."""
        begin, end = (int(n[0]) for n in self._reach(first, stop))
        size = ceil((end - begin) / self.divisor) * self.divisor
        if size >= self.length:
            return -((size - self.length) // 2), size
        spare = size - (end - begin)  # more context, on both sides
        return min(max(0, begin - spare // 2), self.length - size), size

    def _reach(self, first: Ints, stop: Ints) -> tuple[Ints, Ints]:
        """`(N,)` each: where windows begin and end, as far as the volume goes; equal where no layer has anything."""
        empty = stop <= first
        last = len(self.borders) - 1
        begin = np.floor(self.borders[np.minimum(first, last)]).astype(np.int64) - self.contexts[:, None]
        end = np.ceil(self.borders[np.minimum(stop, last)]).astype(np.int64) + self.contexts[:, None]
        begin = np.clip(np.where(empty, self.length, begin).min(axis=0), 0, self.length)
        end = np.clip(np.where(empty, 0, end).max(axis=0), 0, self.length)
        # What lies beyond the volume's end by rounding counts as its outermost voxel.
        some = ~empty.all(axis=0)
        begin = np.where(some, np.minimum(begin, self.length - 1), 0)
        return begin, np.where(some, np.maximum(end, begin + 1), begin)


@dataclass(frozen=True, eq=False)
class _Search:
    masks: list[NDArray[np.bool_]]
    spans: tuple[_Span, ...]
    demand: Demand

    def split(self, part: _Part) -> Iterator[Window | None]:
        """The windows of a part that is `tight`; None among them for what does not fit into one."""
        placed = []
        for axis, span in enumerate(self.spans):
            extents = [_extents(_profile(mask[_slices(part)], axis)[None]) for mask in self.masks]
            first, stop = (np.stack(ends) + part[0][axis] for ends in zip(*extents, strict=True))
            placed.append(span.place(first, stop))
        window = Window(*zip(*placed, strict=True))
        longest = zip(window.size, self.demand.longest, strict=True)
        fits = window.voxels <= self.demand.budget and all(a <= b for a, b in longest)
        axis, cut, voxels = self._best_cut(part)
        if fits and voxels + _VOXELS_PER_RUN >= window.voxels:
            yield window
        elif voxels == inf:
            yield None
        else:
            for half in ((part[0], _with(part[1], axis, cut)), (_with(part[0], axis, cut), part[1])):
                smaller = self.tight(half)
                if smaller is not None:
                    yield from self.split(smaller)

    def tight(self, part: _Part) -> _Part | None:
        """The smallest part that holds all of the first mask in `part`; None where nothing is."""
        inside = self.masks[0][_slices(part)]
        ends = [_extents(_profile(inside, axis)[None]) for axis in range(3)]
        if ends[0][1] == 0:
            return None
        first, stop = ([a + int(end[n][0]) for a, end in zip(part[0], ends, strict=True)] for n in (0, 1))
        return (first[0], first[1], first[2]), (stop[0], stop[1], stop[2])

    def _best_cut(self, part: _Part) -> tuple[int, int, float]:
        """Axis and place of the cut after which two windows run the fewest voxels, and how many; infinite for none."""
        inside = [mask[_slices(part)] for mask in self.masks]
        best = (0, 0, inf)
        for axis in range(3):
            cuts = np.arange(1, part[1][axis] - part[0][axis])  # before which voxel of the part
            if not len(cuts):
                continue
            below = np.ones(len(cuts), np.int64)  # voxels of the window before each cut, and of that behind it
            above = below.copy()
            for other, span in enumerate(self.spans):
                seen = [_across(mask, axis, other) for mask in inside]
                ahead = [_so_far(*_extents(one)) for one in seen]
                behind = [_so_far(*_extents(one[::-1])) for one in seen]
                for voxels, ends, turn in ((below, ahead, 1), (above, behind, -1)):
                    first, stop = (part[0][other] + np.stack(end)[:, ::turn] for end in zip(*ends, strict=True))
                    voxels *= span.sizes(first, stop)
            least = int((below + above).argmin())
            if below[least] + above[least] < best[2]:
                best = axis, part[0][axis] + int(cuts[least]), float(below[least] + above[least])
        return best


def _profile(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """`(N,)`: which layers of voxels along an axis hold any."""
    profile: NDArray[np.bool_] = np.asarray(mask.any(axis=tuple(other for other in range(3) if other != axis)))
    return profile


def _across(mask: NDArray[np.bool_], axis: int, other: int) -> NDArray[np.bool_]:
    """`(N, M)`: for each place along `axis` which ones along `other` hold any."""
    if axis == other:
        return np.diag(_profile(mask, axis))
    seen: NDArray[np.bool_] = np.asarray(mask.any(axis=3 - axis - other))
    return seen if axis < other else seen.T


def _extents(seen: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Of each row of `seen` `(N, M)` the first filled voxel, and the first behind the last; M and 0 for empty ones."""
    any_in = np.asarray(seen.any(axis=1))
    low = np.where(any_in, seen.argmax(axis=1), seen.shape[1])
    return low, np.where(any_in, seen.shape[1] - seen[:, ::-1].argmax(axis=1), 0)


def _so_far(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """The extents of the first row, of the first two, and so on to all but the last."""
    return np.minimum.accumulate(low)[:-1], np.maximum.accumulate(high)[:-1]


def _slices(part: _Part) -> tuple[slice, slice, slice]:
    k, j, i = (slice(a, b) for a, b in zip(*part, strict=True))
    return k, j, i


def _with(triple: Triple, axis: int, value: int) -> Triple:
    k, j, i = (value if n == axis else old for n, old in enumerate(triple))
    return k, j, i
