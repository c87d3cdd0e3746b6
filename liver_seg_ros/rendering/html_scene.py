# SPDX-License-Identifier: Apache-2.0
"""The 3D scene of a page as a plotly figure: surfaces, trajectories and centerlines that can be turned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import fast_simplification
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.measurement import PartMeasurement
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.rendering.drawn_trajectory import CHOSEN_RGB, OTHER_RGB, DrawnTrajectory
from liver_seg_ros.rendering.lesion_colors import vertex_colors
from liver_seg_ros.vessel_tree import EMPTY_TREE, VesselTree

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: Triangles of a structure that a phone still turns smoothly.
DISPLAY_TRIANGLES = 40_000

#: The layers that are no structure of the label table; `meta["layer"]` of a trace says which it belongs to.
TRAJECTORIES, TREE = "trajectories", "centerlines"

OTHER_COLOR, CHOSEN_COLOR = ("rgb({}, {}, {})".format(*rgb) for rgb in (OTHER_RGB, CHOSEN_RGB))
TREE_COLOR, INK = "#1d2733", "#46505c"
#: A viewer at the patient's front, above the eyes' height, a little to the right: as `rendering.scene` looks.
EYE = {"x": -0.4, "y": -1.3, "z": 0.33}
LIGHTING = {"ambient": 0.6, "diffuse": 0.6, "specular": 0.25, "roughness": 0.4, "fresnel": 0.05}
LIGHT_MM = {"x": 3000, "y": -8000, "z": 6000}


def scene_figure(
    meshes: Sequence[Mesh],
    trajectories: Iterable[DrawnTrajectory] = (),
    tree: VesselTree = EMPTY_TREE,
    lesions: Sequence[PartMeasurement] = (),
) -> Figure:
    """The figure, in LPS mm; without a legend, as the page has switches of its own.

    Each trace says in `meta["layer"]` what it shows: a structure's name, `TRAJECTORIES` or `TREE`; a trajectory's trace
    has its number in `meta["trajectory"]`. The centerlines are there but not shown at first. `lesions` are those of the
    tumor's mesh: see `lesion_colors`.

    Raises:
        InputError: no mesh has a triangle.
    """
    from plotly import graph_objects as go  # takes a second to load

    shown = [mesh for mesh in meshes if len(mesh.triangles)]
    if not shown:
        raise InputError("a scene needs at least one mesh with triangles")
    traces: list[Any] = [
        go.Mesh3d(**_surface(mesh, lesions)) for mesh in sorted(shown, key=lambda m: -m.structure.opacity)
    ]
    for number, trajectory in enumerate(trajectories):
        traces.append(go.Scatter3d(**_trajectory(number, trajectory)))
    if len(tree.edges):
        traces.append(go.Scatter3d(**_tree(tree)))
    traces.append(go.Scatter3d(**_letters(shown)))
    axis = {"visible": False, "showspikes": False}
    return go.Figure(
        traces,
        go.Layout(
            scene={"xaxis": axis, "yaxis": axis, "zaxis": axis, "aspectmode": "data", "camera": {"eye": EYE}},
            margin={"l": 0, "r": 0, "t": 0, "b": 0},
            paper_bgcolor="rgba(0,0,0,0)",
            showlegend=False,
            hovermode="closest",
        ),
    )


def _surface(mesh: Mesh, lesions: Sequence[PartMeasurement]) -> dict[str, Any]:
    vertices, triangles = _for_display(mesh)
    colors = vertex_colors(vertices, lesions, mesh.structure.color_rgb) if mesh.structure == TUMOR else None
    (x, y, z), (i, j, k) = vertices.T, triangles.astype(np.uint32).T
    name = mesh.structure.title
    return {
        "x": x, "y": y, "z": z, "i": i, "j": j, "k": k,
        "color": "rgb({}, {}, {})".format(*mesh.structure.color_rgb), "opacity": mesh.structure.opacity,
        "lighting": LIGHTING, "lightposition": LIGHT_MM,
        "name": name, "hoverinfo": "name" if mesh.structure.opacity == 1 else "skip",
        "meta": {"layer": mesh.structure.name},
        "vertexcolor": None if colors is None else ["rgb({}, {}, {})".format(*rgb) for rgb in colors.tolist()],
    }  # fmt: skip


def _for_display(mesh: Mesh) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """Vertices and triangles, fewer where the mesh has more than can be turned smoothly; it need not stay closed."""
    if len(mesh.triangles) <= DISPLAY_TRIANGLES:
        return mesh.vertices_mm, mesh.triangles
    vertices, triangles = fast_simplification.simplify(mesh.vertices_mm, mesh.triangles, target_count=DISPLAY_TRIANGLES)
    return vertices.astype(np.float32), triangles


def _trajectory(number: int, trajectory: DrawnTrajectory) -> dict[str, Any]:
    x, y, z = np.array([trajectory.entry_mm, trajectory.target_mm]).T.round(2).tolist()
    return {
        "x": x, "y": y, "z": z, "mode": "lines+markers",
        "line": {"color": OTHER_COLOR, "width": 3},
        "marker": {"color": OTHER_COLOR, "size": [2, 4]},
        "name": trajectory.name, "hoverinfo": "name", "meta": {"layer": TRAJECTORIES, "trajectory": number},
    }  # fmt: skip


def _tree(tree: VesselTree) -> dict[str, Any]:
    """All centerlines as one line with gaps."""
    points = np.full((len(tree.edges), 3, 3), np.nan, np.float32)
    points[:, :2] = tree.points_mm[tree.edges]
    x, y, z = points.reshape(-1, 3).T
    return {
        "x": x, "y": y, "z": z, "mode": "lines", "line": {"color": TREE_COLOR, "width": 3}, "connectgaps": False,
        "name": "centerlines", "hoverinfo": "skip", "visible": False, "meta": {"layer": TREE},
    }  # fmt: skip


def _letters(meshes: Sequence[Mesh]) -> dict[str, Any]:
    """The sides of the patient around the structures."""
    low = np.min([mesh.vertices_mm.min(axis=0) for mesh in meshes], axis=0)
    high = np.max([mesh.vertices_mm.max(axis=0) for mesh in meshes], axis=0)
    center, reach = (low + high) / 2, (high - low) / 2 + 0.06 * float((high - low).max())
    signs = np.concatenate([np.eye(3), -np.eye(3)])
    x, y, z = (center + signs * reach).T.round(1).tolist()
    return {
        "x": x, "y": y, "z": z, "mode": "text", "text": list("LPSRAI"),
        "textfont": {"color": INK, "size": 15}, "hoverinfo": "skip", "meta": {"layer": "letters"},
    }  # fmt: skip
