# SPDX-License-Identifier: Apache-2.0
"""Results as files: into a folder that a client of a node names, all of them or none.

What writes files is imported when a client asks for some: three processes would hold it, 100 MB each, and mostly nobody
asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liver_seg_ros.errors import InputError
from liver_seg_ros.outputs.folder import ResultFolder
from liver_seg_ros.outputs.record import RECORD
from liver_seg_ros.report import ModelReport, build_report, write_report

if TYPE_CHECKING:
    from liver_seg_ros.inference.bundle import ModelBundle
    from liver_seg_ros.inference.segmenter import Segmentation
    from liver_seg_ros.measurement import StructureMeasurement
    from liver_seg_ros.plausibility.judgment import PlausibilityWarning
    from liver_seg_ros.reconstruction.pipeline import Reconstruction

LABELS = ("labels.nii.gz", "labels.seg.nrrd")
REPORT = "report.json"


@dataclass(frozen=True)
class Where:
    """Where to save: the folder as a client named it, and whether files of others may be replaced."""

    folder: str
    overwrite: bool


@dataclass(frozen=True)
class Saved:
    """The volume whose results were saved, and the absolute paths of the files."""

    volume_uid: str
    files: Sequence[str]


@dataclass(frozen=True, eq=False)
class Segmented:
    """A segmentation with what was measured of it, and what made it."""

    segmentation: Segmentation
    measurements: Sequence[StructureMeasurement]
    warnings: Sequence[PlausibilityWarning]
    runtime_name: str
    bundles: Sequence[ModelBundle]


def save_segmented(where: Where, result: Segmented) -> Saved:
    """Labels in two formats and a report. Raises `InputError` for a folder that cannot be, or files in the way."""
    from liver_seg_ros.files.volumes import write_labels

    place = _place(where, "segmentation", (*LABELS, REPORT))
    labels = result.segmentation.labels
    with place.filled() as folder:
        for name in LABELS:
            write_labels(folder / name, labels)
        report = build_report(
            source=f"volume {labels.uid}",
            uid=labels.uid,
            geometry=labels.geometry,
            measurements=result.measurements,
            seconds=result.segmentation.seconds,
            message=result.segmentation.message,
            warnings=result.warnings,
            runtime=result.runtime_name,
            models=[ModelReport(b.spec.name, b.spec.version, b.sha256) for b in result.bundles],
        )
        write_report(folder / REPORT, report)
        names = _names(folder)
    return _saved(where, labels.uid, names)


def save_reconstruction(
    where: Where, volume_uid: str, result: Reconstruction, warnings: Sequence[PlausibilityWarning]
) -> Saved:
    """Meshes, cloud, vessel tree and measurements. Raises `InputError` as `save_segmented`."""
    from liver_seg_ros.files.reconstructed import reconstructed_names, write_reconstructed

    place = _place(where, "reconstruction", reconstructed_names())
    with place.filled() as folder:
        write_reconstructed(
            folder, result.meshes, result.collision_meshes, result.cloud, result.tree, result.measurements, warnings
        )
        names = _names(folder)
    return _saved(where, volume_uid, names)


def _place(where: Where, node: str, names: Iterable[str]) -> ResultFolder:
    return ResultFolder(_folder(where), node, names, (), where.overwrite, "folder", "overwrite")


def _folder(where: Where) -> Path:
    try:
        folder = Path(where.folder).expanduser()
    except RuntimeError as error:
        raise InputError(f"folder '{where.folder}': {error}; give an absolute path") from error
    if not where.folder or "\0" in where.folder or not folder.is_absolute():
        raise InputError(f"folder '{where.folder}' is no absolute path on the node's machine; give one")
    return folder


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != RECORD)


def _saved(where: Where, volume_uid: str, names: Sequence[str]) -> Saved:
    return Saved(volume_uid, [str(_folder(where) / name) for name in names])
