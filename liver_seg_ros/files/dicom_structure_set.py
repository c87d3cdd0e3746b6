# SPDX-License-Identifier: Apache-2.0
"""Reading an RT Structure Set onto the grid of its CT: the voxels whose centers lie in its contours.

Contours are polygons in LPS mm (DICOM PS3.3 C.8.8.6). Several in one plane count by the even-odd rule, so that one in
another is a hole. Where they are drawn on every n-th slice only, each stands for the slices nearest to it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import damage_named
from liver_seg_ros.files.found_labels import Canvas, FoundLabels
from liver_seg_ros.files.label_schemes import LabelScheme
from liver_seg_ros.files.polygons import filled
from liver_seg_ros.files.segments import Segment, judge_segments, not_taken, taken_for
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import STRUCTURES, Structure
from liver_seg_ros.volume import LabelVolume

#: Of all contours of one object; a liver in slices of 1 mm has a hundred thousand.
MOST_POINTS = 5_000_000
#: How far a contour may leave its plane, in slices.
_OFF_PLANE = 0.1
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_UNREADABLE = "is no readable RT Structure Set"
_NEARLY = 1e-3

#: Polygons `(N, 2)` in pixels `(i, j)` by the plane that they lie in, in slices.
_Planes = dict[float, list[NDArray[np.float64]]]

_log = logging.getLogger(__name__)


def find_structure_set(
    dataset: Dataset, path: Path, geometry: Geometry, scheme: LabelScheme | None = None
) -> FoundLabels:
    """The structures of the label table in an RT Structure Set, on the grid `geometry` of its CT.

    A region belongs to a structure by its identification code, or by its name where it has none; or as the user's own
    `scheme` says of its number or name. Others are left out, with a warning that names them.

    Raises:
        InputError: none of the table's structures in it, contours that lie in no slice of this CT, or a damaged object.
    """
    with damage_named(path, _UNREADABLE):
        regions = _regions(dataset)
        verdicts = judge_segments(regions, scheme, str(path))
        structures = {r.number: v.structure for r, v in zip(regions, verdicts, strict=True) if v.structure is not None}
        others = not_taken(regions, verdicts)
        if not structures:
            names = ", ".join(structure.name for structure in STRUCTURES)
            raise InputError(f"{path}: has none of the structures {names}; region {others}")
        if others and scheme is None:
            _log.warning("%s: regions are left out: %s", path, others)
        planes = {number: found for number, found in _contours(dataset, path, geometry).items() if number in structures}
    reach = _reach(planes, path)
    canvas = Canvas(geometry.shape)
    for number, of_region in planes.items():
        _paint(canvas, structures[number], of_region, reach)
    if not canvas.array.any():
        raise InputError(f"{path}: its contours lie outside the CT. Give the CT they were drawn on.")
    return FoundLabels(
        LabelVolume(canvas.array, geometry),
        "regions of an RT Structure Set" if scheme is None else scheme.about,
        taken_for(regions, verdicts),
        tuple(structure for structure in STRUCTURES if structure in structures.values()),
        canvas.organ,
    )


def describe_structure_set(
    dataset: Dataset, path: Path, scheme: LabelScheme | None = None
) -> tuple[str, Mapping[str, Structure | None]]:
    """Whose an RT Structure Set's regions are and what each is taken for. Raises as `find_structure_set`."""
    with damage_named(path, _UNREADABLE):
        regions = _regions(dataset)
        whose = "regions of an RT Structure Set" if scheme is None else scheme.about
        return whose, taken_for(regions, judge_segments(regions, scheme, str(path)))


def _regions(dataset: Dataset) -> list[Segment]:
    codes: dict[int, Code] = {}
    for observation in dataset.get("RTROIObservationsSequence") or ():
        for coded in (observation.get("RTROIIdentificationCodeSequence") or ())[:1]:
            value, scheme, meaning = (
                str(coded.get(name) or "") for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
            )
            if value:
                codes[int(observation.ReferencedROINumber)] = Code(value, scheme, meaning)
    return [
        Segment(int(item.ROINumber), str(item.get("ROIName") or "").strip(), codes.get(int(item.ROINumber)))
        for item in dataset.StructureSetROISequence
    ]


def _contours(dataset: Dataset, path: Path, geometry: Geometry) -> dict[int, _Planes]:
    found: dict[int, _Planes] = {}
    points, other = 0, 0
    for item in dataset.get("ROIContourSequence") or ():
        planes: _Planes = defaultdict(list)
        for contour in item.get("ContourSequence") or ():
            if contour.get("ContourGeometricType") not in _CLOSED:
                other += 1
                continue
            corners = np.array(contour.ContourData, float).reshape(-1, 3)
            points += len(corners)
            if points > MOST_POINTS:
                raise InputError(f"{path}: has more than {MOST_POINTS} points of contours. Export it with fewer.")
            if not np.isfinite(corners).all():
                raise InputError(f"{path}: a contour has a corner that is no number. Export it again.")
            index = geometry.lps_to_index(corners)
            plane = float(np.round(index[:, 2].mean(), 3))
            if np.abs(index[:, 2] - plane).max() > _OFF_PLANE:
                raise InputError(f"{path}: a contour lies in no slice of this CT. Give the CT it was drawn on.")
            planes[plane].append(index[:, :2])
        found[int(item.ReferencedROINumber)] = planes
    if other:
        _log.warning("%s: %d contours that enclose nothing (points, open lines) are left out.", path, other)
    return found


def _reach(planes: Mapping[int, _Planes], path: Path) -> float:
    """How far from its own plane a contour counts, in slices: half of the usual distance of planes, at least 0.5."""
    where = np.unique([plane for of_region in planes.values() for plane in of_region])
    steps = np.diff(where)
    usual = float(np.median(steps)) if steps.size else 1.0
    if usual > 1 + _OFF_PLANE:
        _log.warning("%s: contours are %.1f slices apart; each stands for the slices nearest to it.", path, usual)
    return max(0.5, usual / 2)


def _paint(canvas: Canvas, structure: Structure, planes: _Planes, reach: float) -> None:
    slices, rows, columns = canvas.array.shape
    where = np.array(sorted(planes))
    if not where.size:
        return
    first = max(0, int(np.floor(where[0] - reach)))
    last = min(slices - 1, int(np.ceil(where[-1] + reach)))
    masks: dict[float, NDArray[np.bool_]] = {}
    for k in range(first, last + 1):
        nearest = float(where[np.abs(where - k - _NEARLY).argmin()])  # of two as near, the upper one
        if not -reach - _NEARLY <= k - nearest < reach - _NEARLY:  # half way up it is the next one's
            continue
        if nearest not in masks:
            masks = {nearest: filled(planes[nearest], (rows, columns))}  # planes come in order
        j, i = np.nonzero(masks[nearest])
        canvas.paint(structure, (np.full_like(j, k), j, i))
