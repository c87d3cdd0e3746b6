# SPDX-License-Identifier: Apache-2.0
"""`report.json`: complete, valid JSON, honest about what was not measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.geometry import IDENTITY, Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.measurement import CollisionMeshQuality, Gap, MeshQuality, PartMeasurement, StructureMeasurement
from liver_seg_ros.plausibility.judgment import PlausibilityWarning
from liver_seg_ros.report import (
    FORMAT,
    ModelReport,
    Report,
    build_report,
    describe_geometry,
    peak_memory_mb,
    versions,
    write_report,
)

MESH = MeshQuality(40_000, True, True, True, 0)
GEOMETRY = Geometry(size=(4, 5, 6), spacing_mm=(0.7, 0.7, 2.5))


def _report(*measurements: StructureMeasurement, **more: object):  # type: ignore[no-untyped-def]
    return build_report(
        source="ct", uid="1.2", geometry=GEOMETRY, measurements=measurements, seconds={"read": 0.5}, **more
    )


def test_round_trip_through_the_file(tmp_path: Path) -> None:
    model = ModelReport("localizer", "1.0.0", "ab" * 32)
    large, small = PartMeasurement(4.0, 11.0, (1.0, 2.0, 3.0)), PartMeasurement(0.2, 5.0, (4.0, 5.0, 6.0))
    report = _report(
        StructureMeasurement(LIVER, 1500.0, 210.0, 1, mesh=MESH, collision_mesh=CollisionMeshQuality(MESH, 3.0, 4.1)),
        StructureMeasurement(TUMOR, 4.2, 11.0, 2, parts=(large, small)),
        models=[model],
    )
    write_report(tmp_path / "report.json", report)
    read = json.loads((tmp_path / "report.json").read_text())
    mesh = {"triangles": 40_000, "watertight": True, "manifold": True, "outward": True, "self_intersections": 0}
    assert read["structures"]["liver"] == {
        "structure": "liver",
        "volume_ml": 1500.0,
        "largest_diameter_mm": 210.0,
        "count": 1,
        "triangles": 40_000,
        "watertight": True,
        "parts": [],
        "volume_uncertainty_ml": 0.0,
        "diameter_uncertainty_mm": 0.0,
        "axial": None,
        "mesh": mesh,
        "collision_mesh": {"quality": mesh, "margin_mm": 3.0, "largest_distance_mm": 4.1},
    }
    tumor = read["structures"]["tumor"]
    assert tumor["triangles"] is None
    assert tumor["parts"][1] == {
        "volume_ml": 0.2, "largest_diameter_mm": 5.0, "center_mm": [4.0, 5.0, 6.0], "volume_uncertainty_ml": 0.0,
        "diameter_uncertainty_mm": 0.0, "axial": None, "to_vessel": None, "to_capsule": None, "touches_border": None,
        "confidence": None,
    }  # fmt: skip
    assert read["lesions"] == 2 and read["liver_found"] is True and read["dice"] is None and read["synthetic"] is None
    assert read["geometry"] == {
        "size": [4, 5, 6],
        "spacing_mm": [0.7, 0.7, 2.5],
        "origin_mm": [0, 0, 0],
        "direction": [list(row) for row in IDENTITY],
        "orientation": "LPS",
    }
    assert read["models"] == [{"name": "localizer", "version": "1.0.0", "sha256": "ab" * 32}]
    assert read["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize("measured", [(), (StructureMeasurement(LIVER, 0.0, 0.0, 0),)])
def test_no_liver_is_no_liver(measured: tuple[StructureMeasurement, ...]) -> None:
    assert _report(*measured).liver_found is False


def test_a_number_that_json_has_not_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_report(tmp_path / "report.json", _report(StructureMeasurement(LIVER, float("nan"), 1.0, 1)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("direction", "code"),
    [
        (np.eye(3), "LPS"),
        (np.diag([-1, -1, 1]), "RAS"),
        (np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]), "PSL"),
    ],
)
def test_orientation_code_says_where_the_axes_grow_to(direction: np.ndarray, code: str) -> None:
    assert Geometry((2, 2, 2), direction=tuple(map(tuple, direction))).orientation == code


def test_peak_memory_is_this_process_own_and_the_highest() -> None:
    """Measured in a child of a process that held 300 MB: what the parent held must not count, nor what was freed."""
    code = (
        "from liver_seg_ros.report import peak_memory_mb; before = peak_memory_mb(); "
        "block = bytearray(b'x') * 200_000_000; del block; print(before, peak_memory_mb())"
    )
    block = bytearray(b"x") * 300_000_000
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert peak_memory_mb() > len(block) / 1e6
    before, after = map(float, result.stdout.split())
    assert before < 250 and 190 < after - before < 230


def test_lesions_are_those_of_the_tumor_and_nothing_else() -> None:
    """Not the number of structures, nor of any other's parts."""
    others = (StructureMeasurement(LIVER, 0.4, 9.0, 2), StructureMeasurement(VESSEL, 3.0, 40.0, 7))
    report = _report(*others, StructureMeasurement(TUMOR, 4.2, 11.0, 5))
    assert report.lesions == 5 and report.liver_found is True
    assert _report(*others).lesions == 0
    assert Report("ct", "1.2", report.geometry, False).lesions == 0
    assert Report("ct", "1.2", report.geometry, False).peak_memory_mb == 0


