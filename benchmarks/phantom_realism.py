# SPDX-License-Identifier: Apache-2.0
"""Where phantoms differ from patients, in numbers: grey values, noise, edges, outline, vessels, lesions, surroundings.

    .venv/bin/python benchmarks/phantom_realism.py                          four plain and four varied phantoms
    .venv/bin/python benchmarks/phantom_realism.py --case CT LABELS ...     and real CTs beside them

A case is a CT and its labels, in any form that the command line takes (a folder of 3D-IRCADb or TotalSegmentator
included); of labels without vessels or tumors the rows about them stay empty. Prints Markdown: of each kind of phantom
the mean, and in brackets the least and the largest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cc3d
import edt
import numpy as np
from _machine import machine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from liver_seg_ros.evaluation.skeleton import centerline
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import BILE_DUCT, LIVER_VESSELS, TUMOR, VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.phantom.variation import VARIATIONS

FIRST_SEED = 13_000
SCAN = {"size": (380, 330, 150), "spacing_mm": (0.8, 0.8, 1.6), "phase": "portal_venous", "center_mm": (0.0, 0.0, 0.0)}
MARGIN_MM = 12.0
ROI = 24  # voxels in plane, of the noise's spectrum

Measure = Callable[["Case"], float]


class Case:
    """A CT around its liver, and what the measures have in common."""

    def __init__(
        self, hu: NDArray[np.int16], labels: NDArray[np.uint8], organ: NDArray[np.bool_], geometry: Geometry
    ) -> None:
        around = Box.around(organ)
        assert around is not None
        i, j, k = (round(MARGIN_MM / s) for s in geometry.spacing_mm)
        box = around.padded((i, j, k), geometry.size)
        self.spacing = geometry.spacing_mm[::-1]
        self.voxel_ml = geometry.voxel_volume_ml
        self.hu, labels, self.organ = (np.ascontiguousarray(a[box.slices]) for a in (hu, labels, organ))
        self.vessel = (labels == VESSEL.value) & self.organ
        self.tumor = labels == TUMOR.value
        self.inside_mm = edt.edt(self.organ, anisotropy=self.spacing)  # depth under the surface
        self.outside_mm = edt.edt(~self.organ, anisotropy=self.spacing)
        clear = edt.edt(~(self.vessel | self.tumor), anisotropy=self.spacing) > 2
        self.parenchyma = self.organ & (self.inside_mm > 5) & clear
        self.liver_hu = float(np.median(self.hu[self.parenchyma]))
        line = centerline(self.vessel) if self.vessel.any() else self.vessel
        self.vessel_mm = 2 * edt.edt(self.vessel, anisotropy=self.spacing)[line]
        parts, count = cc3d.connected_components(self.tumor, connectivity=26, return_N=True)
        self.lesions = [parts == n for n in range(1, count + 1)]

    def fine_noise(self) -> NDArray[np.float32]:
        """HU less its mean over 7x7 pixels in plane."""
        hu = self.hu.astype(np.float32)
        return hu - uniform_filter(hu, (1, 7, 7))


def noise_frequency(case: Case) -> float:
    """Mean in-plane frequency of the noise's power, 1/mm: small for coarse grain, large for sharp kernels."""
    power, frequency = np.zeros((ROI, ROI)), np.fft.fftfreq(ROI, case.spacing[1])
    radial = np.hypot(*np.meshgrid(frequency, frequency))
    for plane, inside in zip(case.hu, case.parenchyma, strict=True):
        for j in range(0, plane.shape[0] - ROI, ROI):
            for i in range(0, plane.shape[1] - ROI, ROI):
                if inside[j : j + ROI, i : i + ROI].mean() > 0.8:
                    patch = plane[j : j + ROI, i : i + ROI].astype(float)
                    power += np.abs(np.fft.fft2(patch - patch.mean())) ** 2
    return float((power * radial).sum() / power.sum()) if power.sum() else np.nan


def edge_width(case: Case) -> float:
    """mm in which the HU goes from 10 to 90 % of the step from liver to fat or lung."""
    depth = np.where(case.organ, case.inside_mm, -case.outside_mm)
    # Only where the step is one: the nearest outside is fat or lung on its own within some millimetres.
    smooth = gaussian_filter(case.hu.astype(np.float32), [3 / s for s in case.spacing])
    place = (np.abs(depth) < 6) & (smooth < case.liver_hu - 50)
    bins = np.arange(-5, 5.1, 0.5)
    index = np.digitize(depth[place], bins)
    hu = case.hu[place]
    profile = np.array([np.median(hu[index == n]) if (index == n).sum() > 50 else np.nan for n in range(1, bins.size)])
    known = np.isfinite(profile)
    centers, profile = (bins[:-1] + 0.25)[known], np.maximum.accumulate(profile[known])
    low, high = profile[0], profile[-1]
    ten, ninety = (np.interp(low + share * (high - low), profile, centers) for share in (0.1, 0.9))
    return float(ninety - ten)


