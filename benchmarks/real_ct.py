# SPDX-License-Identifier: Apache-2.0
"""The shipped models, trained on phantoms alone, on a real CT: Dice of the liver against the mask that comes with it.

    .venv/bin/python benchmarks/real_ct.py              ../shared/data/ct_torso_3mm
    .venv/bin/python benchmarks/real_ct.py --ct CT --liver MASK

Prints Markdown. The mask is a silver standard: another network's output that its authors ship as their reference.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from _machine import machine

from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.files.matching import on_grid_of
from liver_seg_ros.files.volumes import read_labels, read_volume
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.labels import LIVER
from liver_seg_ros.training.command import run_command

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "ct_torso_3mm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ct", type=Path, default=DATA / "ct.nii.gz", help="the CT")
    parser.add_argument("--liver", type=Path, default=DATA / "liver.nii.gz", help="mask of the whole liver on its grid")
    parser.add_argument(
        "--models", type=Path, help="folder of localizer/ and segmenter/; the shipped ones if not given"
    )
    options = parser.parse_args()
    volume = read_volume(options.ct)
    truth = on_grid_of(volume, read_labels(options.liver), str(options.liver))
    found = load_default_segmenter(options.models).segment(volume)
    seconds = sum(s for stage, s in found.seconds.items() if stage != "load")
    ml = volume.geometry.voxel_volume_ml
    sizes = [np.count_nonzero(labels.array) * ml for labels in (found.labels, truth)]
    score = dice(found.labels, truth, (LIVER,))[LIVER.name]
    sys.stdout.write(
        f"{options.ct.parent.name}: {found.message}; {machine()}.\n\n"
        "| Dice liver | ml found | ml in the mask | seconds |\n| ---: | ---: | ---: | ---: |\n"
        f"| {score:.3f} | {sizes[0]:.0f} | {sizes[1]:.0f} | {seconds:.1f} |\n"
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
