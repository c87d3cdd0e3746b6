# SPDX-License-Identifier: Apache-2.0
"""One seed, one patient: draws a body, grows its vessels and tumors, and scans it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BACKGROUND
from liver_seg_ros.phantom.demanding_tumors import draw_demanding_tumors
from liver_seg_ros.phantom.fields import Field, Points, smooth_noise
from liver_seg_ros.phantom.hypodense_tumors import draw_hypodense_tumors
from liver_seg_ros.phantom.insets import cysts, imitators, tumor_insets, vein_inset
from liver_seg_ros.phantom.lattice import Lattice, LatticeShape
from liver_seg_ros.phantom.organs import CAVAL_CONFLUENCE, HILUM, LIVER_CENTER, Organs, build_organs
from liver_seg_ros.phantom.painting import Grid, Scene, Shape, render, render_surroundings
from liver_seg_ros.phantom.phantom_options import PhantomOptions
from liver_seg_ros.phantom.scanner import scanned
from liver_seg_ros.phantom.surroundings import value_of, with_duodenum
from liver_seg_ros.phantom.tissue import PHASES, TISSUES, Phase, hu_of
from liver_seg_ros.phantom.trunk import Build, build_trunk
from liver_seg_ros.phantom.tumors import Tumor, draw_tumors
from liver_seg_ros.phantom.variation import BEYOND_PLAUSIBLE, NOISE_HU, VEINS, WITH_CYSTS, Veins, vary_hu, vary_texture
from liver_seg_ros.phantom.varied_anatomy import vary_liver, vary_surroundings
from liver_seg_ros.phantom.varied_heart import muscle_hu, with_heart
from liver_seg_ros.phantom.varied_tumors import draw_varied_tumors
from liver_seg_ros.phantom.vessel_contrast import faded_vein_insets
from liver_seg_ros.phantom.vessel_graph import VesselGraph
from liver_seg_ros.phantom.vessel_growth import Obstacles, grow_tree, join_graphs, spread_targets
from liver_seg_ros.progress import Progress, no_progress
from liver_seg_ros.volume import LabelVolume, Volume


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic CT and everything that is true of it. Synthetic: no patient looks like this in every respect.

    Attributes:
        ct: HU.
        labels: liver, tumor and vessel (portal and hepatic veins inside the liver), exact at voxel centers.
        liver: the organ's shape, exact between voxels too.
        bone: ribs, spine and pelvis with their marrow, likewise.
        portal, hepatic: the venous trees as graphs in LPS mm; they begin just outside the liver.
        tumors: what was drawn; the liver's surface may cut one.
        phase: contrast phase.
        seed: with the options, what makes this phantom again.
        surroundings: `labels` and, where these say nothing, the organs of `labels.SURROUNDINGS`; None where the
            options do not ask for it.
    """

    ct: Volume
    labels: LabelVolume
    liver: LatticeShape
    bone: LatticeShape
    portal: VesselGraph
    hepatic: VesselGraph
    tumors: tuple[Tumor, ...]
    phase: Phase
    seed: int
    surroundings: LabelVolume | None = None

    def __repr__(self) -> str:
        return f"Phantom(seed {self.seed}, {self.phase}, {len(self.tumors)} tumors; {self.ct.geometry.in_words})"


