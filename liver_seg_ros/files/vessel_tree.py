# SPDX-License-Identifier: Apache-2.0
"""Vessel trees in files: `.vtp` for ParaView and 3D Slicer, `.json` for everything else. Both hold LPS millimetres.

VTP: one poly-line per branch, from the point in which the branch before it ends. Point data `radius_mm`; cell data
`branch`, `parent`, `tree`, `generation`, `structure` (value of the label table), `length_mm` and `mean_radius_mm`;
field data `SPACE` = LPS, where 3D Slicer looks, and `UNIT` = mm.

JSON: an object with `format`, `version`, `frame` (LPS), `unit` (mm); per point the lists `points`, `radius`, `parent`
(point upstream, -1 where a tree begins) and `branch`; and `branches`, objects with the fields of
`liver_seg_ros.vessel_tree.Branch`, structures by name and lengths in mm.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_ID_TYPE, vtkPoints, vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader, vtkXMLPolyDataWriter

from liver_seg_ros.atomic import final_place, written_beside
from liver_seg_ros.errors import InputError, WriteError
from liver_seg_ros.files.quiet import quiet_on_failure
from liver_seg_ros.files.utf8_path import utf8_path
from liver_seg_ros.labels import structure_by_name, structure_by_value
from liver_seg_ros.plain import plain
from liver_seg_ros.vessel_tree import Branch, VesselTree

FORMAT, VERSION, FRAME, UNIT = "liver_seg_ros vessel tree", 1, "LPS", "mm"
CELL_DATA = ("branch", "parent", "tree", "generation", "structure", "length_mm", "mean_radius_mm")


def write_vessel_tree(path: str | Path, tree: VesselTree) -> None:
    """Write a tree as `.vtp` or `.json`. Raises `InputError` for another suffix or where it cannot be written."""
    path = Path(path)
    write = {".vtp": _write_vtp, ".json": _write_json}.get(path.suffix.lower())
    if write is None:
        raise InputError(f"{path}: cannot write a vessel tree in this format. Use .vtp or .json.")
    with written_beside(path) as temporary:
        write(temporary, tree)


def read_vessel_tree(path: str | Path) -> VesselTree:
    """The tree that `write_vessel_tree` wrote, number for number.

    Raises:
        InputError: no such file, another format, or what is in it is no vessel tree.
    """
    path = Path(path)
    read = {".vtp": _read_vtp, ".json": _read_json}.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path}: is no vessel tree. Give a .vtp or .json file.")
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    try:
        tree = read(path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: holds no vessel tree ({reason}). Give a file written by liver_seg_ros.") from error
    _check(tree, path)
    return tree


def _write_json(path: Path, tree: VesselTree) -> None:
    document = {
        "format": FORMAT,
        "version": VERSION,
        "frame": FRAME,
        "unit": UNIT,
        "points": tree.points_mm.tolist(),
        "radius": tree.radius_mm.tolist(),
        "parent": tree.parent.tolist(),
        "branch": tree.branch.tolist(),
        "branches": plain(tree.branches),
    }
    path.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")


def _read_json(path: Path) -> VesselTree:
    document = json.loads(path.read_text(encoding="utf-8"))
    if document["format"] != FORMAT or document["version"] != VERSION:
        raise ValueError(f"format {document['format']!r}, version {document['version']!r}")
    if (document["frame"], document["unit"]) != (FRAME, UNIT):
        raise ValueError(f"frame {document['frame']!r}, unit {document['unit']!r}")
    branches = [Branch(**{**row, "structure": structure_by_name(row["structure"])}) for row in document["branches"]]
    return VesselTree(
        np.array(document["points"], np.float64).reshape(-1, 3),
        np.array(document["radius"], np.float64),
        np.array(document["parent"], np.int64),
        np.array(document["branch"], np.int64),
        tuple(branches),
    )


def _write_vtp(path: Path, tree: VesselTree) -> None:
    points, lines, data = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_to_vtk(tree.points_mm))
    cells = _lines(tree)
    offsets = np.cumsum([0, *map(len, cells)])
    ids = np.concatenate(cells) if cells else np.empty(0, np.int64)
    lines.SetData(numpy_to_vtk(offsets, array_type=VTK_ID_TYPE), numpy_to_vtk(ids, array_type=VTK_ID_TYPE))
    data.SetPoints(points)
    data.SetLines(lines)
    columns: dict[str, NDArray[Any]] = {
        "branch": np.arange(len(tree.branches), dtype=np.int32),
        "parent": np.array([branch.parent for branch in tree.branches], np.int32),
        "tree": np.array([branch.tree for branch in tree.branches], np.int32),
        "generation": np.array([branch.generation for branch in tree.branches], np.int32),
        "structure": np.array([branch.structure.value for branch in tree.branches], np.uint8),
        "length_mm": np.array([branch.length_mm for branch in tree.branches], np.float64),
        "mean_radius_mm": np.array([branch.radius_mm for branch in tree.branches], np.float64),
    }
    _add(data.GetPointData(), "radius_mm", tree.radius_mm)
    for name in CELL_DATA:
        _add(data.GetCellData(), name, columns[name])
    for name, value in (("SPACE", FRAME), ("UNIT", UNIT)):
        text = vtkStringArray()
        text.SetName(name)
        text.InsertNextValue(value)
        data.GetFieldData().AddArray(text)
    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(data)
    with utf8_path(path) as name, quiet_on_failure():
        writer.SetFileName(name)
        if not writer.Write():
            raise WriteError.of(final_place(path))


def _lines(tree: VesselTree) -> list[NDArray[np.int64]]:
    """Of each branch its points in order, the one that it comes from first."""
    order = np.argsort(tree.branch, kind="stable")
    own = np.split(order, np.searchsorted(tree.branch[order], np.arange(1, len(tree.branches))))
    return [
        points if tree.parent[points[0]] < 0 else np.append(tree.parent[points[0]], points)
        for points in own[: len(tree.branches)]
    ]


def _add(attributes: Any, name: str, values: NDArray[Any]) -> None:
    column = numpy_to_vtk(values, deep=True)
    column.SetName(name)
    attributes.AddArray(column)


def _read_vtp(path: Path) -> VesselTree:
    reader = vtkXMLPolyDataReader()
    with utf8_path(path) as name, quiet_on_failure():
        reader.SetFileName(name)
        reader.Update()
        data = reader.GetOutput()
        fields = {name: data.GetFieldData().GetAbstractArray(name) for name in ("SPACE", "UNIT")}
        if any(array is None for array in fields.values()):
            raise ValueError("no field data SPACE and UNIT")
    frame, unit = (array.GetValue(0) for array in fields.values())
    if (frame, unit) != (FRAME, UNIT):
        raise ValueError(f"SPACE {frame!r}, UNIT {unit!r}")
    count = data.GetNumberOfPoints()
    parent, branch = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    offsets = vtk_to_numpy(data.GetLines().GetOffsetsArray())
    ids = vtk_to_numpy(data.GetLines().GetConnectivityArray())
    columns = {name: _column(data.GetCellData(), name).tolist() for name in CELL_DATA}
    for number, (start, stop) in enumerate(pairwise(offsets)):
        line = ids[start:stop]
        parent[line[1:]] = line[:-1]
        branch[line[1:]] = number
        if columns["parent"][number] < 0:
            branch[line[0]] = number
    branches = [
        Branch(number, before, tree, generation, structure_by_value(value), length_mm, radius_mm)
        for number, before, tree, generation, value, length_mm, radius_mm in zip(*columns.values(), strict=True)
    ]
    points = vtk_to_numpy(data.GetPoints().GetData()).astype(np.float64) if count else np.empty((0, 3))
    radius = _column(data.GetPointData(), "radius_mm").astype(np.float64)
    return VesselTree(points, radius, parent, branch, tuple(branches))


def _column(attributes: Any, name: str) -> NDArray[Any]:
    array = attributes.GetArray(name)
    if array is None:
        raise ValueError(f"no {name}")
    return vtk_to_numpy(array)


def _check(tree: VesselTree, path: Path) -> None:
    """Raise `InputError` where the arrays do not make up a `VesselTree`."""
    count, branches = len(tree.points_mm), len(tree.branches)
    here = np.arange(count)

    def wrong(what: str) -> InputError:
        return InputError(f"{path}: {what}. Write the vessel tree again.")

    if not len(tree.radius_mm) == len(tree.parent) == len(tree.branch) == count:
        raise wrong(f"{count} points have {len(tree.radius_mm)} radii, {len(tree.parent)} parents")
    if not (np.isfinite(tree.points_mm).all() and np.isfinite(tree.radius_mm).all() and (tree.radius_mm >= 0).all()):
        raise wrong("a point is not finite, or a radius negative")
    if not ((tree.parent >= -1) & (tree.parent < here)).all():
        raise wrong("a parent does not come before its children")
    if count and not np.array_equal(np.unique(tree.branch), np.arange(branches)):
        raise wrong(f"the points name other branches than the {branches} that there are")
    for number, branch in enumerate(tree.branches):
        if branch.number != number or not -1 <= branch.parent < number:
            raise wrong(f"branch {number} is out of order")
