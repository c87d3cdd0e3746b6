# SPDX-License-Identifier: Apache-2.0
"""What `liver-seg couinaud` makes of the liver's segments: a table, surfaces, a DICOM Segmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from liver_seg_ros.planning.couinaud import LiverSegments
from liver_seg_ros.planning.couinaud_rows import segment_rows
from liver_seg_ros.report_table import ReportTable
from liver_seg_ros.volume import LabelVolume, Volume

HEADS = ("segment", "volume ml", "% of liver", "tumor ml", "lesions")


def segments_table(divided: LiverSegments) -> ReportTable:
    """One row per part."""
    rows = tuple(
        (segments, f"{volume_ml:.0f}", f"{percent:.1f}", f"{tumor_ml:.1f}", lesions)
        for _, segments, volume_ml, percent, tumor_ml, lesions in segment_rows(divided)
    )
    note = "By planes through the veins; not validated on patients, whose anatomy varies."
    return ReportTable("Couinaud's segments", HEADS, rows, (0, 1), note)


def without_cuts(table: ReportTable) -> ReportTable:
    """A resection's table without its last row: which vessels planes divide is not looked for."""
    return replace(table, rows=table.rows[:-1])


def write_segment_meshes(folder: Path, divided: LiverSegments) -> None:
    """An STL in LPS mm of each part, called after it."""
    from liver_seg_ros.files.meshes import write_mesh
    from liver_seg_ros.planning.couinaud_surfaces import part_mesh

    for part in divided.parts:
        write_mesh(folder / f"{part.row.name}.stl", part_mesh(divided, part))


def write_segments_dicom(path: Path, ct: Volume, divided: LiverSegments) -> None:
    """A Segmentation of the CT's study, with a segment for each part. Raises `InputError` where none can be made."""
    from liver_seg_ros.dicom_out.equipment import Made, Maker
    from liver_seg_ros.dicom_out.export import Exported, save
    from liver_seg_ros.dicom_out.reference import read_reference
    from liver_seg_ros.dicom_out.segmentation import make_segmentation
    from liver_seg_ros.dicom_out.segments import segments_of_masks
    from liver_seg_ros.planning.couinaud_surfaces import part_mask

    segments = segments_of_masks(part_mask(divided, part) for part in divided.parts)
    labels = LabelVolume(divided.array, divided.geometry, ct.uid)
    made = make_segmentation(read_reference(ct), labels, segments, Maker(Made.SEMIAUTOMATIC))
    save(path.parent, [Exported(path.name, made)])
