# SPDX-License-Identifier: Apache-2.0
"""The package as a library: what `import liver_seg_ros as ls` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import liver_seg_ros as ls
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.planning.anatomy import prepare_anatomy
from liver_seg_ros.volume import LabelVolume, Volume

GRID = Geometry((64, 56, 40), (3.0, 3.0, 3.0), (-95.0, -83.0, -59.0))
LESION_MM = (-29.0, 19.0, 7.0)


@pytest.fixture(scope="module")
def ct() -> Volume:
    """An elliptic body in air."""
    _, j, i = np.ogrid[:40, :56, :64]
    array = np.full(GRID.shape, -1000, np.int16)
    array[np.broadcast_to(((j - 28) / 26) ** 2 + ((i - 32) / 30) ** 2 <= 1, array.shape)] = 40
    return Volume(array, GRID, "1.2.3")


@pytest.fixture(scope="module")
def labels() -> LabelVolume:
    """A ball of a liver with a lesion and a straight vessel."""
    k, j, i = np.ogrid[:40, :56, :64]
    array = np.zeros(GRID.shape, np.uint8)
    array[(k - 20) ** 2 + (j - 28) ** 2 + (i - 24) ** 2 <= 15**2] = LIVER.value
    array[(k - 22) ** 2 + (j - 34) ** 2 + (i - 22) ** 2 <= 5**2] = TUMOR.value
    array[np.broadcast_to((j - 22) ** 2 + (i - 26) ** 2 <= 3**2, array.shape) & (abs(k - 20) < 9)] = VESSEL.value
    return LabelVolume(array, GRID, "1.2.3")


@pytest.fixture(scope="module")
def reconstruction(labels: LabelVolume) -> Any:
    return ls.reconstruct(labels)


def test_importing_the_package_loads_no_library() -> None:
    code = (
        "import sys, liver_seg_ros as ls; before = set(sys.modules); assert 'plan' in dir(ls); "
        "import liver_seg_ros.api; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) <= {"liver_seg_ros", "__main__"}


def test_what_is_offered_is_there_and_nothing_else() -> None:
    for name in ls.__all__:
        assert getattr(ls, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'sgement'"):
        ls.sgement  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.nrrd"])
def test_a_ct_comes_back(name: str, ct: Volume, tmp_path: Path) -> None:
    ls.write(tmp_path / name, ct)
    assert np.array_equal(ls.read(str(tmp_path / name)).array, ct.array)


def test_labels_come_back_on_the_grid_of_their_ct(ct: Volume, labels: LabelVolume, tmp_path: Path) -> None:
    ls.write(tmp_path / "labels.nii.gz", LabelVolume(labels.array[::-1, ::-1].copy(), GRID.flip(2).flip(1)))
    assert not np.array_equal(ls.read_labels(tmp_path / "labels.nii.gz").array, labels.array)
    assert np.array_equal(ls.read_labels(tmp_path / "labels.nii.gz", ct).array, labels.array)


def test_whose_numbers_they_are(labels: LabelVolume, tmp_path: Path) -> None:
    organ = LabelVolume((labels.array > 0).astype(np.uint8), GRID)
    ls.write(tmp_path / "a.nii.gz", organ)
    assert ls.read_labels(tmp_path / "a.nii.gz").counts()["liver"] > 0
    assert ls.read_labels(tmp_path / "a.nii.gz", tool="totalsegmentator").counts()["liver"] == 0  # 1 is the spleen


def test_measurements(labels: LabelVolume, tmp_path: Path) -> None:
    measured = {entry.structure: entry for entry in ls.measure(labels)}
    assert measured[TUMOR].volume_ml == pytest.approx((labels.array == TUMOR.value).sum() * 0.027)
    ls.write(tmp_path / "measured.csv", tuple(measured.values()))
    assert (tmp_path / "measured.csv").read_text().count("\n") == 1 + len(measured) + 1


def test_every_part_of_a_reconstruction_is_written(reconstruction: Any, tmp_path: Path) -> None:
    names = ("liver.glb", "cloud.ply", "tree.vtp")
    for name, what in zip(names, (reconstruction.meshes[0], reconstruction.cloud, reconstruction.tree), strict=True):
        ls.write(tmp_path / name, what)
        assert (tmp_path / name).stat().st_size > 100


def test_ways_lead_to_the_lesion(ct: Volume, labels: LabelVolume, reconstruction: Any) -> None:
    answers = ls.plan(labels, ct, reconstruction=reconstruction)
    assert answers.trajectories
    for way in answers.trajectories:
        assert way.trajectory.target_mm == pytest.approx(LESION_MM, abs=0.5)
    given = ls.plan(labels, entry_mm=(-100.0, 19.0, 7.0), target_mm=(-29.0, 19.0, 7.0), reconstruction=reconstruction)
    (way,) = given.trajectories
    assert way.length_mm == pytest.approx(71.0)
    ranked = ls.plan(labels, entries_mm=[[-100.0, 19.0, 7.0], [-100.0, 10.0, 7.0]], reconstruction=reconstruction)
    assert 1 <= len(ranked.trajectories) <= 2


def test_a_needle_begins_somewhere_and_ends_in_a_lesion(labels: LabelVolume) -> None:
    with pytest.raises(InputError, match="where does the needle begin"):
        ls.plan(labels)
    with pytest.raises(InputError, match="there is no lesion 9"):
        ls.plan(labels, entry_mm=(-100.0, 19.0, 7.0), lesion=9)


def results(value: Any, seen: set[int]) -> Iterator[Any]:
    """`value` and every result of this package that it holds."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in fields(value):
            yield from results(getattr(value, field.name), seen)
    elif isinstance(value, dict):
        for item in (*value, *value.values()):
            yield from results(item, seen)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from results(item, seen)


