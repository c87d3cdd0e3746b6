# SPDX-License-Identifier: Apache-2.0
"""Which of several classes wins on another grid, interpolated only where more than one can.

Interpolated are scores, with weights that are not negative. So where one class wins in all voxels that a new voxel is
interpolated from, it wins there too: sums of the same products, rounded in the same order, cannot change places. In a
CT nearly all voxels lie so; the others lie along borders and are found in tiles. Of a liver's box a quarter is
interpolated. (What can differ at all are two classes whose interpolated scores are equal to the last bit.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

#: New voxels along j and i of a tile. Smaller ones follow borders more closely, and each row of tiles costs some calls.
_TILE = (64, 32)


def winning_slices(
    slice_of: Callable[[int], NDArray[np.generic]], along_k: csr_array, along_j: csr_array, along_i: csr_array
) -> Iterator[NDArray[np.uint8]]:
    """The class with the largest interpolated score, the first where equal, slice by slice of the new grid.

    Args:
        slice_of: gives the scores `(C, J, I)` of slice k; asked for each slice once at most, in rising order.
        along_k, along_j, along_i: weights `(N_new, N)` along each axis, none negative, columns of a row rising.

    Yields:
        `(J_new, I_new)` uint8, as many as `along_k` has rows.
    """
    tiles = _Tiles(along_j, along_i)
    sources: dict[int, _Source] = {}
    for k in range(along_k.shape[0]):
        begin, end = along_k.indptr[k], along_k.indptr[k + 1]
        needed, weights = along_k.indices[begin:end].tolist(), along_k.data[begin:end]
        sources = {index: source for index, source in sources.items() if index >= needed[0]}
        for index in needed:
            if index not in sources:
                sources[index] = _Source.of(slice_of(index), tiles)
        yield _winners([sources[index] for index in needed], weights, tiles)


class _Tiles:
    """Tiles of a new slice, and what of an old slice each is interpolated from; cells are tiles along one axis."""

    def __init__(self, along_j: csr_array, along_i: csr_array) -> None:
        self.shape = (along_j.shape[0], along_i.shape[0])
        self._along = (along_j, along_i)
        self._edges = [[*range(0, count, tile), count] for count, tile in zip(self.shape, _TILE, strict=True)]
        self._from = [_sources(along, edges) for along, edges in zip(self._along, self._edges, strict=True)]
        self._parts: dict[tuple[int, int, int], tuple[csr_array, slice]] = {}
        self._scratch = np.empty((2, 0), np.float32)

    def scratch(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Two arrays of `shape`, the same memory each time: new memory comes from the system page by page."""
        size = prod(shape)
        if self._scratch.shape[1] < size:
            self._scratch = np.empty((2, size), np.float32)
        return self._scratch[:, :size].reshape(2, *shape)

    def extremes(self, plane: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """`(cells_j, cells_i)`: the least and the largest of `plane` `(J, I)` that each tile is interpolated from."""
        rows = [slice(a, b) for a, b in zip(*self._from[0], strict=True)]
        in_rows = ([function(plane[row], axis=0) for row in rows] for function in (np.min, np.max))
        low, high = (np.array(part) for part in in_rows)  # (cells_j, I)
        return _reduced(np.minimum, low, *self._from[1]), _reduced(np.maximum, high, *self._from[1])

    def spread(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`(J_new, I_new)`: each tile full of its own of `values` `(cells_j, cells_i)`."""
        rows = np.repeat(values, np.diff(self._edges[1]), axis=1)
        return np.repeat(rows, np.diff(self._edges[0]), axis=0)

    def extent(self, axis: int, first: int, last: int) -> slice:
        """The new voxels of some cells in a row along an axis, 0 for j."""
        return slice(self._edges[axis][first], self._edges[axis][last])

    def part(self, axis: int, first: int, last: int) -> tuple[csr_array, slice]:
        """The weights of these cells, and the old voxels that they are for."""
        key = (axis, first, last)
        if key not in self._parts:
            begins, ends = self._from[axis]
            old = slice(int(begins[first]), int(ends[last - 1]))
            new = self._along[axis][self.extent(axis, first, last)]
            shape = new.shape[0], old.stop - old.start
            part = csr_array((new.data, new.indices - old.start, new.indptr), shape=shape)
            self._parts[key] = part, old
        return self._parts[key]


@dataclass(eq=False)
class _Source:
    """One old slice.

    Attributes:
        scores: `(J, C, I)` float32.
        low, high: `(cells_j, cells_i)` the least and the largest winner that each tile is interpolated from.
        tiles: of the new grid.
        blurred: by row of tiles, the cells of what was interpolated last, and that.
    """

    scores: NDArray[np.float32]
    low: NDArray[np.uint8]
    high: NDArray[np.uint8]
    tiles: _Tiles
    blurred: dict[int, tuple[int, int, NDArray[np.float32]]] = field(default_factory=dict)

    @staticmethod
    def of(planes: NDArray[np.generic], tiles: _Tiles) -> _Source:
        """`planes` `(C, J, I)`."""
        low, high = tiles.extremes(first_largest(planes))
        return _Source(np.ascontiguousarray(planes.swapaxes(0, 1), dtype=np.float32), low, high, tiles)

    def interpolated(self, row: int, first: int, last: int) -> NDArray[np.float32]:
        """`(I_new, C, J_new)` of some tiles in a row."""
        begin, end, found = self.blurred.get(row, (0, 0, np.empty(0, np.float32)))
        if not begin <= first < last <= end:
            begin, end, found = first, last, self._interpolated(row, first, last)
            self.blurred[row] = begin, end, found
        whole, wanted = (self.tiles.extent(1, *cells) for cells in ((begin, end), (first, last)))
        return found[wanted.start - whole.start : wanted.stop - whole.start]

    def _interpolated(self, row: int, first: int, last: int) -> NDArray[np.float32]:
        along_j, j = self.tiles.part(0, row, row + 1)
        along_i, i = self.tiles.part(1, first, last)
        planes = np.ascontiguousarray(self.scores[j, :, i])
        count = planes.shape[1]
        in_rows = (along_j @ planes.reshape(len(planes), -1)).reshape(-1, count, planes.shape[2])
        turned = np.ascontiguousarray(in_rows.transpose(2, 1, 0))  # (I, C, J_new)
        found: NDArray[np.float32] = along_i @ turned.reshape(len(turned), -1)
        return found.reshape(-1, count, turned.shape[2])


def _winners(sources: list[_Source], weights: NDArray[np.float32], tiles: _Tiles) -> NDArray[np.uint8]:
    low, high = sources[0].low, sources[0].high
    for source in sources[1:]:
        low, high = np.minimum(low, source.low), np.maximum(high, source.high)
    winners, mixed = tiles.spread(low), low != high
    for row in np.flatnonzero(mixed.any(axis=1)).tolist():
        cells = np.flatnonzero(mixed[row])
        first, last = int(cells[0]), int(cells[-1]) + 1
        parts = [source.interpolated(row, first, last) for source in sources]
        blended, share = tiles.scratch(parts[0].shape)
        np.multiply(weights[0], parts[0], out=blended)
        for part, weight in zip(parts[1:], weights[1:], strict=True):
            np.add(blended, np.multiply(weight, part, out=share), out=blended)
        winners[tiles.extent(0, row, row + 1), tiles.extent(1, first, last)] = first_largest(blended.swapaxes(0, 1)).T
    return winners


def first_largest(planes: NDArray[np.generic]) -> NDArray[np.uint8]:
    """`(J, I)`: of `planes` `(C, J, I)` which is the largest, the first where equal."""
    largest, winners = planes[0], np.zeros(planes.shape[1:], np.uint8)
    for index in range(1, len(planes)):
        np.copyto(winners, np.uint8(index), where=planes[index] > largest)
        if index < len(planes) - 1:
            largest = np.maximum(largest, planes[index])
    return winners


def _reduced(
    reduce: np.ufunc, rows: NDArray[np.uint8], first: NDArray[np.intp], last: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """`(N, cells)`: of `rows` `(N, I)` what is between each of `first` and its `last`, reduced."""
    # Cells may share voxels: of pairs of where each begins and ends every second result is between the two. No pair may
    # end behind the last voxel; what a cell loses by that is put back.
    pairs = np.stack([first, np.minimum(last, rows.shape[1] - 1)], axis=1).reshape(-1)
    reduced: NDArray[np.uint8] = reduce.reduceat(rows, pairs, axis=1)[:, ::2]
    to_end = last == rows.shape[1]
    reduced[:, to_end] = reduce(reduced[:, to_end], rows[:, -1:])
    return reduced


def _sources(along: csr_array, edges: list[int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first old voxel that each cell between `edges` is interpolated from, and the one behind the last."""
    columns = [along.indices[along.indptr[a] : along.indptr[b]] for a, b in pairwise(edges)]
    return np.array([c.min() for c in columns], np.intp), np.array([c.max() + 1 for c in columns], np.intp)