def generate_phantom(seed: int, options: PhantomOptions | None = None, progress: Progress = no_progress) -> Phantom:
    """The phantom of `seed`: the same seed and options give the same voxels.

    Raises:
        InputError: an option outside its range (when the options are made).
    """
    options = options or PhantomOptions()
    rng = np.random.default_rng(seed)
    phase: Phase = options.phase or PHASES[int(rng.choice(3, p=[0.25, 0.15, 0.6]))]
    build = Build.draw(rng)
    geometry, grid_center = _place(options, build, rng)
    grid = Grid.of(geometry)

    progress("anatomy", 0.0)
    lattice = Lattice.over(geometry, grid_center, options.tilt_deg, rng)
    points = lattice.patient.scaled(*build.scale)
    noise = [smooth_noise(rng, points.x.shape, lattice.step_mm, 32.0) for _ in range(4)]
    trunk = build_trunk(points, build, noise[3], rng)
    organs = build_organs(points, build, trunk, noise[:3], rng)
    if options.surroundings:
        organs = with_duodenum(organs, trunk, points, build, lattice.step_mm, np.random.default_rng((seed, 3)))
    varied = np.random.default_rng((seed, 1)) if options.variation in BEYOND_PLAUSIBLE else None
    heart = np.random.default_rng((seed, 4))
    if varied is not None:
        organs = Organs(vary_liver(organs, trunk, points, build, lattice.step_mm, varied), organs.shapes)

    progress("vessels", 0.0)
    inside, depth = lattice.points_in(organs.liver)
    if len(inside) < 100:
        raise InputError(f"phantom {seed}: the grid holds no liver; give a larger field of view or another center_mm")
    hilum = lattice.find(np.array(HILUM) * build.scale)
    confluence = lattice.find(np.array(CAVAL_CONFLUENCE) * build.scale)
    portal, hepatic = _grow_veins(lattice, organs.liver, inside, hilum, confluence, VEINS[options.variation], rng)
    progress("tumors", 0.0)
    count = int(rng.integers(1, 7)) if options.tumor_count is None else options.tumor_count
    some = rng.permutation(len(inside))[:20000]
    if options.variation == "varied_tumors":
        tumors = draw_demanding_tumors(count, inside[some], depth[some], phase, np.random.default_rng((seed, 2)))
        liver = _bulged(organs.liver, tumors, lattice, np.maximum(trunk.cavity + 1, trunk.below_diaphragm + 3))
        shapes = [*trunk.shapes, *organs.shapes]
    elif varied is None:
        clearance = Obstacles([portal, hepatic]).clearance(inside[some])
        tumors = draw_tumors(count, inside[some], depth[some], clearance, phase, rng)
        liver, shapes = organs.liver, [*trunk.shapes, *organs.shapes]
    else:
        if options.variation == "varied_hypodense":
            own = np.random.default_rng((seed, 7))
            tumors = draw_hypodense_tumors(count, inside[some], depth[some], phase, own)
        else:
            tumors = draw_varied_tumors(count, inside[some], depth[some], phase, varied)
        liver = _bulged(organs.liver, tumors, lattice, np.maximum(trunk.cavity + 1, trunk.below_diaphragm + 3))
        trunk = replace(trunk, shapes=with_heart(trunk, points, build, lattice.step_mm, heart))
        shapes = vary_surroundings(organs, trunk, liver, points, lattice.step_mm, varied)

    fatty = rng.random() < 0.2
    hu = {name: tissue.draw(phase, rng) for name, tissue in TISSUES.items()}
    if varied is not None:
        vary_hu(hu, phase, fatty, varied)
        hu["myocardium"] = muscle_hu(phase, heart)
    liver_hu = hu["fatty_liver" if fatty else "liver"]
    if options.variation == "varied_vessels":
        mixing = np.random.default_rng((seed, 5))
        veins = [
            *faded_vein_insets(grid, portal, liver_hu, hu["portal_vein"], mixing),
            *faded_vein_insets(grid, hepatic, liver_hu, hu["hepatic_vein"], mixing),
        ]
    else:
        veins = [*vein_inset(grid, portal, hu["portal_vein"]), *vein_inset(grid, hepatic, hu["hepatic_vein"])]
    insets = [
        *(cysts(grid, inside, np.random.default_rng((seed, 6))) if options.variation in WITH_CYSTS else ()),
        *(imitators(grid, inside, portal, liver_hu, varied) if varied is not None else ()),
        *veins,
        *tumor_insets(grid, tumors, liver_hu),
    ]
    texture = smooth_noise(rng, points.x.shape, lattice.step_mm, rng.uniform(4, 10)) * np.float32(rng.uniform(1, 6))
    if varied is not None:
        texture += vary_texture(points.x.shape, lattice.step_mm, varied)
    scene = Scene(
        start=lattice.start,
        step_mm=lattice.step_mm,
        shapes=[Shape(field, hu_of(name, hu), value_of(name)) for name, field in shapes],
        liver=Shape(liver, liver_hu),
        insets=insets,
        texture=texture,
    )
    noise_hu = float(rng.uniform(*NOISE_HU[options.variation])) if options.noise_hu is None else options.noise_hu
    grain_px = float(rng.uniform(0.5, 1.0))
    ct, labels = render(scene, grid, noise_hu if varied is None else 0.0, grain_px, seed, progress)
    if varied is not None:
        ct = scanned(ct, noise_hu, varied)
    uid = f"phantom-{seed}"
    surroundings = None
    if options.surroundings:
        around = render_surroundings(scene, grid)
        surroundings = LabelVolume(np.where(labels == BACKGROUND, around, labels), geometry, uid)
    return Phantom(
        ct=Volume(ct, geometry, uid),
        labels=LabelVolume(labels, geometry, uid),
        liver=lattice.shape(liver),
        bone=lattice.shape(np.minimum.reduce([field for name, field in trunk.shapes if name == "cortical_bone"])),
        portal=portal,
        hepatic=hepatic,
        tumors=tumors,
        phase=phase,
        seed=seed,
        surroundings=surroundings,
    )


