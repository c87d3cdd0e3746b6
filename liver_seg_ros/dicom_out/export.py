# SPDX-License-Identifier: Apache-2.0
"""Everything that was found in a CT as DICOM objects of its study: the question below both doors, command and node."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydicom import Dataset

from liver_seg_ros.atomic import scratch_folder, written_beside
from liver_seg_ros.dicom_out.equipment import Maker
from liver_seg_ros.dicom_out.kinds import CONTOURS, MEASUREMENTS, PICTURES, SEGMENTATION
from liver_seg_ros.dicom_out.reference import Reference, read_reference
from liver_seg_ros.dicom_out.segments import OutSegment, segments_of
from liver_seg_ros.errors import InputError
from liver_seg_ros.volume import LabelVolume, Volume

Object = TypeVar("Object", bound=Dataset)


@dataclass(frozen=True)
class Exported:
    """An object, and the name of the file that it goes to; neither holds anything of the patient in its name."""

    name: str
    dataset: Dataset


def export(ct: Volume, labels: LabelVolume, kinds: Sequence[str], maker: Maker) -> Iterator[Exported]:
    """The objects of `kinds`, as `kinds.check_kinds` gives them, one after another.

    Args:
        ct: with its series.
        labels: on its grid.
        kinds: of `kinds.KINDS`.
        maker: of the labels.

    Raises:
        InputError: the CT is no DICOM series, the labels are on another grid or empty, or memory does not suffice.
    """
    reference = read_reference(ct)
    segments = segments_of(labels)
    if not segments:
        raise InputError("no voxel is labelled: there is nothing to export")
    if "seg" in kinds:
        yield from _voxels(reference, labels, segments, kinds, maker)
    if "rtstruct" in kinds:
        from liver_seg_ros.dicom_out.structure_set import make_structure_set

        yield Exported(CONTOURS, _made(reference, make_structure_set, labels, segments, maker))
    if surfaces := [kind for kind in kinds if kind in ("stl", "obj", "pictures")]:
        yield from _surfaces(reference, labels, surfaces)


def save(folder: Path, exported: Iterable[Exported]) -> list[str]:
    """Write objects into `folder`, each completely or not at all; their names.

    Raises `InputError` or `WriteError` where that fails.
    """
    names = []
    for item in exported:
        with written_beside(folder / item.name) as beside:
            item.dataset.save_as(beside, enforce_file_format=True)
        names.append(item.name)
    return names


def _made(reference: Reference, make: Callable[..., Object], *arguments: object) -> Object:
    """The object of `make`. What highdicom says of a header may hold the patient's name: nothing of it is passed on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(reference, *arguments)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        where = reference.first.filename
        raise InputError(f"{where}: has values that no object of its study can hold. Export the CT again.") from error


def _voxels(
    reference: Reference, labels: LabelVolume, segments: Sequence[OutSegment], kinds: Sequence[str], maker: Maker
) -> Iterator[Exported]:
    from liver_seg_ros.dicom_out.segmentation import make_segmentation

    segmentation = _made(reference, make_segmentation, labels, segments, maker)
    yield Exported(SEGMENTATION, segmentation)
    if "sr" in kinds:
        from liver_seg_ros.dicom_out.measurement_report import make_report
        from liver_seg_ros.reconstruction.measuring.structures import measure

        yield Exported(MEASUREMENTS, _made(reference, make_report, segmentation, segments, measure(labels)))


def _surfaces(reference: Reference, labels: LabelVolume, kinds: Sequence[str]) -> Iterator[Exported]:
    from liver_seg_ros.dicom_out.encapsulated_mesh import make_encapsulated_mesh
    from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct

    meshes = reconstruct(labels, ReconstructionOptions(collision_margin_mm=0)).meshes
    with scratch_folder() as scratch:
        for kind in kinds:
            if kind == "pictures":
                from liver_seg_ros.dicom_out.picture import make_picture
                from liver_seg_ros.rendering.overlay import render_overlay
                from liver_seg_ros.rendering.scene import render_scene

                render_overlay(reference.ct, labels, scratch / "overlay.png")
                render_scene(meshes, scratch / "scene.png")
                for picture in PICTURES:
                    yield Exported(f"{picture}.dcm", _made(reference, make_picture, scratch / f"{picture}.png"))
                continue
            for mesh in meshes:
                name = f"{mesh.structure.name}_{kind}.dcm"
                yield Exported(name, _made(reference, make_encapsulated_mesh, mesh, kind, scratch))
