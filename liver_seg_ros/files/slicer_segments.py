# SPDX-License-Identifier: Apache-2.0
"""The labels in a segmentation of 3D Slicer, whatever its segments are called, numbered and laid over each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.found_labels import Canvas, FoundLabels
from liver_seg_ros.files.label_schemes import LabelScheme
from liver_seg_ros.files.label_values import listed, relabelled, values_in
from liver_seg_ros.files.segmentation_nrrd import LayeredSegment
from liver_seg_ros.files.segments import judge_segments, not_taken, taken_for
from liver_seg_ros.files.values import to_whole_numbers
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import STRUCTURES, Structure
from liver_seg_ros.volume import LabelVolume


def found_by_segments(
    array: NDArray[np.generic],
    geometry: Geometry,
    where: str,
    segments: Sequence[LayeredSegment],
    scheme: LabelScheme | None = None,
) -> FoundLabels:
    """The labels in a segmentation of 3D Slicer, whose segments are numbered as they come and may overlap.

    Args:
        array: `(K, J, I)`, or `(K, J, I, L)` where its segments lie in several layers.
        geometry: their right-handed grid.
        where: the file; starts messages.
        segments: what the file says of them.
        scheme: the user's own word for what they are.

    Raises:
        InputError: a segment that is no structure of the label table, or a value or layer without a segment.
    """
    plain = [layered.segment for layered in segments]
    verdicts = judge_segments(plain, scheme, where)
    if scheme is None and (others := not_taken(plain, verdicts)):
        raise InputError(
            f"{where}: segment {others}. Delete or recode it, or give --labels a YAML file of 'value: structure' that "
            "says what it is, with null to leave it out."
        )
    layers = [array] if array.ndim == 3 else [array[..., layer] for layer in range(array.shape[-1])]
    values: list[dict[int, Structure | None]] = [{} for _ in layers]
    for layered, verdict in zip(segments, verdicts, strict=True):
        if layered.layer >= len(layers):
            raise InputError(
                f"{where}: segment '{layered.segment.name}' overlaps others, and its layer {layered.layer} is not in "
                "the file. Export it as a labelmap."
            )
        meant = values[layered.layer].setdefault(layered.segment.number, verdict.structure)
        if meant != verdict.structure:
            raise InputError(f"{where}: two segments share the value {layered.segment.number}. Export it again.")
    canvas = Canvas(geometry.shape)
    for layer, meaning in zip(layers, values, strict=True):
        stored = to_whole_numbers(layer, where)
        if unknown := [value for value in values_in(stored) if value not in meaning]:
            raise InputError(f"{where}: label values {listed(unknown)} are not in the table of its segments")
        labels = relabelled(stored, meaning)
        for structure in {structure for structure in meaning.values() if structure is not None}:
            canvas.paint(structure, labels == structure.value)
    return FoundLabels(
        LabelVolume(canvas.array, geometry),
        "segments of 3D Slicer" if scheme is None else scheme.about,
        taken_for(plain, verdicts),
        tuple(s for s in STRUCTURES if s in [verdict.structure for verdict in verdicts]),
        canvas.organ if len(layers) > 1 else None,
    )
