# SPDX-License-Identifier: Apache-2.0
"""A registration as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from liver_seg_ros.geometry import Vector
from liver_seg_ros.planning.patient_registration import PatientRegistration
from liver_seg_ros.planning.registration import LandmarkRegistration
from liver_seg_ros.planning.surface_registration import SurfaceRegistration
from liver_seg_ros.report_table import ReportTable


def registration_tables(
    found: PatientRegistration, names: Sequence[str], targets_mm: Sequence[Vector]
) -> tuple[ReportTable, ...]:
    """Landmarks, targets and surface, as far as there are any."""
    tables = []
    if found.landmarks is not None:
        tables.append(_landmarks(found.landmarks, names))
        if targets_mm:
            tables.append(_targets(found.landmarks, targets_mm))
    if found.surface is not None:
        tables.append(_surface(found.surface))
    return tuple(tables)


def _landmarks(found: LandmarkRegistration, names: Sequence[str]) -> ReportTable:
    rows = tuple((name, f"{mm:.2f}") for name, mm in zip(names, found.residual_mm.tolist(), strict=True))
    note = (
        f"Root mean square (FRE): {found.fre_mm:.2f} mm; a landmark is found to about {found.fle_mm:.2f} mm (FLE). "
        "A small FRE does not mean a small error at the target."
    )
    return ReportTable("Landmarks", ("landmark", "residual mm"), rows, (0,), note)


def _targets(found: LandmarkRegistration, targets_mm: Sequence[Vector]) -> ReportTable:
    errors = found.predicted_tre_mm(targets_mm).tolist()
    rows = tuple((", ".join(f"{mm:.1f}" for mm in at), f"{e:.2f}") for at, e in zip(targets_mm, errors, strict=True))
    note = (
        "Root mean square error to expect there of the landmarks alone (Fitzpatrick 1998), if their errors are random."
    )
    return ReportTable("Targets", ("target LPS mm", "error mm"), rows, (0,), note)


def _surface(found: SurfaceRegistration) -> ReportTable:
    rows = (
        ("points on the surface", f"{found.initial_fitness:.0%}", f"{found.fitness:.0%}"),
        ("their distance from it", f"{found.initial_residual_mm:.2f} mm", f"{found.residual_mm:.2f} mm"),
        ("furthest that a point moved", "", f"{found.moved_mm:.1f} mm"),
    )
    taken = (
        "The refined transform is taken." if found.accepted else f"The refined transform is NOT taken: {found.reason}."
    )
    note = f"On the surface: within {found.reach_mm:g} mm. {taken}"
    return ReportTable("Surface", ("what", "before", "refined"), rows, (0,), note)
