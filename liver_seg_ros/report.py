# SPDX-License-Identifier: Apache-2.0
"""What a run found and how it went: the `report.json` that the command line, the demo and the nodes all write.

A `Report` is plain data and turns into JSON as it stands: the fields below are the keys of the file. Numbers carry
their unit in their name; what was not measured is null, never zero.
"""

from __future__ import annotations

import json
import platform
import resource
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, Structure
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.plausibility.judgment import PlausibilityWarning

#: Raised when a key of `report.json` changes its meaning or goes away.
FORMAT = 1

#: Digits behind the point: a cubic millimetre, a hundredth of a millimetre, a tenth of a percent.
_DIGITS = {"_ml": 3, "_mm": 2, "confidence": 3}

_REPORTED_PACKAGES = ("liver_seg_ros", "numpy", "SimpleITK", "onnxruntime", "openvino", "vtk")


@dataclass(frozen=True)
class GeometryReport:
    """A grid as `Geometry` has it (file order i, j, k; LPS mm), and `orientation`, see `Geometry.orientation`."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[tuple[float, float, float], ...]
    orientation: str


@dataclass(frozen=True)
class ModelReport:
    """Which weights ran: enough to find them again."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Report:
    """One run; see `report.json` in the README for an example.

    Attributes:
        input: the file, folder or topic that was read.
        uid: that of the volume.
        geometry: the grid of the labels.
        synthetic: whether the input is a phantom; None where nothing says what it is.
        liver_found: whether there is a liver in the labels.
        message: one line for a human; the reason where no liver was found.
        warnings: reasons to doubt the result, see `docs/warnings.md`; the gravest first.
        structures: by the structure's name; figures are rounded to what they mean.
        lesions: connected tumors.
        dice: per structure, where the truth is known (see `scores.dice`); None where it is not.
        seconds: per stage, in the order in which they ran.
        runtime: what ran the networks; None where none ran.
        peak_memory_mb: the largest resident size that the process had until the report was made.
        models: the networks that ran; empty where none did.
        versions: of this package, Python, and the libraries that the numbers depend on.
    """

    input: str
    uid: str
    geometry: GeometryReport
    liver_found: bool
    message: str = ""
    warnings: tuple[PlausibilityWarning, ...] = ()
    synthetic: bool | None = None
    structures: Mapping[str, StructureMeasurement] = field(default_factory=dict)
    lesions: int = 0
    dice: Mapping[str, float] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_mb: float = 0.0
    runtime: str | None = None
    models: tuple[ModelReport, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    to_dict = plain_fields


def build_report(
    *,
    source: str,
    uid: str,
    geometry: Geometry,
    measurements: Iterable[StructureMeasurement],
    seconds: Mapping[str, float],
    message: str = "",
    warnings: Iterable[PlausibilityWarning] = (),
    synthetic: bool | None = None,
    dice: Mapping[str, float] | None = None,
    runtime: str | None = None,
    models: Iterable[ModelReport] = (),
) -> Report:
    """A `Report` with what can be looked up filled in: counts, versions, and the peak memory of this process so far."""
    structures = {measured.structure.name: _rounded(measured) for measured in measurements}
    liver, tumor = structures.get(LIVER.name), structures.get(TUMOR.name)
    return Report(
        input=source,
        uid=uid,
        geometry=describe_geometry(geometry),
        liver_found=liver is not None and liver.volume_ml > 0,
        message=message,
        warnings=tuple(warnings),
        synthetic=synthetic,
        structures=structures,
        lesions=tumor.count if tumor else 0,
        dice=None if dice is None else {name: round(value, 4) for name, value in dice.items()},
        seconds={stage: round(value, 3) for stage, value in seconds.items()},
        peak_memory_mb=round(peak_memory_mb(), 1),
        runtime=runtime,
        models=tuple(models),
        versions=versions(),
    )


def _rounded(value: Any, name: str = "") -> Any:
    """`value` of the field `name`, and all in it, to as many digits as its unit has in a report."""
    if is_dataclass(value) and not isinstance(value, (type, Structure)):
        return replace(value, **{f.name: _rounded(getattr(value, f.name), f.name) for f in fields(value)})
    if isinstance(value, tuple):
        return tuple(_rounded(item, name) for item in value)
    digits = next((digits for unit, digits in _DIGITS.items() if name.endswith(unit)), None)
    return value if digits is None or not isinstance(value, float) else round(value, digits)


def write_report(path: Path, report: Report) -> None:
    """Write `report` as JSON, completely or not at all."""
    with written_beside(path) as beside:
        beside.write_text(json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def describe_geometry(geometry: Geometry) -> GeometryReport:
    """`geometry` as a report shows it; the spacing without the noise of a file's float32."""
    i, j, k = (round(spacing, 6) for spacing in geometry.spacing_mm)
    return GeometryReport(geometry.size, (i, j, k), geometry.origin_mm, geometry.direction, geometry.orientation)


def peak_memory_mb() -> float:
    """The largest resident size of this process so far, in MB of 10^6 bytes.

    Linux: VmHWM, because `ru_maxrss` survives exec and so would count the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that figures depend on; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _REPORTED_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
