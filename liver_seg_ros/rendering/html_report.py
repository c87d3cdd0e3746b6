# SPDX-License-Identifier: Apache-2.0
"""One HTML file that holds everything it shows: slices to scroll, a 3D scene to turn, tables. It loads nothing.

The page is `html/report.html` with its style and script, and plotly's script for the 3D scene. A content security
policy in it forbids the browser to load anything from elsewhere: carried on a stick, it shows the same everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.measurement import PartMeasurement
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.plausibility.judgment import PlausibilityWarning
from liver_seg_ros.progress import Done, not_told, part_of
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.html_scene import CHOSEN_COLOR, OTHER_COLOR, TRAJECTORIES, TREE, TREE_COLOR, scene_figure
from liver_seg_ros.rendering.html_slices import slice_stacks
from liver_seg_ros.rendering.html_table import table_html
from liver_seg_ros.report_table import ReportTable
from liver_seg_ros.vessel_tree import EMPTY_TREE, VesselTree
from liver_seg_ros.volume import Volume

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


@dataclass(frozen=True, eq=False)
class HtmlReport:
    """What the page shows.

    Attributes:
        title: its heading.
        input: the file that was read.
        facts: further lines of its head (size, date), name to value.
        versions: what made it, in words.
        meshes: surfaces in 3D and outlines in the slices; at least one with triangles.
        synthetic: whether the input is a phantom, which the page then says in plain sight.
        ct: what the slices show below the outlines; plain gray where None.
        trajectories: at most some dozens.
        tree: centerlines, shown on request.
        lesions: of the tumor's mesh, which is the paler the less sure the network is of one.
        tables: in this order.
        warnings: reasons to doubt what is shown, above everything.
        notes: what else is to be known, below them.
    """

    title: str
    input: str
    facts: Mapping[str, str]
    versions: str
    meshes: tuple[Mesh, ...]
    synthetic: bool | None = None
    ct: Volume | None = None
    trajectories: tuple[DrawnTrajectory, ...] = ()
    tree: VesselTree = EMPTY_TREE
    lesions: tuple[PartMeasurement, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    warnings: tuple[PlausibilityWarning, ...] = ()
    notes: tuple[str, ...] = ()


def write_html_report(path: str | Path, report: HtmlReport, done: Done = not_told) -> None:
    """Write the page, completely or not at all; `done` is told how far that is.

    Raises:
        InputError: no mesh has a triangle.
        InputError: the file cannot be written.
    """
    from plotly.offline import get_plotlyjs

    page = Template(_part("report.html")).substitute(
        policy=POLICY,
        style=_part("report.css"),
        script=_part("report.js"),
        plotly=get_plotlyjs(),
        data=_for_script(_data(report, part_of(done, 0.0, 0.9))),
        title=escape(report.title),
        input=escape(report.input),
        badges=_badges(report),
        facts="\n".join(_fact(*item) for item in {"input": report.input, **report.facts}.items()),
        notes="\n".join((*map(_warning, report.warnings), *map(_note, report.notes))),
        scene_text=escape("3D scene of " + ", ".join(mesh.structure.name for mesh in report.meshes), quote=True),
        tables="\n".join(table_html(number, table) for number, table in enumerate(report.tables)),
        versions=escape(report.versions),
    )
    with written_beside(path) as beside:
        # A file's name need not be UTF-8, and a page has to be.
        beside.write_text(page, encoding="utf-8", errors="backslashreplace")


def _part(name: str) -> str:
    return (resources.files("liver_seg_ros.rendering") / "html" / name).read_text(encoding="utf-8")


def _for_script(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element which it stands in."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _data(report: HtmlReport, done: Done) -> dict[str, Any]:
    """What the page's script works with."""
    meshes = [mesh for mesh in report.meshes if len(mesh.triangles)]
    structures = [
        {"name": s.name, "label": s.title, "color": "rgb({}, {}, {})".format(*s.color_rgb)}
        for s in (mesh.structure for mesh in meshes)
    ]
    layers = [{**structure, "shown": True} for structure in structures]
    if report.trajectories:
        layers.append({"name": TRAJECTORIES, "label": "trajectories", "color": CHOSEN_COLOR, "shown": True})
    if len(report.tree.edges):
        layers.append({"name": TREE, "label": "centerlines", "color": TREE_COLOR, "shown": False})
    return {
        "structures": structures,
        "layers": layers,
        "slices": [stack.as_dict() for stack in slice_stacks(meshes, report.ct, report.trajectories, done)],
        "trajectories": [
            {"entry_mm": drawn.entry_mm, "target_mm": drawn.target_mm, "radius_mm": drawn.radius_mm}
            for drawn in report.trajectories
        ],
        "other_color": OTHER_COLOR,
        "chosen_color": CHOSEN_COLOR,
        "point_mm": _middle(meshes).round(2).tolist(),
        "scene": json.loads(scene_figure(meshes, report.trajectories, report.tree, report.lesions).to_json() or "{}"),
    }


def _middle(meshes: list[Mesh]) -> NDArray[np.float64]:
    """LPS mm: the middle of the structures' box, where the slices begin if no row of a table is a place."""
    vertices = np.concatenate([mesh.vertices_mm for mesh in meshes]).astype(np.float64)
    return (vertices.min(axis=0) + vertices.max(axis=0)) / 2


def _badges(report: HtmlReport) -> str:
    synthetic = '<span class="badge synthetic">Synthetic: a phantom, no patient</span>' if report.synthetic else ""
    return f'{synthetic}<span class="badge clinical">Not for clinical use</span>'


def _warning(warning: PlausibilityWarning) -> str:
    level, message, code = (escape(text) for text in (warning.level.capitalize(), warning.message, warning.code))
    return f'<p class="note" data-code="{code}"><strong>{level}:</strong> {message} <code>{code}</code></p>'


def _note(note: str) -> str:
    return f'<p class="note">{escape(note)}</p>'


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
