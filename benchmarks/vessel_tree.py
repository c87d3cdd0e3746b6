# SPDX-License-Identifier: Apache-2.0
"""The vessel tree against the phantoms' own vessel graphs, and against a skeleton of voxels on the same labels.

    .venv/bin/python benchmarks/vessel_tree.py
    .venv/bin/python benchmarks/vessel_tree.py --seeds 9100,9101 --spacings-mm 0.8,1.2

Prints Markdown. The skeleton is what is naively done: scikit-image's `skeletonize`, radii from scipy's distance
transform, a minimum spanning tree over neighboring voxels from the thickest on. Slices are as thick as pixels are wide.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from _machine import machine
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from skimage.morphology import skeletonize

from liver_seg_ros.evaluation.tree_scores import TreeScores, score_tree
from liver_seg_ros.labels import VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.reconstruction.masks import labelled_box, structure_mask
from liver_seg_ros.reconstruction.vessels.branches import Forest, build_tree
from liver_seg_ros.reconstruction.vessels.centerlines import VoxelGraph
from liver_seg_ros.reconstruction.vessels.extraction import vessel_tree
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

EXTENT_MM = (300.0, 300.0, 260.0)  # holds every phantom's liver
COLUMNS = ["way", "s", "line, voxels", "95 %", "radius", "missed", "terminals", "trees", "together", "downstream"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="9160,9161,9162", help="of the phantoms (%(default)s)")
    parser.add_argument("--spacings-mm", default="0.8,1.2,1.6", help="of the voxels (%(default)s)")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    sys.stdout.write(f"Means of {len(seeds)} phantoms each. {machine()}.\n\n")
    sys.stdout.write(f"| voxels, mm | {' | '.join(COLUMNS)} |\n| --- | --- {'| ---: ' * (len(COLUMNS) - 1)}|\n")
    for spacing in (float(value) for value in options.spacings_mm.split(",")):
        i, j, k = (round(extent / spacing) for extent in EXTENT_MM)
        phantoms = [generate_phantom(s, PhantomOptions((i, j, k), (spacing, spacing, spacing))) for s in seeds]
        for name, way in (("skeleton", skeleton_tree), ("ours", vessel_tree)):
            seconds, scores = [], []
            for phantom in phantoms:
                start = time.perf_counter()
                tree = way(phantom.labels)
                seconds.append(time.perf_counter() - start)
                scores.append(score_tree(tree, (phantom.portal, phantom.hepatic), phantom.labels))
            sys.stdout.write(_row(f"{spacing:g}", name, float(np.mean(seconds)), scores))
            sys.stdout.flush()


def skeleton_tree(labels: LabelVolume) -> VesselTree:
    """The naive way, on the box of the vessels."""
    mask = structure_mask(labelled_box(labels), VESSEL)
    if mask is None:
        return build_tree([])
    geometry = mask.geometry
    line = skeletonize(mask.array)
    graph = VoxelGraph.of(line, geometry.spacing_mm)
    radius = distance_transform_edt(mask.array, geometry.spacing_mm[::-1])[line]
    links = minimum_spanning_tree(graph.matrix(graph.length_mm))
    parent = _parents(links, radius)
    return build_tree([Forest(VESSEL, geometry.index_to_lps(graph.points_mm / geometry.spacing_mm), radius, parent)])


def _parents(links: object, radius: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of each voxel the one before it on the way from the thickest of its part."""
    count, part = connected_components(links, directed=False)
    parent = np.full(len(radius), -1, np.int64)
    for number in range(count):
        start = int(np.argmax(np.where(part == number, radius, -1)))
        order, before = breadth_first_order(links, start, directed=False)
        parent[order[1:]] = before[order[1:]]
    return parent


def _row(spacing: str, name: str, seconds: float, scores: list[TreeScores]) -> str:
    def mean(field: str) -> float:
        return float(np.mean([getattr(score, field) for score in scores]))

    cells = [
        spacing, name, f"{seconds:.2f}", f"{mean('line_voxels'):.2f}", f"{mean('line_95_voxels'):.2f}",
        f"{mean('radius'):.1%}", f"{mean('missed'):.2%}", f"{mean('terminals'):.0f} of {mean('true_terminals'):.0f}",
        f"{mean('trees'):.0f}", f"{mean('together'):.0%}", f"{mean('downstream'):.0%}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    main()
