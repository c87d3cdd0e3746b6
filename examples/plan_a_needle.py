#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From labels to meshes and trajectories of a needle, without ROS:

    python examples/plan_a_needle.py [CT LABELS] [-o FOLDER]

Without arguments a small synthetic patient is made, with the truth as its labels. Needs `pip install '.[meshes]'`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import liver_seg_ros as ls
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.planning.limits import Limits

SMALL = PhantomOptions(size=(96, 96, 60), spacing_mm=(3.5, 3.5, 4.0), tumor_count=2)


def main() -> None:
    """Reconstruct, plan, print the best trajectories, write the meshes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="*", type=Path, metavar="CT LABELS", help="a CT and its labels")
    parser.add_argument("-o", "--output", type=Path, default=Path("planned"), help="folder for a PLY per structure")
    options = parser.parse_args()
    if len(options.case) not in (0, 2):
        parser.error("give a CT and its labels, or neither")

    if options.case:
        ct = ls.read(options.case[0])
        labels = ls.read_labels(options.case[1], ct)
    else:
        phantom = generate_phantom(7, SMALL)
        ct, labels = phantom.ct, phantom.labels

    surfaces = ls.reconstruct(labels)
    print(surfaces)
    for mesh in surfaces.meshes:
        ls.write(options.output / f"{mesh.structure.name}.ply", mesh)
    print(f"wrote {options.output}/*.ply")

    # The limits that come with the package are no clinical guideline either.
    answers = ls.plan(labels, ct, lesion=1, limits=Limits(max_length_mm=180.0), reconstruction=surfaces)
    print(answers)
    for found in answers.trajectories[:3]:
        entry = ", ".join(f"{coordinate:.0f}" for coordinate in found.trajectory.entry_mm)
        print(f"from ({entry}) mm: {found.length_mm:.0f} mm, {found.length_in_liver_mm:.0f} mm of it in the liver")
        for clearance in found.clearances:
            print(f"    {clearance.clearance_mm:6.1f} mm to {clearance.structure.name}")
    print(answers.message or answers.unlabelled)


if __name__ == "__main__":
    main()
