# SPDX-License-Identifier: Apache-2.0
"""What in the evidence of a result gives reason to doubt it, and from where on; `rules` says why from there on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from liver_seg_ros.labels import LIVER, TUMOR, VESSEL, Structure
from liver_seg_ros.measurement import MeshQuality, StructureMeasurement
from liver_seg_ros.plausibility.evidence import Evidence

LEAST_HEIGHT_MM = 100.0
EDGE_MM2 = 100.0
LEAST_LIVER_ML = 500.0
MOST_LIVER_ML = 4000.0
LEAST_LIVER_HU = -20.0
MOST_LIVER_HU = 250.0
ENHANCED_LIVER_HU = 80.0
ENHANCED_VESSEL_HU = 100.0
LEAST_CONTRAST_HU = 20.0
MANY_LESIONS = 20
HUGE_LESION_MM = 100.0
MOST_TUMOR = 0.5
THICK_SLICE_MM = 3.0

#: Lesions that a sentence names; `Finding.lesions` has all.
_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """A sentence with figures, and what it is about.

    Attributes:
        sentence: one, with a full stop.
        structure: that it is about; None where it is about the whole volume.
        lesions: numbers of the lesions that it is about, from 1, the largest.
    """

    sentence: str
    structure: Structure | None = None
    lesions: tuple[int, ...] = ()


def no_liver(evidence: Evidence) -> Finding | None:
    if evidence.run is None or evidence.measured(LIVER).volume_ml > 0:
        return None
    geometry = evidence.geometry
    sentence = f"No liver was found in {' x '.join(f'{mm:.0f}' for mm in geometry.extent_mm)} mm."
    height_mm = float(np.abs(geometry.direction_matrix[2] * geometry.extent_mm).max())
    if height_mm < LEAST_HEIGHT_MM:
        sentence += f" A liver is more than {LEAST_HEIGHT_MM:.0f} mm tall; this CT has {height_mm:.0f} mm."
    return Finding(sentence, LIVER)


def liver_cut(evidence: Evidence) -> Finding | None:
    cut = {side: area for side, area in evidence.liver_cut_mm2.items() if area >= EDGE_MM2}
    sides = ", ".join(f"{side} ({area / 100:.0f} cm²)" for side, area in cut.items())
    return Finding(f"The edge of the scan cuts the liver, towards: {sides}.", LIVER) if cut else None


def liver_small(evidence: Evidence) -> Finding | None:
    volume_ml = evidence.measured(LIVER).volume_ml
    small = 0 < volume_ml < LEAST_LIVER_ML
    return Finding(f"The liver has {volume_ml:.0f} ml, below {LEAST_LIVER_ML:.0f} ml.", LIVER) if small else None


def liver_large(evidence: Evidence) -> Finding | None:
    volume_ml = evidence.measured(LIVER).volume_ml
    large = volume_ml > MOST_LIVER_ML
    return Finding(f"The liver has {volume_ml:.0f} ml, above {MOST_LIVER_ML:.0f} ml.", LIVER) if large else None


def liver_hu(evidence: Evidence) -> Finding | None:
    hu = evidence.liver_hu
    if hu is None or LEAST_LIVER_HU <= hu <= MOST_LIVER_HU:
        return None
    return Finding(f"What is labelled as liver has {hu:.0f} HU, which no liver has.", LIVER)


def no_contrast(evidence: Evidence) -> Finding | None:
    liver_hu, vessel_hu = evidence.liver_hu, evidence.vessel_hu
    if vessel_hu is not None and liver_hu is not None:
        if vessel_hu >= ENHANCED_VESSEL_HU and vessel_hu - liver_hu >= LEAST_CONTRAST_HU:
            return None
        return Finding(f"Vessels do not stand out: they have {vessel_hu:.0f} HU, the liver {liver_hu:.0f} HU.", VESSEL)
    if liver_hu is None or liver_hu >= ENHANCED_LIVER_HU:
        return None
    return Finding(f"The liver has {liver_hu:.0f} HU, as without contrast medium.", LIVER)


def lesion_cut(evidence: Evidence) -> Finding | None:
    return _of_lesions(
        [number for number, lesion in enumerate(evidence.lesions, start=1) if lesion.touches_border],
        "The border of the scan cuts {}: more may lie beyond it.",
    )


def huge_lesion(evidence: Evidence) -> Finding | None:
    lesions = enumerate(evidence.lesions, start=1)
    largest_mm = max((lesion.largest_diameter_mm for lesion in evidence.lesions), default=0.0)
    return _of_lesions(
        [number for number, lesion in lesions if lesion.largest_diameter_mm > HUGE_LESION_MM],
        f"More than {HUGE_LESION_MM:.0f} mm across, up to {largest_mm:.0f} mm: {{}}.",
    )


def many_lesions(evidence: Evidence) -> Finding | None:
    count = evidence.measured(TUMOR).count
    return Finding(f"{count} lesions, more than {MANY_LESIONS}.", TUMOR) if count > MANY_LESIONS else None


def lesion_unsure(evidence: Evidence) -> Finding | None:
    least = None if evidence.run is None else evidence.run.least_lesion
    unsure = {
        number: lesion.confidence
        for number, lesion in enumerate(evidence.lesions, start=1)
        if least is not None and lesion.confidence is not None and lesion.confidence < least
    }
    lowest = min(unsure.values(), default=0.0)
    return _of_lesions(
        list(unsure), f"The network is not sure of {{}}: {lowest:.2f} where it should be {least or 0.0:.2f} or more."
    )


def mostly_tumor(evidence: Evidence) -> Finding | None:
    tumor_ml, organ_ml = evidence.measured(TUMOR).volume_ml, evidence.measured(LIVER).volume_ml
    if not tumor_ml > MOST_TUMOR * organ_ml > 0:
        return None
    return Finding(f"{tumor_ml:.0f} ml of the {organ_ml:.0f} ml of the liver are tumor.", TUMOR)


def lesions_not_measured(evidence: Evidence) -> Finding | None:
    tumor = evidence.measured(TUMOR)
    if tumor.count <= len(tumor.parts):
        return None
    return Finding(f"Of {tumor.count} lesions only the {len(tumor.parts)} largest were measured one by one.", TUMOR)


def surface_open(evidence: Evidence) -> Finding | None:
    names = [
        measured.structure.title + (" (collision mesh)" if kind == "collision mesh" else "")
        for measured in evidence.measurements
        for kind, quality in _meshes(measured)
        if not quality.watertight
    ]
    return Finding(f"The surface is not closed: {', '.join(names)}.") if names else None


def surface_unsound(evidence: Evidence) -> Finding | None:
    found = [
        f"{measured.structure.title} ({kind}: {quality.defects})"
        for measured in evidence.measurements
        for kind, quality in _meshes(measured)
        if quality.watertight and not quality.is_sound
    ]
    return Finding(f"A surface is closed, but not sound: {'; '.join(found)}.") if found else None


def collision_beyond_margin(evidence: Evidence) -> Finding | None:
    beyond = [
        f"{measured.structure.title} {collision.largest_distance_mm:.1f} mm instead of {collision.margin_mm:.1f} mm"
        for measured in evidence.measurements
        if (collision := measured.collision_mesh) and collision.largest_distance_mm > collision.margin_mm
    ]
    return Finding(f"Collision meshes reach further out than asked: {', '.join(beyond)}.") if beyond else None


def _meshes(measured: StructureMeasurement) -> Iterator[tuple[str, MeshQuality]]:
    if measured.mesh is not None:
        yield "mesh", measured.mesh
    if measured.collision_mesh is not None:
        yield "collision mesh", measured.collision_mesh.quality


def whole_ct_searched(evidence: Evidence) -> Finding | None:
    searched = evidence.run is not None and evidence.run.searched
    return Finding("The localizer was unsure of the liver, so the whole CT was searched.", LIVER) if searched else None


def liver_cut_by_search(evidence: Evidence) -> Finding | None:
    cut_off = evidence.run is not None and evidence.run.cut_off
    return Finding("The liver ends only where the networks looked no further.", LIVER) if cut_off else None


def thick_slices(evidence: Evidence) -> Finding | None:
    thickest_mm = round(max(evidence.geometry.spacing_mm), 3)  # files hold 3.0000002
    if thickest_mm <= THICK_SLICE_MM:
        return None
    return Finding(f"Slices are {thickest_mm:.3g} mm apart, more than {THICK_SLICE_MM:.0f} mm.")


def synthetic_training(evidence: Evidence) -> Finding | None:
    models = () if evidence.run is None else evidence.run.synthetic_models
    return Finding(f"Trained on synthetic CT only, on no patient: {', '.join(models)}.") if models else None


def _of_lesions(numbers: list[int], sentence: str) -> Finding | None:
    """`sentence` with "lesion 1" or "lesions 1, 2" in the place of {}; None where there is no lesion."""
    if not numbers:
        return None
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    named = f"{'lesions' if len(numbers) > 1 else 'lesion'} {', '.join(map(str, numbers[:_NAMED]))}{more}"
    return Finding(sentence.format(named), TUMOR, tuple(numbers))
