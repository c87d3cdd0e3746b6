# SPDX-License-Identifier: Apache-2.0
"""What was found in data sets, as tables, CSV and JSON have it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.labels import SEGMENTED
from liver_seg_ros.plain import plain
from liver_seg_ros.report_table import UNKNOWN, ReportTable
from liver_seg_ros.training.sources.about import About
from liver_seg_ros.training.sources.check import CheckedScan

_STRUCTURES = tuple(structure.name for structure in SEGMENTED)

COLUMNS = (
    "source", "subject", "patient", "size", "spacing_mm", "orientation", *(f"{name}_ml" for name in _STRUCTURES),
    "digest", "problems", "notes",
)  # fmt: skip


def check_to_dict(abouts: Iterable[About], scans: Sequence[CheckedScan]) -> dict[str, Any]:
    """Plain values: the data sets with their terms, and each scan; `problems` says how many have one."""
    return {
        "data_sets": [
            {"name": about.name, "title": about.title, "license": about.license, "citation": about.citation,
             "url": about.url, "shares": about.shares}
            for about in abouts
        ],
        "problems": sum(bool(scan.problems) for scan in scans),
        "scans": [plain(scan) for scan in scans],
    }  # fmt: skip


def write_check_json(path: Path, abouts: Iterable[About], scans: Sequence[CheckedScan]) -> None:
    """See `check_to_dict`."""
    with written_beside(path) as beside:
        beside.write_text(json.dumps(check_to_dict(abouts, scans), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_check_csv(path: Path, scans: Sequence[CheckedScan]) -> None:
    """A row a scan, `COLUMNS`; a cell is empty where nothing is known."""
    with written_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for scan in scans:
            volumes = [scan.volumes_ml.get(name, "") for name in _STRUCTURES]
            writer.writerow((
                scan.source, scan.subject, scan.patient, _listed(scan.size), _listed(scan.spacing_mm), scan.orientation,
                *volumes, scan.digest, " ".join(scan.problems), " ".join(scan.notes),
            ))  # fmt: skip


def check_tables(scans: Sequence[CheckedScan]) -> list[ReportTable]:
    """The scans, and the sentences on those that have some: problems first."""
    rows = tuple(
        (
            scan.subject,
            _listed(scan.size) or UNKNOWN,
            _listed(scan.spacing_mm) or UNKNOWN,
            scan.orientation or UNKNOWN,
            *(f"{scan.volumes_ml[name]:.1f}" if name in scan.volumes_ml else UNKNOWN for name in _STRUCTURES),
            "yes" if scan.problems else UNKNOWN,
        )
        for scan in scans
    )  # fmt: skip
    heads = ("scan", "voxels", "spacing mm", "axes", *(f"{name} ml" for name in _STRUCTURES), "problem")
    title = f"{len(scans)} {'scan' if len(scans) == 1 else 'scans'}"
    note = "The liver is the organ, with what lies in it; - where the labels do not speak of a structure."
    said = [(scan.subject, sentence) for scan in scans for sentence in scan.problems]
    said += [(scan.subject, sentence) for scan in scans for sentence in scan.notes]
    tables = [ReportTable(title, heads, rows, (0, 1, 2, 3, 7), note).without_unknown_columns()]
    if said:
        tables.append(ReportTable("What is to be looked at", ("scan", "what"), tuple(said), (0, 1)))
    return tables


def _listed(numbers: Iterable[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
