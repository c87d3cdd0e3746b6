# SPDX-License-Identifier: Apache-2.0
"""Which tumors to believe: scores for several shares of a tumor's surface that must border on the liver.

    .venv/bin/python benchmarks/tumor_contact.py
    .venv/bin/python benchmarks/tumor_contact.py --variation varied --cases 20

Prints Markdown: the means of `phantom_accuracy.py`, and the least Dice of a liver, for a large tumor that is dropped
takes with it what lay behind it. `_LEAST_LIVER_CONTACT` in `inference/postprocessing.py` is judged by it, on phantoms
for tuning, which no accuracy in the docs is measured on.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from _machine import machine
from phantom_accuracy import scores_of

from liver_seg_ros.inference import postprocessing
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.phantom.variation import VARIATIONS

FIRST_SEED = 14_700  # phantoms for tuning; recipes end at 9000 (training/recipe.py)
SHARES = (0.0, 0.2, 0.3, 0.4, 0.5)
COLUMNS = ("liver", "tumor", "lesion recall", "false tumors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of localizer/ and segmenter/; the shipped if not given")
    parser.add_argument("--cases", type=int, default=10, help="number of phantoms (%(default)s)")
    parser.add_argument("--variation", default="plain", choices=VARIATIONS, help="of the phantoms (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="%(default)s")
    parser.add_argument("--precision", default="auto", help="of the networks (%(default)s)")
    options = parser.parse_args()
    segmenter = load_default_segmenter(options.models, precision=options.precision)
    scan = PhantomOptions((512, 512, 260), (0.75, 0.75, 1.0), "portal_venous", variation=options.variation)
    found: dict[float, dict[str, list[float]]] = {share: defaultdict(list) for share in SHARES}
    for seed in range(options.first_seed, options.first_seed + options.cases):
        phantom = generate_phantom(seed, scan)
        for share in SHARES:
            postprocessing._LEAST_LIVER_CONTACT = share
            scores = scores_of(segmenter.segment(phantom.ct), phantom.labels, more=True)
            for name, score in scores.items():
                found[share][name].append(score)
    kind = f"{options.cases} {options.variation} phantoms from seed {options.first_seed} on"
    sys.stdout.write(f"{kind}, 512x512x260 voxels, {machine()}.\n\n")
    sys.stdout.write(f"| least share | least liver | {' | '.join(COLUMNS)} |\n|{' ---: |' * (len(COLUMNS) + 2)}\n")
    for share, scores in found.items():
        means = [min(scores["liver"]), *(float(np.mean(scores[name])) for name in COLUMNS)]
        sys.stdout.write(f"| {share} | {' | '.join(f'{mean:.3f}' for mean in means)} |\n")


if __name__ == "__main__":
    main()
