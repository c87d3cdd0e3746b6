# SPDX-License-Identifier: Apache-2.0
"""The pictures of a case that `reconstruct`, `measure` and `plan` write beside their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from liver_seg_ros.cli.case import Case
from liver_seg_ros.cli.measurement_tables import lesions_of, lesions_table, structures_table
from liver_seg_ros.cli.picture_names import HTML, OVERLAY, SCENE
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.plausibility.judgment import PlausibilityWarning
from liver_seg_ros.progress import Done, not_told
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.html_report import HtmlReport, write_html_report
from liver_seg_ros.rendering.overlay import render_overlay
from liver_seg_ros.rendering.scene import render_scene
from liver_seg_ros.report import versions
from liver_seg_ros.report_table import ReportTable
from liver_seg_ros.vessel_tree import EMPTY_TREE, VesselTree


def write_png(folder: Path, case: Case, meshes: Sequence[Mesh], trajectories: Sequence[DrawnTrajectory] = ()) -> None:
    """Write the surfaces in 3D and, where there is a CT, the labels over its slices; with trajectories in both."""
    render_scene(meshes, folder / SCENE, trajectories=trajectories)
    if case.ct is not None:
        render_overlay(case.ct, case.labels, folder / OVERLAY, trajectories=trajectories)


def write_html(
    folder: Path,
    title: str,
    case: Case,
    meshes: Sequence[Mesh],
    measurements: Sequence[StructureMeasurement],
    *,
    tree: VesselTree = EMPTY_TREE,
    trajectories: Sequence[DrawnTrajectory] = (),
    tables: Sequence[ReportTable] = (),
    facts: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    warnings: Sequence[PlausibilityWarning] = (),
    done: Done = not_told,
) -> None:
    """Write the page: `tables` and `facts` of the command, then the measurements. `done` is told how far that is."""
    geometry = case.labels.geometry
    measured = (lesions_table(measurements), structures_table(measurements))
    report = HtmlReport(
        title=title,
        input=str(case.source),
        facts={
            **({"CT": str(case.ct_source)} if case.ct_source else {}),
            "grid": f"{_times(geometry.size)} voxels of {_times(geometry.spacing_mm)} mm",
            **(facts or {}),
            "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        },
        versions=", ".join(f"{name} {version}" for name, version in _own_first(versions())),
        meshes=tuple(meshes),
        lesions=lesions_of(measurements),
        synthetic=case.synthetic,
        ct=case.ct,
        trajectories=tuple(trajectories),
        tree=tree,
        tables=(*tables, *(table for table in measured if table is not None)),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )
    write_html_report(folder / HTML, report, done)


def _own_first(found: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(found.items(), key=lambda item: item[0] != "liver_seg_ros")


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
