# SPDX-License-Identifier: Apache-2.0
"""The outlines of a mask in one slice as closed polygons, as RT Structure Sets have them.

They run midway between the centers of pixels inside and outside, so that filling them by the even-odd rule at the
centers gives the mask again. A hole is no polygon of its own there: the outline runs to it and back the same way (a
keyhole, DICOM PS3.3 C.8.8.6.3).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges2D, vtkStripper

from liver_seg_ros.files.polygons import encloses

_LONGEST = 1 << 30  # points of one line, which is not to be cut


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """The outlines of `mask` `(J, I)`: each `(N, 2)` corners `(i, j)`, the first one not repeated at the end."""
    loops = [_without_straight(loop) for loop in _loops(mask)]
    inside = [
        [n for n, other in enumerate(loops) if n != m and encloses(other, loops[m][0])] for m in range(len(loops))
    ]
    outer = {n: loops[n] for n in range(len(loops)) if len(inside[n]) % 2 == 0}
    holes: dict[int, list[NDArray[np.float64]]] = {n: [] for n in outer}
    for n, around in enumerate(inside):
        if n not in outer:  # belongs to the innermost that it lies in
            holes[max((m for m in around if m in outer), key=lambda m: len(inside[m]))].append(loops[n])
    return [_with_holes(loop, holes[n]) for n, loop in outer.items()]


def _loops(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    padded = np.pad(mask, 1).astype(np.uint8)
    image = vtkImageData()
    image.SetDimensions(padded.shape[1], padded.shape[0], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(padded.reshape(-1)))
    edges, joined = vtkFlyingEdges2D(), vtkStripper()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    joined.JoinContiguousSegmentsOn()
    joined.SetMaximumLength(_LONGEST)
    joined.SetInputConnection(edges.GetOutputPort())
    joined.Update()
    found = joined.GetOutput()
    if not found.GetNumberOfLines():
        return []
    points = vtk_to_numpy(found.GetPoints().GetData())[:, :2].astype(np.float64) - 1
    corners = vtk_to_numpy(found.GetLines().GetConnectivityArray())
    offsets = vtk_to_numpy(found.GetLines().GetOffsetsArray())
    return [points[corners[a : b - 1]] for a, b in pairwise(offsets.tolist())]


def _without_straight(loop: NDArray[np.float64]) -> NDArray[np.float64]:
    """The loop without corners at which it goes straight on."""
    before, behind = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    turns = before[:, 0] * behind[:, 1] != before[:, 1] * behind[:, 0]
    return loop[turns]


def _with_holes(outer: NDArray[np.float64], holes: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """One polygon: at its corner nearest to a hole it runs there, around it, and back; the nearest hole first."""
    while holes:
        apart = [np.linalg.norm(outer[:, None] - hole[None], axis=2) for hole in holes]
        nearest = int(np.argmin([distances.min() for distances in apart]))
        hole = holes.pop(nearest)
        here, there = np.unravel_index(int(apart[nearest].argmin()), apart[nearest].shape)
        around = np.roll(hole, -int(there), axis=0)
        outer = np.concatenate([outer[: here + 1], around, around[:1], outer[here:]])
    return outer
