# SPDX-License-Identifier: Apache-2.0
"""Which tumors to believe: Dice and lesions for several shares of a tumor's surface that must border on the liver.

    .venv/bin/python benchmarks/tumor_contact.py

Prints Markdown. `_LEAST_LIVER_CONTACT` in `inference/postprocessing.py` is judged by it, on validation seeds, which no
accuracy in the docs is measured on.
"""

from __future__ import annotations

import argparse
import sys

import cc3d
import numpy as np
from _machine import machine

from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.inference import postprocessing
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.volume import LabelVolume

FIRST_SEED = 8920  # validation seeds; those of the recipes come before
SHARES = (0.0, 0.25, 0.5, 0.75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10, help="number of phantoms (%(default)s)")
    options = parser.parse_args()
    segmenter = load_default_segmenter()
    scan = PhantomOptions(size=(512, 512, 260), spacing_mm=(0.75, 0.75, 1.0), phase="portal_venous")
    scores: dict[float, list[float]] = {share: [] for share in SHARES}
    false: dict[float, int] = dict.fromkeys(SHARES, 0)
    missed: dict[float, int] = dict.fromkeys(SHARES, 0)
    for seed in range(FIRST_SEED, FIRST_SEED + options.cases):
        phantom = generate_phantom(seed, scan)
        for share in SHARES:
            postprocessing._LEAST_LIVER_CONTACT = share
            labels = segmenter.segment(phantom.ct).labels
            scores[share].append(dice(labels, phantom.labels).get("tumor", np.nan))
            false[share] += _without_counterpart(labels, phantom.labels)
            missed[share] += _without_counterpart(phantom.labels, labels)
    sys.stdout.write(f"{options.cases} phantoms from seed {FIRST_SEED} on, 512x512x260 voxels, {machine()}.\n\n")
    sys.stdout.write("| least share | tumor Dice | tumors found where there is none | tumors missed |\n")
    sys.stdout.write("| ---: | ---: | ---: | ---: |\n")
    for share in SHARES:
        row = f"| {share} | {np.nanmean(scores[share]):.3f} | {false[share]} | {missed[share]} |\n"
        sys.stdout.write(row)


def _without_counterpart(labels: LabelVolume, other: LabelVolume) -> int:
    """Tumors of `labels` that share no voxel with one of `other`."""
    bodies, count = cc3d.connected_components(labels.mask(TUMOR.value), connectivity=26, return_N=True)
    return int(count - np.count_nonzero(np.unique(bodies[other.mask(TUMOR.value)])))


if __name__ == "__main__":
    main()
