#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From a CT to labels and numbers, without ROS:

    python examples/segment_and_measure.py [CT] [-o FOLDER]

CT is a NIfTI, NRRD or MetaImage file or a folder of DICOM; without it a small synthetic one is made and written too.
`pip install .` brings all that this needs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import liver_seg_ros as ls
from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.labels import SEGMENTED
from liver_seg_ros.phantom import PhantomOptions, generate_phantom

SMALL = PhantomOptions(size=(96, 96, 60), spacing_mm=(3.5, 3.5, 4.0), phase="portal_venous")


def main() -> None:
    """Segment, print what was found, write the labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", nargs="?", type=Path, help="a CT; a synthetic one where left out")
    parser.add_argument("-o", "--output", type=Path, default=Path("segmented"), help="folder for the files")
    options = parser.parse_args()

    truth = None
    if options.ct:
        ct = ls.read(options.ct)
    else:
        phantom = generate_phantom(2, SMALL)
        ct, truth = phantom.ct, phantom.labels
    print(ct)

    found = ls.segment(ct)
    print(found)
    for measured in ls.measure(found.labels):
        volume = f"{measured.volume_ml:8.1f} +- {measured.volume_uncertainty_ml:.1f} ml"
        print(f"{measured.structure.name:8} {volume}, largest diameter {measured.largest_diameter_mm:.0f} mm")
    if truth is not None:
        ls.write(options.output / "ct.nii.gz", ct)
        print("Dice:", {name: round(score, 2) for name, score in dice(found.labels, truth, SEGMENTED).items()})

    ls.write(options.output / "labels.nii.gz", found.labels)
    print(f"wrote {options.output}/labels.nii.gz; not for clinical use")


if __name__ == "__main__":
    main()