def compactness(case: Case) -> float:
    """Surface over that of a ball of the same volume: 1 for a ball, more for lobes, fissures and thin tips."""
    shell = np.count_nonzero(case.organ & (case.inside_mm <= 3)) * case.voxel_ml * 1000 / 3
    volume = np.count_nonzero(case.organ) * case.voxel_ml * 1000
    return float(shell / (np.pi ** (1 / 3) * (6 * volume) ** (2 / 3)))


def around(case: Case, quantile: float) -> float:
    """HU of what lies 2 to 10 mm outside the liver."""
    return float(np.quantile(case.hu[(case.outside_mm > 2) & (case.outside_mm < 10)], quantile))


def lesion_hu(case: Case, of: Callable[[NDArray[np.float64]], float]) -> float:
    """Mean over the lesions of 10 mm and more."""
    large = [case.hu[m].astype(float) for m in case.lesions if m.sum() * case.voxel_ml > 0.52]
    return float(np.mean([of(hu) for hu in large])) if large else np.nan


def lesion_mm(case: Case) -> float:
    """Diameter of the ball as large as the largest lesion."""
    return max(
        (2 * (3 * m.sum() * case.voxel_ml * 1000 / (4 * np.pi)) ** (1 / 3) for m in case.lesions), default=np.nan
    )


MEASURES: dict[str, Measure] = {
    "liver, ml": lambda c: np.count_nonzero(c.organ) * c.voxel_ml,
    "liver, median HU": lambda c: c.liver_hu,
    "liver, standard deviation of HU": lambda c: float(c.hu[c.parenchyma].std()),
    "noise finer than 7 pixels, HU": lambda c: float(c.fine_noise()[c.parenchyma].std()),
    "texture left after 3 mm of smoothing, HU": lambda c: float(
        gaussian_filter(c.hu.astype(np.float32), [3 / s for s in c.spacing])[c.parenchyma].std()
    ),
    "noise, mean frequency in plane, 1/mm": noise_frequency,
    "edge from liver to fat or lung, mm": edge_width,
    "surface over a ball's": compactness,
    "within 10 mm outside, HU at 10 %": lambda c: around(c, 0.1),
    "within 10 mm outside, HU at 50 %": lambda c: around(c, 0.5),
    "within 10 mm outside, HU at 90 %": lambda c: around(c, 0.9),
    "vessels, share of the liver, %": lambda c: (
        100 * float(c.vessel.sum() / c.organ.sum()) if c.vessel.any() else np.nan
    ),
    "vessels, HU over the liver's": lambda c: (
        float(np.median(c.hu[c.vessel])) - c.liver_hu if c.vessel.any() else np.nan
    ),
    "vessels, median width, mm": lambda c: float(np.median(c.vessel_mm)) if c.vessel_mm.size else np.nan,
    "vessels, width at 95 %, mm": lambda c: float(np.quantile(c.vessel_mm, 0.95)) if c.vessel_mm.size else np.nan,
    "vessels, largest width, mm": lambda c: float(c.vessel_mm.max()) if c.vessel_mm.size else np.nan,
    "lesions": lambda c: float(len(c.lesions)) if c.lesions else np.nan,
    "largest lesion, mm": lesion_mm,
    "lesions from 10 mm, HU over the liver's": lambda c: lesion_hu(c, lambda hu: float(np.median(hu))) - c.liver_hu,
    "lesions from 10 mm, standard deviation of HU": lambda c: lesion_hu(c, lambda hu: float(hu.std())),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs=2, action="append", type=Path, default=[], metavar=("CT", "LABELS"))
    parser.add_argument("--phantoms", type=int, default=4, help="of each kind (%(default)s)")
    options = parser.parse_args()
    columns: dict[str, list[list[float]]] = {}
    for ct, labels in options.case:
        volume = read_volume(ct)
        found = read_label_source(labels, grid=volume.geometry)
        array = found.labels.array.copy()
        array[np.isin(array, [vessel.value for vessel in LIVER_VESSELS if vessel != BILE_DUCT])] = VESSEL.value
        organ = array > 0 if found.organ is None else found.organ
        columns[ct.parent.name] = [_measured(Case(volume.array, array, organ, volume.geometry))]
    for variation in VARIATIONS:
        scan = PhantomOptions(**SCAN, variation=variation)  # type: ignore[arg-type]
        phantoms = (generate_phantom(FIRST_SEED + n, scan) for n in range(options.phantoms))
        columns[f"{variation} phantoms"] = [
            _measured(Case(p.ct.array, p.labels.array, p.labels.array > 0, p.ct.geometry)) for p in phantoms
        ]
    sys.stdout.write(
        f"Portal-venous phantoms from seed {FIRST_SEED} on, {options.phantoms} of each kind; {machine()}.\n\n"
    )
    sys.stdout.write(f"|  | {' | '.join(columns)} |\n| --- {'| ---: ' * len(columns)}|\n")
    for row, name in enumerate(MEASURES):
        cells = [_cell([values[row] for values in column]) for column in columns.values()]
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")


def _measured(case: Case) -> list[float]:
    return [measure(case) for measure in MEASURES.values()]


def _cell(values: list[float]) -> str:
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return ""
    digits = 0 if abs(np.mean(known)) >= 20 else 2
    text = f"{np.mean(known):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(known):.{digits}f} to {max(known):.{digits}f})"


if __name__ == "__main__":
    main()