def _place(options: PhantomOptions, build: Build, rng: np.random.Generator) -> tuple[Geometry, NDArray[np.float64]]:
    """The CT's grid in LPS, and where its center lies in the patient's own frame, mm."""
    extent = np.array(options.size) * options.spacing_mm
    scale = np.array(build.scale)
    liver = np.array(LIVER_CENTER) * scale
    if options.center_mm is not None:
        center = liver + options.center_mm
    else:
        slack = np.maximum(extent / 2 - np.array([105, 110, 105]) * scale, 0)  # liver inside on either side
        wish = np.array([0.0, 12.0, liver[2]]) - liver  # the body's middle
        wish += rng.uniform(-1, 1, 3) * (12, 12, min(slack[2], 130))
        center = liver + np.clip(wish, -slack - 5, slack + 5)
    middle = rng.uniform(-150, 150, 3) * (0.2, 1, 2)  # where the scanner's table happened to stand
    origin = np.round(middle - (extent - options.spacing_mm) / 2, 3)
    geometry = Geometry(options.size, options.spacing_mm, (origin[0], origin[1], origin[2]))
    return geometry, center


def _grow_veins(
    lattice: Lattice,
    liver: Field,
    inside: NDArray[np.float64],
    hilum: NDArray[np.float64],
    confluence: NDArray[np.float64],
    veins: Veins,
    rng: np.random.Generator,
) -> tuple[VesselGraph, VesselGraph]:
    """The portal tree from the hilum and the hepatic veins, in three groups, from the cava."""

    def depth(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return lattice.sample(liver, points)

    def tree(
        root: NDArray[np.float64], region: NDArray[np.float64], radius: float, keep_clear: Obstacles
    ) -> VesselGraph:
        exponent = float(rng.uniform(2.7, 3.0))
        ends = min(int((radius / veins.terminal_mm) ** exponent), veins.most_targets)
        targets = spread_targets(region, ends, rng)
        middle = region.mean(axis=0)
        ahead = root + (middle - root) * min(1.0, 14 / max(float(np.linalg.norm(middle - root)), 1e-6))
        stem = inside[np.argmin(np.linalg.norm(inside - ahead, axis=1))]
        return grow_tree(root, stem, radius, targets, depth, keep_clear, exponent, rng)

    portal = tree(hilum, inside, float(rng.uniform(*veins.portal_mm)), Obstacles([]))
    obstacles = Obstacles([portal])
    away = inside - confluence
    angle = np.arctan2(away[:, 0], -away[:, 1])  # right to left, seen from above
    cuts = np.quantile(angle, [0, 0.38, 0.72, 1])
    trees: list[VesselGraph] = []
    for low, high in pairwise(cuts):
        region = inside[(angle >= low) & (angle <= high)]
        vein = tree(confluence, region, float(rng.uniform(*veins.hepatic_mm)), obstacles)
        trees.append(vein)
        obstacles = Obstacles([portal, *trees])
    return portal, join_graphs(trees)


def _bulged(liver: Field, tumors: tuple[Tumor, ...], lattice: Lattice, room: Field) -> Field:
    """The liver's field with its capsule around the tumors that bulge, as far as there is `room`."""
    starts = zip(reversed(lattice.start), liver.shape, strict=True)
    z, y, x = ((start + lattice.step_mm * np.arange(n)).astype(np.float32) for start, n in starts)
    points = Points(x[None, None, :], y[None, :, None], z[:, None, None])
    for tumor in tumors:
        if tumor.bulges:
            liver = np.minimum(liver, np.maximum(tumor.distance(points), room))
    return liver
