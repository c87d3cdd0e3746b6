# SPDX-License-Identifier: Apache-2.0
"""The table of a cohort: its columns, and one row per case, kept as JSON until all are written as CSV and Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.labels import SEGMENTED
from liver_seg_ros.plausibility.rules import DOUBT
from liver_seg_ros.report import Report

#: How a case ended.
FOUND, NO_LIVER, FAILED = "found", "no liver", "failed"

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: with its unit.
        type: of Arrow: "string", "float64", "int64" or "bool".
        description: what it holds; empty cells are what is not known.
    """

    name: str
    type: str
    description: str


COLUMNS: tuple[Column, ...] = (
    Column("case", "string", "Its name."),
    Column("ct", "string", "What was read."),
    Column("status", "string", f"'{FOUND}', '{NO_LIVER}' or '{FAILED}'."),
    Column("message", "string", "Why there is no result, in one line."),
    Column("synthetic", "bool", "True for a phantom of this package."),
    *(Column(f"size_{axis}", "int64", "Voxels.") for axis in "ijk"),
    *(Column(f"spacing_{axis}_mm", "float64", "Between voxels.") for axis in "ijk"),
    *(Column(f"{structure.name}_ml", "float64", "Volume found.") for structure in SEGMENTED),
    Column("lesions", "int64", "Connected tumors found."),
    Column("largest_lesion_mm", "float64", "Largest diameter of the largest lesion."),
    *(Column(f"dice_{structure.name}", "float64", "Against the truth.") for structure in SEGMENTED),
    Column("doubts", "int64", "Warnings that the result is implausible."),
    Column("warnings", "string", "Codes of all warnings, with blanks between."),
    Column("seconds", "float64", "From reading to writing."),
    Column("peak_memory_mb", "float64", "Of the process that worked, since it began."),
    Column("runtime", "string", "What ran the networks."),
    Column("models", "string", "Names and versions of the networks."),
    Column("package_version", "string", "Of liver_seg_ros."),
)
NAMES = tuple(column.name for column in COLUMNS)


def row_of(name: str, report: Report, seconds: float) -> Row:
    """The row of a case that was worked on."""
    tumor = report.structures.get("tumor")
    size, spacing = report.geometry.size, report.geometry.spacing_mm
    return {
        "case": name,
        "ct": report.input,
        "status": FOUND if report.liver_found else NO_LIVER,
        "message": report.message,
        "synthetic": report.synthetic,
        **{f"size_{axis}": n for axis, n in zip("ijk", size, strict=True)},
        **{f"spacing_{axis}_mm": s for axis, s in zip("ijk", spacing, strict=True)},
        **{f"{of}_ml": measured.volume_ml for of, measured in report.structures.items()},
        "lesions": report.lesions,
        "largest_lesion_mm": tumor.largest_diameter_mm if tumor and report.lesions else None,
        **{f"dice_{of}": value for of, value in (report.dice or {}).items()},
        "doubts": sum(warning.level == DOUBT for warning in report.warnings),
        "warnings": " ".join(warning.code for warning in report.warnings),
        "seconds": round(seconds, 2),
        "peak_memory_mb": report.peak_memory_mb,
        "runtime": report.runtime,
        "models": ", ".join(f"{model.name} {model.version}" for model in report.models),
        "package_version": report.versions.get("liver_seg_ros"),
    }


def failed_row(name: str, source: str, why: str) -> Row:
    """The row of a case that has no result."""
    return {"case": name, "ct": source, "status": FAILED, "message": why}


def write_tables(folder: Path, stem: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """`<stem>.csv` and `<stem>.parquet`, whose schema holds the columns' descriptions."""
    import pyarrow
    from pyarrow import parquet

    fields = [pyarrow.field(c.name, c.type, metadata={"description": c.description}) for c in COLUMNS]
    schema = pyarrow.schema(fields)
    table = pyarrow.Table.from_pylist([{name: row.get(name) for name in NAMES} for row in rows], schema)
    with written_beside(folder / f"{stem}.parquet") as beside:
        parquet.write_table(table, beside)
    with written_beside(folder / f"{stem}.csv") as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, NAMES, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)


def write_row(path: Path, row: Mapping[str, Any], key: str) -> None:
    """Keep a row, with what it was made of."""
    with written_beside(path) as beside:
        beside.write_text(json.dumps({"key": key, "row": row}, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_row(path: Path, key: str) -> Row | None:
    """The row that was kept; None where it was made of something else, or is damaged."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(kept, dict) and kept.get("key") == key and isinstance(kept.get("row"), dict)
    return kept["row"] if same else None
