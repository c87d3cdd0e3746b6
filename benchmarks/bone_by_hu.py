# SPDX-License-Identifier: Apache-2.0
"""What `plan` finds of bone by HU, against the truth: phantoms, and one real patient (3D-IRCADb-01, patient 17).

    .venv/bin/python benchmarks/bone_by_hu.py
    .venv/bin/python benchmarks/bone_by_hu.py --cases 2 --patient ../shared/data/ircadb01_17/original_dicom.tar.gz

Prints Markdown. Needles run from the skin, where it faces them, to places in the liver, at most 150 mm. Of those whose
axis goes more than 1 mm deep through true bone: how many are open all the same, because nothing was found where they
pass. Of those that keep 2.5 mm more than their limit from all bone: how many are closed. A voxel of bone is found
where the surface is no further away than a needle's axis keeps. False is what was found more than 3 mm from all bone.

Of a phantom, bone are ribs, spine and pelvis with their marrow; it is synthetic. Of the patient, whose mask of bone
holds the cartilage of the ribs and the disks too, `hard` is where the mean HU within 2 mm is above 170. The archive is
unpacked into a temporary folder; nothing that is made from it is kept.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import tempfile
from pathlib import Path

import edt
import numpy as np
from _machine import machine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.geometry import MM3_PER_ML, Geometry
from liver_seg_ros.labels import BONE, LIVER, LIVER_VESSELS, TUMOR
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.planning.body import find_body
from liver_seg_ros.planning.clearance import distance_field
from liver_seg_ros.planning.limits import LEAST_CLEARANCE_MM
from liver_seg_ros.planning.obstacles_by_hu import find_by_hu
from liver_seg_ros.planning.skin import find_skin
from liver_seg_ros.planning.trajectory_values import NEEDLE_RADIUS_MM
from liver_seg_ros.volume import LabelVolume, Volume

ARCHIVE = Path(__file__).resolve().parents[2] / "shared" / "data" / "ircadb01_17" / "original_dicom.tar.gz"
FIRST_SEED, PHASES = 9200, ("none", "arterial", "portal_venous")
KEPT_MM = NEEDLE_RADIUS_MM + LEAST_CLEARANCE_MM[BONE]
THROUGH_MM, CLEAR_MM, FALSE_MM = 1.0, KEPT_MM + 2.5, 3.0
HARD_HU = 170.0
TARGETS, STEPS, LONGEST_MM = 20, 300, 150.0
COLUMNS = ("case", "phase", "bone found", "false ml", "through bone", "of them open", "clear of it", "of them closed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=6, help="number of phantoms (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="%(default)s")
    parser.add_argument("--size", default="192,192,120", help="voxels I,J,K of a phantom (%(default)s)")
    parser.add_argument("--spacing-mm", default="2.0,2.0,2.5", help="mm I,J,K of a phantom (%(default)s)")
    parser.add_argument("--patient", type=Path, default=ARCHIVE, help="the archive; left out where it is missing")
    options = parser.parse_args()
    i, j, k = (int(n) for n in options.size.split(","))
    x, y, z = (float(s) for s in options.spacing_mm.split(","))
    rows = []
    for seed in range(options.first_seed, options.first_seed + options.cases):
        phase = PHASES[seed % len(PHASES)]
        phantom = generate_phantom(seed, PhantomOptions((i, j, k), (x, y, z), phase))
        g = phantom.ct.geometry
        axes = [o + s * np.arange(n) for o, s, n in zip(g.origin_mm, g.spacing_mm, g.size, strict=True)]
        bone = phantom.bone.distance(*axes) < 0
        rows.append(_row(f"phantom {seed}", phase, phantom.ct, phantom.labels, bone))
    if options.patient.is_file():
        rows += _patient(options.patient)
    heading = f"| {' | '.join(COLUMNS)} |\n| --- | --- {'| ---: ' * (len(COLUMNS) - 2)}|\n"
    sys.stdout.write(f"Phantoms of {options.size} voxels of {options.spacing_mm} mm, synthetic. {machine()}.\n\n")
    sys.stdout.write(heading + "".join(rows))


def _patient(archive: Path) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="bone_by_hu_") as scratch:
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
        ct = read_volume(Path(scratch) / "PATIENT_DICOM")
        found = read_label_source(Path(scratch)).labels
    liver = [structure.value for structure in (LIVER, TUMOR, *LIVER_VESSELS)]
    labels = LabelVolume(np.where(np.isin(found.array, liver), found.array, np.uint8(0)), found.geometry)
    bone = found.mask(BONE.value)
    mean = gaussian_filter(ct.array.astype(np.float32), [2 / mm for mm in ct.geometry.spacing_mm[::-1]])
    return [
        _row("3D-IRCADb-01 17", "portal-venous by HU", ct, labels, bone),
        _row("3D-IRCADb-01 17, hard", "portal-venous by HU", ct, labels, bone & (mean > HARD_HU), bone),
    ]


def _row(
    name: str,
    phase: str,
    ct: Volume,
    labels: LabelVolume,
    bone: NDArray[np.bool_],
    whole: NDArray[np.bool_] | None = None,
) -> str:
    """`whole` is all that is bone, where `bone` is a part of it."""
    geometry, spacing_mm = ct.geometry, ct.geometry.spacing_mm[::-1]
    body = find_body(ct)
    field = distance_field(next(m for m in find_by_hu(ct, labels, body).meshes if m.structure == BONE))
    skin = find_skin(ct, body=body)
    rng = np.random.default_rng(0)
    inside = np.argwhere(labels.array > 0)[:, ::-1]
    targets = geometry.index_to_lps(inside[rng.choice(len(inside), TARGETS)])
    pairs = [(entry, target) for target in targets for entry in skin.entries_to(target)]
    entries, ends = (np.array(points) for points in zip(*pairs, strict=True))
    short = np.linalg.norm(entries - ends, axis=1) <= LONGEST_MM
    entries, ends = entries[short], ends[short]

    depth_mm = edt.edt(bone, anisotropy=spacing_mm)
    away_mm = edt.edt(~(bone if whole is None else whole), anisotropy=spacing_mm)
    through = np.max([_at(depth_mm, geometry, p) for p in _along(entries, ends)], axis=0) > THROUGH_MM
    clear = np.min([_at(away_mm, geometry, p) for p in _along(entries, ends)], axis=0) > CLEAR_MM
    is_open = field.along(entries, ends, NEEDLE_RADIUS_MM).clearance_mm >= LEAST_CLEARANCE_MM[BONE]

    voxels = np.argwhere(bone)[:: 1 + np.count_nonzero(bone) // 50_000, ::-1]
    found = field.distance(geometry.index_to_lps(voxels)) <= KEPT_MM
    every = tuple(max(1, round(2 / mm)) for mm in spacing_mm)
    grid = tuple(slice(None, None, n) for n in every)
    far = np.argwhere((away_mm > FALSE_MM)[grid] & (ct.array[grid] > -200))[:, ::-1] * every[::-1]
    false = (field.distance(geometry.index_to_lps(far)) < 0).sum() * geometry.voxel_volume_mm3 * np.prod(every)
    cells = (
        name, phase, f"{100 * found.mean():.1f} %", f"{false / MM3_PER_ML:.0f}",
        f"{through.sum()}", f"{(through & is_open).sum()}", f"{clear.sum()}", f"{(clear & ~is_open).sum()}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _along(entries: NDArray[np.float64], ends: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [entries + share * (ends - entries) for share in np.linspace(0, 1, STEPS)]


def _at(values: NDArray[np.float32], geometry: Geometry, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(N,)` between voxels."""
    index = geometry.lps_to_index(points_mm)[:, ::-1].T
    return np.asarray(map_coordinates(values, index, order=1, mode="nearest", output=np.float64))


if __name__ == "__main__":
    main()
