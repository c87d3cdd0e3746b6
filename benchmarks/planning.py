# SPDX-License-Identifier: Apache-2.0
"""Trajectories per second, and how exact their clearances are, against a loop over trajectories and k-d trees; ranking.

    .venv/bin/python benchmarks/planning.py

Prints Markdown. Needles run from the skin of a phantom to its tumors, on two cores. The loop knows the labelled
structures; so do we beside it, and once more with bone, lung and gas by HU, as ranking has them. Of both ways the
clearance is compared with the exact distance to the mesh: its minimum over the axis, sampled every 0.1 mm and around
the best sample every 0.002 mm.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

import numpy as np
from _machine import machine
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.planning.anatomy import Anatomy, prepare_anatomy
from liver_seg_ros.planning.clearance import DistanceField
from liver_seg_ros.planning.ranking import rank_trajectories
from liver_seg_ros.planning.target import lesion_target
from liver_seg_ros.planning.trajectory import LEAST_VESSEL_RADIUS_MM, evaluate_trajectories
from liver_seg_ros.reconstruction.parts import lesions

CORES = 2
SEED = 9_300  # never trained on
NEEDLE_MM = 0.75
STEP_MM = 1.0  # of the naive way along the axis


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=10_000, help="number evaluated (%(default)s)")
    parser.add_argument("--naive", type=int, default=200, help="number that the naive way evaluates (%(default)s)")
    parser.add_argument("--exact", type=int, default=200, help="number compared with exact distances (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="the fastest counts (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the phantom (%(default)s)")
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))

    scan = PhantomOptions(size=(384, 384, 200), spacing_mm=(1.0, 1.0, 1.2), tumor_count=4)
    phantom = generate_phantom(options.seed, scan)
    everything = prepare_anatomy(phantom.labels, ct=phantom.ct)
    anatomy = prepare_anatomy(phantom.labels, ct=phantom.ct, by_hu=False)
    entries, targets = _needles(anatomy, options.trajectories)

    ours_s, ours_cpu_s = _fastest(lambda: evaluate_trajectories(anatomy, entries, targets, NEEDLE_MM), options.repeats)
    more_s, more_cpu_s = _fastest(
        lambda: evaluate_trajectories(everything, entries, targets, NEEDLE_MM), options.repeats
    )
    evaluations = evaluate_trajectories(anatomy, entries, targets, NEEDLE_MM)
    ours = evaluations.clearance_mm
    naive = _Naive(anatomy)
    some = slice(0, options.naive)
    naive_s, naive_cpu_s = _fastest(lambda: naive.evaluate(entries[some], targets[some]), 1)
    theirs = naive.evaluate(entries[some], targets[some])

    target = lesion_target(anatomy.labels, 0)
    ranking_s, ranking_cpu_s = _fastest(lambda: rank_trajectories(everything, target), options.repeats)
    ranking = rank_trajectories(everything, target)

    write = sys.stdout.write
    triangles = ", ".join(f"{mesh.structure.name} {len(mesh.triangles)}" for mesh in anatomy.meshes)
    write(f"Phantom {options.seed}, 384x384x200 voxels of 1.0x1.0x1.2 mm; triangles: {triangles}; ")
    write(f"{len(anatomy.tree.branches)} branches. {machine()}, load {os.getloadavg()[0]:.1f} meanwhile.\n\n")
    write(f"{options.trajectories} trajectories vectorised in {ours_s:.2f} s ({ours_cpu_s:.2f} s of both cores), ")
    write(f"{options.naive} in a loop in {naive_s:.2f} s ({naive_cpu_s:.2f} s). ")
    write("Both give lengths, the clearance to each structure and where, crossings of vessels and of the capsule, ")
    write("and the angle to it.\n\n")
    kept = ", ".join(structure.name for structure in everything.fields if structure != LIVER)
    write(f"With clearances to {kept}: {more_s:.2f} s ({more_cpu_s:.2f} s of both cores). ")
    write(
        f"Ranking from the whole skin to the largest lesion: {ranking.candidates} entries, {ranking.accepted} of them "
    )
    write(f"open, in {ranking_s:.2f} s ({ranking_cpu_s:.2f} s of both cores).\n\n")
    rate, naive_rate = options.trajectories / ours_s, options.naive / naive_s
    write("| method | trajectories/s | times as fast |\n| --- | ---: | ---: |\n")
    write(f"| vectorised | {rate:.0f} | {rate / naive_rate:.0f} |\n| loop, k-d trees | {naive_rate:.0f} | 1 |\n")
    write(f"| vectorised, with what HU show | {options.trajectories / more_s:.0f} | |\n\n")
    write("| clearance to | error, mean | error, max | in a loop, mean | max |\n| --- | ---: | ---: | ---: | ---: |\n")
    count = min(options.exact, options.naive)
    for column, structure in enumerate(evaluations.structures):
        field = anatomy.fields[structure]
        exact = np.array([_exact_clearance(field, entries[n], targets[n]) for n in range(count)])
        errors = [np.abs(found[:count, column] - exact) for found in (ours, theirs)]
        cells = " | ".join(f"{error.mean():.3f} mm | {error.max():.3f} mm" for error in errors)
        write(f"| {structure.name} | {cells} |\n")


def _needles(anatomy: Anatomy, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Random entries that face a lesion, at most 180 mm from it, and targets around its center."""
    assert anatomy.skin is not None
    random = np.random.default_rng(0)
    entries, targets = [], []
    number_of_lesions = len(lesions(anatomy.labels))
    for lesion in range(number_of_lesions):
        center = np.array(lesion_target(anatomy.labels, lesion))
        facing = anatomy.skin.entries_to(center)
        facing = facing[np.linalg.norm(facing - center, axis=1) < 180]
        share = len(range(lesion, count, number_of_lesions))
        entries.append(facing[random.integers(0, len(facing), share)] + random.normal(0, 1.0, (share, 3)))
        targets.append(center + random.normal(0, 2.0, (share, 3)))
    order = random.permutation(count)
    return np.concatenate(entries)[order], np.concatenate(targets)[order]


