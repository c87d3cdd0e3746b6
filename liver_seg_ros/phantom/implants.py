# SPDX-License-Identifier: Apache-2.0
"""Lesions and vessels painted into a real CT, where the liver is known and nothing else: cases with known truth.

After label-free training of tumor segmentation (Hu et al. 2023, "Label-free liver tumor segmentation"): synthetic
tumors in real, healthy livers teach a network nearly as much as drawn ones. What is painted takes the CT's own noise
and sharpness (`scan_texture.py`), lies inside the mask and nowhere else, and follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.special import ndtr

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import BACKGROUND
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.phantom.demanding_tumors import draw_demanding_tumors
from liver_seg_ros.phantom.fields import Field
from liver_seg_ros.phantom.hypodense_tumors import draw_hypodense_tumors
from liver_seg_ros.phantom.insets import cysts, tumor_insets, vein_inset
from liver_seg_ros.phantom.painting import Grid, Inset
from liver_seg_ros.phantom.scan_texture import ScanTexture, measure_texture
from liver_seg_ros.phantom.tissue import PHASES, Phase
from liver_seg_ros.phantom.tumors import Tumor, draw_tumors
from liver_seg_ros.phantom.variation import BEYOND_PLAUSIBLE, VARIATIONS, VEIN_CONTRAST_HU, WITH_CYSTS, Variation
from liver_seg_ros.phantom.varied_tumors import draw_varied_tumors
from liver_seg_ros.phantom.vessel_contrast import faded_vein_insets
from liver_seg_ros.phantom.vessel_graph import VesselGraph
from liver_seg_ros.phantom.vessel_growth import Obstacles, grow_tree, spread_targets
from liver_seg_ros.volume import LabelVolume, Volume

_MARGIN_MM = 12.0
_ROOT_MM = (2.5, 5.0)  # radius
_EXPONENT = 2.85  # of Murray's law
_LEAST_LIVER_ML = 20.0


@dataclass(frozen=True)
class ImplantOptions:
    """What is painted into a CT.

    Attributes:
        tumor_count: tumors asked for; None draws 1 to 6. One that finds no room is left out.
        trees: trees of vessels.
        phase: the CT's contrast phase: it decides how bright vessels and tumors are.
        variation: of tumors and contrast, as in `PhantomOptions`; "varied_cysts" and "varied_hypodense" paint
            cysts beneath them too.

    Raises:
        InputError: an option outside its range.
    """

    tumor_count: int | None = None
    trees: int = 1
    phase: Phase = "portal_venous"
    variation: Variation = "plain"

    def __post_init__(self) -> None:
        if self.tumor_count is not None and not 0 <= self.tumor_count <= 50:
            raise InputError(f"tumor count {self.tumor_count}: give 0 to 50")
        if not 0 <= self.trees <= 4:
            raise InputError(f"{self.trees} trees of vessels: give 0 to 4")
        if self.phase not in PHASES:
            raise InputError(f"phase '{self.phase}': choose one of {', '.join(PHASES)}")
        if self.variation not in VARIATIONS:
            raise InputError(f"variation '{self.variation}': choose one of {', '.join(VARIATIONS)}")


@dataclass(frozen=True, eq=False)
class Implanted:
    """A real CT with what was painted into it.

    Attributes:
        ct: on the grid of the CT given; every voxel outside of the mask is as it was.
        labels: those given, with tumor and vessel where they were painted.
        texture: what was measured of the CT.
        trees: the vessels' graphs, and `tumors`, in mm along the axes of `frame`.
        frame: `(3, 3)`, columns are the frame's axes in LPS; the identity where the CT lies along them.
        seed: with CT, labels and options, what makes this case again.
    """

    ct: Volume
    labels: LabelVolume
    texture: ScanTexture
    trees: tuple[VesselGraph, ...]
    tumors: tuple[Tumor, ...]
    frame: NDArray[np.float64]
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """The truth behind the voxels as plain values, for JSON."""
        return {
            "seed": self.seed,
            "frame": np.round(self.frame.T, 9).tolist(),
            "unit": "mm",
            "measured": {
                "liver_hu": round(self.texture.liver_hu, 1),
                "noise_hu": round(self.texture.noise_hu, 2),
                "grain_voxels": [round(g, 2) for g in self.texture.grain_voxels],
                "edge_mm": round(self.texture.edge_mm, 2),
            },
            "trees": [tree.to_dict() for tree in self.trees],
            "tumors": [tumor.to_dict() for tumor in self.tumors],
        }


def implant(ct: Volume, labels: LabelVolume, seed: int, options: ImplantOptions | None = None) -> Implanted:
    """Paint tumors and vessels into the liver of `ct`: the same seed and options, the same voxels.

    Vessels and lesions that the CT itself has stay, but for what is painted over them; they are labelled where `labels`
    has them, else they are liver.

    Args:
        ct: of a patient.
        labels: on its grid; whatever is not background is the organ.
        seed: of all that is drawn.
        options: what is drawn.

    Raises:
        InputError: labels of another grid, or less than 20 ml of liver.
    """
    options = options or ImplantOptions()
    if not ct.geometry.is_same_grid(labels.geometry):
        raise InputError(f"a CT of {ct.geometry} and labels of {labels.geometry}: give both on one grid")
    organ = Box.around(labels.array)
    if organ is None or np.count_nonzero(labels.array) * ct.geometry.voxel_volume_ml < _LEAST_LIVER_ML:
        raise InputError(f"the labels have less than {_LEAST_LIVER_ML:g} ml of liver: nothing has room in it")
    i, j, k = (round(_MARGIN_MM / s) for s in ct.geometry.spacing_mm)
    box = organ.padded((i, j, k), ct.geometry.size)
    axes = to_canonical(ct.geometry)
    part = axes.apply_to_geometry(ct.geometry.crop(box))
    frame = part.direction_matrix
    origin = frame.T @ np.array(part.origin_mm)
    own = Geometry(part.size, part.spacing_mm, (float(origin[0]), float(origin[1]), float(origin[2])))
    new_hu, new_labels = ct.array.copy(), labels.array.copy()
    hu, values = axes.apply(new_hu[box.slices]), axes.apply(new_labels[box.slices])  # views of both
    site = _Site(hu.copy(), values != BACKGROUND, own)

    rng = np.random.default_rng((seed, 3))
    trees = tuple(site.grow(rng) for _ in range(options.trees))
    tumors = site.draw(options, trees, rng)
    liver_hu = site.texture.liver_hu
    vessel_hu = [liver_hu + float(rng.uniform(*VEIN_CONTRAST_HU[options.phase])) for _ in trees]
    own_rng = np.random.default_rng((seed, 6))
    for cyst in cysts(site.grid, site.inside, own_rng) if options.variation in WITH_CYSTS else ():
        site.paint(cyst, hu, values, own_rng)
    insets = [
        inset
        for tree, blood in zip(trees, vessel_hu, strict=True)
        for inset in (
            faded_vein_insets(site.grid, tree, liver_hu, blood, rng)
            if options.variation == "varied_vessels"
            else vein_inset(site.grid, tree, blood)
        )
    ]
    for inset in (*insets, *tumor_insets(site.grid, tumors, liver_hu)):
        site.paint(inset, hu, values, rng)
    return Implanted(
        ct=Volume(new_hu, ct.geometry, ct.uid),
        labels=LabelVolume(new_labels, ct.geometry, labels.uid),
        texture=site.texture,
        trees=trees,
        tumors=tumors,
        frame=frame,
        seed=seed,
    )


class _Site:
    """A liver, with its axes in canonical order, and what is known of it."""

    def __init__(self, hu: NDArray[np.int16], organ: NDArray[np.bool_], own: Geometry) -> None:
        self.organ, self.own, self.grid = organ, own, Grid.of(own)
        spacing = own.spacing_mm[::-1]
        # From voxel centers to the surface between them, half a voxel away.
        inside, outside = (edt.edt(np.ascontiguousarray(m), anisotropy=spacing, parallel=1) for m in (organ, ~organ))
        self.depth_mm = np.where(organ, inside - min(spacing) / 2, min(spacing) / 2 - outside).astype(np.float32)
        self.texture = measure_texture(hu, self.depth_mm, own.spacing_mm)
        k, j, i = np.nonzero(organ & (self.depth_mm > 1))
        some = np.random.default_rng(0).permutation(k.size)[:20000]
        index = np.stack([i, j, k], axis=1)[some]
        self.inside = np.array(own.origin_mm) + index * np.array(own.spacing_mm)  # (N, 3) mm
        self.inside_depth = self.depth_mm[k[some], j[some], i[some]].astype(np.float64)

    def grow(self, rng: np.random.Generator) -> VesselGraph:
        """A tree of vessels that begins somewhere near the surface and reaches all of the liver."""
        radius = float(rng.uniform(*_ROOT_MM))
        near = np.flatnonzero((self.inside_depth > radius) & (self.inside_depth < radius + 8))
        root = self.inside[rng.choice(near)] if near.size else self.inside[int(np.argmax(self.inside_depth))]
        targets = spread_targets(self.inside, int(radius**_EXPONENT), rng)
        middle = self.inside.mean(axis=0)
        ahead = root + (middle - root) * min(1.0, 14 / max(float(np.linalg.norm(middle - root)), 1e-6))
        stem = self.inside[np.argmin(np.linalg.norm(self.inside - ahead, axis=1))]
        return grow_tree(root, stem, radius, targets, self._outside_by, Obstacles([]), _EXPONENT, rng)

    def draw(
        self, options: ImplantOptions, trees: tuple[VesselGraph, ...], rng: np.random.Generator
    ) -> tuple[Tumor, ...]:
        """Tumors of the kind asked for."""
        count = int(rng.integers(1, 7)) if options.tumor_count is None else options.tumor_count
        if options.variation == "varied_hypodense":
            return draw_hypodense_tumors(count, self.inside, self.inside_depth, options.phase, rng)
        if options.variation in BEYOND_PLAUSIBLE:
            return draw_varied_tumors(count, self.inside, self.inside_depth, options.phase, rng)
        if options.variation == "varied_tumors":
            return draw_demanding_tumors(count, self.inside, self.inside_depth, options.phase, rng)
        clearance = np.minimum(Obstacles(list(trees)).clearance(self.inside), 1e3)
        return draw_tumors(count, self.inside, self.inside_depth, clearance, options.phase, rng)

    def paint(self, inset: Inset, hu: NDArray[np.int16], values: NDArray[np.uint8], rng: np.random.Generator) -> None:
        """Put `inset` into `hu` and `values`, inside the organ only.

        In the depth of the liver it takes the place of what is there. Near the surface the voxels are partly of what
        lies outside, so there the difference from liver to tumor is added, as far as the voxel is liver.
        """
        thin = self.grid.per_slice
        first, last = inset.box.start[2] // thin, -(-inset.box.stop[2] // thin)
        (i0, j0, _), (i1, j1, _) = inset.box.start, inset.box.stop
        where = (slice(first, last), slice(j0, j1), slice(i0, i1))
        before, after = inset.box.start[2] - first * thin, last * thin - inset.box.stop[2]
        around = ((before, after), (0, 0), (0, 0))
        distance = np.pad(inset.distance, around, mode="edge")
        texture = None if inset.texture is None else np.pad(inset.texture, around, mode="edge")
        organ, depth = self.organ[where], self.depth_mm[where]
        edge = self.texture.edge_mm
        is_liver = np.where(organ, ndtr(depth / edge), 0).astype(np.float32)
        cover = self._blurred(self._filled(distance)) * is_liver
        target = np.full(cover.shape, inset.hu[0][1], np.float32)
        for below, layer_hu in inset.hu[1:]:
            target += self._blurred(self._filled(distance - np.float32(below))) * (np.float32(layer_hu) - target)
        if texture is not None:
            target += self._blurred(self._means(texture))
        image = hu[where].astype(np.float32)
        deep = np.clip((depth - 2 * edge) / 2, 0, 1)
        replaced = deep * image + (1 - deep) * np.float32(self.texture.liver_hu)
        gone = deep * cover  # share of the CT's own noise that goes with what is replaced
        noise = self.texture.noise(cover.shape, rng) * np.sqrt(1 - (1 - gone) ** 2)
        painted = np.rint(image + cover * (target - replaced) + noise)
        some = organ & (cover > 0.001)
        hu[where][some] = np.clip(painted[some], -1024, 3071).astype(np.int16)
        middle = distance[thin // 2 :: thin]
        values[where][organ & (middle < 0)] = inset.label

    def _filled(self, distance: Field) -> Field:
        """Share of each voxel, `(K, J, I)`, that a shape fills; `distance` is that of the thin slices."""
        width = np.float32(self.own.spacing_mm[0])
        return self._means(np.clip(0.5 - distance / width, 0, 1))

    def _means(self, thin: Field) -> Field:
        """Thin slices to whole ones."""
        return np.asarray(thin.reshape(-1, self.grid.per_slice, *thin.shape[1:]).mean(axis=1), np.float32)

    def _blurred(self, image: Field) -> Field:
        in_plane = [self.texture.edge_mm / s for s in self.own.spacing_mm[1::-1]]
        return np.asarray(gaussian_filter(image, (0.0, *in_plane), truncate=3.0), np.float32)

    def _outside_by(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signed distance to the liver's surface at points in mm, negative inside."""
        index = ((points - np.array(self.own.origin_mm)) / np.array(self.own.spacing_mm))[:, ::-1].T
        return -np.asarray(map_coordinates(self.depth_mm, index, order=1, mode="nearest"), dtype=np.float64)
