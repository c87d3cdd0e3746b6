# SPDX-License-Identifier: Apache-2.0
"""What the demo makes of the messages that arrived: files, pictures, and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message

from liver_seg_interfaces.msg import SegmentationReport
from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.files.meshes import write_mesh
from liver_seg_ros.files.volumes import write_labels
from liver_seg_ros.geometry import MM_PER_M, Geometry
from liver_seg_ros.labels import STRUCTURES, structure_by_name
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.nodes.messages.measurements import message_to_measurement
from liver_seg_ros.plausibility.judgment import PlausibilityWarning
from liver_seg_ros.rendering.overlay import render_overlay
from liver_seg_ros.rendering.scene import render_scene
from liver_seg_ros.report import ModelReport, Report, build_report, write_report
from liver_seg_ros.volume import LabelVolume, Volume

#: All that `write_outputs` may write.
NAMES = (
    "labels.seg.nrrd", "labels.nii.gz", "scene.png", "overlay.png", "report.json",
    *(f"{structure.name}{suffix}" for structure in STRUCTURES for suffix in (".ply", ".glb")),
)  # fmt: skip


class Arrived:
    """The volume, labels and meshes that the plain subscriber received, back in LPS mm."""

    def __init__(self, folder: Path) -> None:
        self.facts = json.loads((folder / "arrived.json").read_text(encoding="utf-8"))
        self._report = deserialize_message((folder / "report.cdr").read_bytes(), SegmentationReport)
        arrays: Mapping[str, NDArray] = np.load(folder / "arrived.npz")
        uid = self.facts["uid"]
        ct = arrays["ct"]
        geometry = Geometry(
            size=ct.shape[::-1],
            spacing_mm=tuple(arrays["spacing_m"] * MM_PER_M),
            origin_mm=tuple(arrays["origin_m"] * MM_PER_M),
            direction=arrays["direction"].round(12),
        )
        self.ct = Volume(ct.astype(np.int16, copy=False), geometry, uid)
        self.labels = LabelVolume(arrays["labels"], geometry, uid)
        self.meshes = [
            _mesh(structure.name, arrays) for structure in STRUCTURES if f"{structure.name}_triangles" in arrays
        ]

    @property
    def measurements(self) -> list[StructureMeasurement]:
        """Per structure, as the reconstruction node measured it."""
        return [message_to_measurement(message) for message in self._report.structures]


def write_outputs(
    folder: Path,
    arrived: Arrived,
    source: str,
    truth: LabelVolume | None,
    synthetic: bool | None,
    peak_memory_mb: float,
) -> Report:
    """Write every file of the demo into `folder`; the report.

    Args:
        source: how the input is called in the report.
        truth: what is right, where known.
        synthetic: whether the input is a phantom; None where nothing says so.
        peak_memory_mb: of the process that segmented and reconstructed, and of its workers.
    """
    write_labels(folder / "labels.seg.nrrd", arrived.labels)
    write_labels(folder / "labels.nii.gz", arrived.labels)
    for mesh in arrived.meshes:
        for suffix in (".ply", ".glb"):
            write_mesh(folder / f"{mesh.structure.name}{suffix}", mesh)
    if arrived.meshes:
        render_scene(arrived.meshes, folder / "scene.png")
    render_overlay(arrived.ct, arrived.labels, folder / "overlay.png")
    report = build_report(
        source=source,
        uid=arrived.facts["uid"],
        geometry=arrived.labels.geometry,
        measurements=arrived.measurements,
        seconds=arrived.facts["seconds"],
        message=arrived.facts["message"],
        warnings=[
            PlausibilityWarning(**{**warning, "lesions": tuple(warning["lesions"])})
            for warning in arrived.facts["warnings"]
        ],
        synthetic=synthetic,
        dice=dice(arrived.labels, truth) if truth is not None else None,
        runtime=arrived.facts["runtime"] or None,
        models=[ModelReport(**model) for model in arrived.facts["models"]],
    )
    report = replace(report, peak_memory_mb=round(peak_memory_mb, 1))
    write_report(folder / "report.json", report)
    return report


def _mesh(name: str, arrays: Mapping[str, NDArray]) -> Mesh:
    vertices_mm = (arrays[f"{name}_vertices_m"] * MM_PER_M).astype(np.float32)
    triangles = arrays[f"{name}_triangles"]
    normals = trimesh.Trimesh(vertices_mm, triangles, process=False).vertex_normals.astype(np.float32)
    return Mesh(structure_by_name(name), vertices_mm, triangles, normals)