def _fastest(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Seconds on the clock and of processor time, the least of each: another's load changes the former more."""
    clock, processor = [], []
    for _ in range(repeats):
        start, start_cpu = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_cpu)
    return min(clock), min(processor)


def _exact_clearance(field: DistanceField, entry: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    length_mm = float(np.linalg.norm(target - entry))
    direction = (target - entry) / length_mm

    def smallest(along_mm: NDArray[np.float64]) -> tuple[float, float]:
        distance = field.distance(entry + along_mm[:, None] * direction)
        best = int(distance.argmin())
        return float(distance[best]), float(along_mm[best])

    _, near = smallest(np.linspace(0, length_mm, int(length_mm / 0.1) + 2))
    value, _ = smallest(np.clip(near + np.arange(-0.1, 0.1001, 0.002), 0, length_mm))
    return value - NEEDLE_MM


class _Naive:
    """Samples of the axis, k-d trees of mesh vertices and tree nodes, labels for the sides, one needle at a time."""

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        self._vertices = [cKDTree(mesh.vertices_mm) for mesh in anatomy.meshes]
        self._nodes = cKDTree(anatomy.tree.points_mm)
        values = {LIVER: (LIVER.value, TUMOR.value, VESSEL.value)}
        array = anatomy.labels.array
        self._masks = [np.isin(array, values.get(m.structure, (m.structure.value,))) for m in anatomy.meshes]

    def evaluate(self, entries: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(N, S)` clearances; the other answers are worked out too and dropped."""
        return np.array([self._one(entry, target) for entry, target in zip(entries, targets, strict=True)])

    def _one(self, entry: NDArray[np.float64], target: NDArray[np.float64]) -> list[float]:
        anatomy, tree = self._anatomy, self._anatomy.tree
        length_mm = float(np.linalg.norm(target - entry))
        axis = np.linspace(entry, target, int(length_mm / STEP_MM) + 2)
        index = np.rint(anatomy.labels.geometry.lps_to_index(axis)).astype(int)
        index = index.clip(0, np.array(anatomy.labels.geometry.size) - 1)
        clearances, places = [], []
        for mesh, vertices, mask in zip(anatomy.meshes, self._vertices, self._masks, strict=True):
            distance, vertex = vertices.query(axis)
            inside = mask[index[:, 2], index[:, 1], index[:, 0]]
            signed = np.where(inside, -distance, distance)
            if mesh.structure != LIVER:
                clearances.append(float(signed.min()) - NEEDLE_MM)
                places.append(axis[signed.argmin()])
            else:
                _length_in_liver_mm = inside.mean() * length_mm
                changes = np.flatnonzero(np.diff(inside))
                if changes.size:
                    normal = mesh.normals[vertex[changes[0]]]
                    _angle_deg = np.degrees(np.arccos(np.clip(-normal @ (target - entry) / length_mm, -1, 1)))
        distance, node = self._nodes.query(axis)
        touched = node[(distance < tree.radius_mm[node] + NEEDLE_MM) & (tree.radius_mm[node] >= LEAST_VESSEL_RADIUS_MM)]
        _branches = np.unique(tree.branch[touched])
        return clearances


if __name__ == "__main__":
    main()