def test_figures_are_rounded_to_what_they_mean() -> None:
    gap = Gap(VESSEL, 3.14159, 1.41421, (1.23456, 2.34567, -3.45678), (1.0, 2.0, 3.0))
    part = PartMeasurement(1.23456, 9.87654, (1.23456, 2.34567, -3.45678), 0.98765, 1.41421, to_vessel=gap)
    collision = CollisionMeshQuality(MESH, 3.0, 4.55555)
    tumor = StructureMeasurement(TUMOR, 1.23456, 9.87654, 1, parts=(part,), collision_mesh=collision)
    report = _report(tumor, dice={"tumor": 0.123456})
    found = report.structures["tumor"]
    assert (found.volume_ml, found.largest_diameter_mm) == (1.235, 9.88)
    assert (found.parts[0].volume_ml, found.parts[0].largest_diameter_mm) == (1.235, 9.88)
    assert found.parts[0].center_mm == (1.23, 2.35, -3.46)
    assert (found.parts[0].volume_uncertainty_ml, found.parts[0].diameter_uncertainty_mm) == (0.988, 1.41)
    assert found.parts[0].to_vessel == Gap(VESSEL, 3.14, 1.41, (1.23, 2.35, -3.46), (1.0, 2.0, 3.0))
    assert found.collision_mesh == CollisionMeshQuality(MESH, 3.0, 4.56) and found.structure is TUMOR
    assert report.dice == {"tumor": 0.1235}
    read = build_report(source="", uid="", geometry=GEOMETRY, measurements=(), seconds={"read": 0.12345})
    assert read.seconds == {"read": 0.123} and read.peak_memory_mb == round(read.peak_memory_mb, 1)
    noisy = describe_geometry(Geometry((1, 1, 1), (0.70000001, 0.7123456, 2.5)))
    assert noisy.spacing_mm == (0.7, 0.712346, 2.5)


def test_versions_are_those_installed_and_the_format_is_the_first() -> None:
    found = versions()
    assert FORMAT == _report().format == 1
    assert found["liver_seg_ros"] == metadata.version("liver_seg_ros") and found["numpy"] == np.__version__
    assert {"SimpleITK", "onnxruntime", "openvino", "vtk"} <= found.keys()


def test_warnings_are_in_the_file_as_they_are(tmp_path: Path) -> None:
    warning = PlausibilityWarning("huge_lesion", "doubt", "Two are huge.", "tumor", (1, 3))
    write_report(tmp_path / "report.json", _report(warnings=[warning]))
    assert json.loads((tmp_path / "report.json").read_text())["warnings"] == [
        {"code": "huge_lesion", "level": "doubt", "message": "Two are huge.", "structure": "tumor", "lesions": [1, 3]}
    ]


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads /proc")
def test_peak_memory_is_what_the_kernel_says_of_this_process() -> None:
    status = Path("/proc/self/status").read_text()
    kibibytes = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])  # type: ignore[index]
    assert peak_memory_mb() == pytest.approx(kibibytes * 1024 / 1e6, rel=0.01)