def test_every_result_is_one_short_line(ct: Volume, labels: LabelVolume, reconstruction: Any) -> None:
    anatomy = prepare_anatomy(labels, reconstruction, ct)
    plane = ((-10.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
    answers = ls.plan(labels, ct, ablation_mm=(25.0, 22.0), resection_plane=plane, reconstruction=reconstruction)
    phantom = generate_phantom(1, PhantomOptions(size=(32, 32, 24), spacing_mm=(10.0, 10.0, 10.0)))
    shown = {}
    for value in (ct, reconstruction, anatomy, answers, phantom, *ls.measure(labels)):
        for result in results(value, set()):
            text = repr(result)
            assert "\n" not in text and "array(" not in text and len(text) < 500, text
            shown[type(result).__name__] = text
    assert re.fullmatch(r"Volume\(32 x 32 x 24 voxels of 10 x 10 x 10 mm, LPS, uid phantom-1\)", shown["Volume"])
    assert shown["Mesh"].startswith("Mesh(") and "triangles" in shown["Mesh"]
    assert len(shown) > 20


def test_a_grid_in_words() -> None:
    assert repr(GRID) == "Geometry(64 x 56 x 40 voxels of 3 x 3 x 3 mm, LPS, first at -95, -83, -59 mm)"
    labels = LabelVolume(np.zeros(GRID.shape, np.uint8), GRID, "7")
    assert repr(labels) == "LabelVolume(64 x 56 x 40 voxels of 3 x 3 x 3 mm, LPS, uid 7)"


def test_the_liver_is_divided(labels: LabelVolume) -> None:
    (whole,) = ls.territories(labels).territories  # one vessel without a fork
    assert whole.volume_ml == pytest.approx((labels.array > 0).sum() * 0.027, rel=0.02)
    assert ls.territories(labels, stems=[whole.branch]).territories == (whole,)
    assert ls.territories(labels, stems=[]).territories == ()


def test_a_patient_is_registered() -> None:
    ct_mm = np.array([[-90.0, -60, -40], [70, 20, 30], [-40, 75, 10], [15, 50, 50]])
    measured_mm = ct_mm[:, [1, 0, 2]] * [-1, 1, 1] + [600, 0, 300]  # a quarter turn about z
    found = ls.register((measured_mm, ct_mm))
    assert found.transform.apply(measured_mm) == pytest.approx(ct_mm)
    ball = ls.reconstruct(LabelVolume(np.array(_ball(), np.uint8), GRID)).meshes[0]
    on_it = found.transform.inverse().apply(np.add(ball.vertices_mm[::20], [1.5, 0, 0]))
    refined = ls.register(None, on_it, ball, found.transform.matrix)
    assert refined.surface is not None and refined.surface.moved_mm == pytest.approx(1.5, abs=0.3)


def _ball() -> np.ndarray:
    k, j, i = np.ogrid[:40, :56, :64]
    return (k - 20) ** 2 + (j - 28) ** 2 + (i - 24) ** 2 <= 15**2
