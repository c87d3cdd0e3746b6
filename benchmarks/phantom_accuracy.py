"""How well the shipped models segment phantoms that no recipe may train on: Dice per structure, end to end.

    .venv/bin/python benchmarks/phantom_accuracy.py                  ten phantoms of 512x512x260 voxels, 1 mm slices
    .venv/bin/python benchmarks/phantom_accuracy.py --json out/phantom_scores.json

Prints Markdown; `--json` also writes the means for `python -m liver_seg_ros.deploy.export --scores`. "liver" is the
organ with the tumors and vessels in it, "liver tissue" only what bears the liver's own label.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from _machine import machine

from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.inference.segmenter import Segmenter, load_default_segmenter
from liver_seg_ros.labels import LIVER
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.volume import LabelVolume

FIRST_SEED = 11_000  # recipes end at 9000 (training/recipe.py)
COLUMNS = ("liver", "liver tissue", "tumor", "vessel")
TARGETS = {"liver": 0.95, "tumor": 0.70, "vessel": 0.65}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", type=Path, help="folder of localizer/ and segmenter/; the shipped ones if not given"
    )
    parser.add_argument("--cases", type=int, default=10, help="number of phantoms (%(default)s)")
    parser.add_argument("--size", default="512,512,260", help="voxels I,J,K (%(default)s)")
    parser.add_argument("--spacing-mm", default="0.75,0.75,1.0", help="mm I,J,K (%(default)s)")
    parser.add_argument("--phase", default="portal_venous", help="contrast phase (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write the means here")
    options = parser.parse_args()
    i, j, k = (int(n) for n in options.size.split(","))
    x, y, z = (float(s) for s in options.spacing_mm.split(","))
    scan = PhantomOptions(size=(i, j, k), spacing_mm=(x, y, z), phase=options.phase)
    segmenter = load_default_segmenter(options.models)

    sys.stdout.write(f"Phantoms of {i}x{j}x{k} voxels of {x:g}x{y:g}x{z:g} mm, phase {options.phase}, {machine()}.\n\n")
    sys.stdout.write(f"| seed | {' | '.join(COLUMNS)} | seconds |\n| --- {'| ---: ' * (len(COLUMNS) + 1)}|\n")
    rows = []
    for seed in range(FIRST_SEED, FIRST_SEED + options.cases):
        scores, seconds = _measure(segmenter, seed, scan)
        rows.append(scores)
        sys.stdout.write(_row(str(seed), scores, f"{seconds:.1f}"))
        sys.stdout.flush()
    # A structure that a phantom does not have, and in which nothing was found, has no Dice and is left out.
    means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in COLUMNS}
    sys.stdout.write(_row("**mean**", means, "") + _row("target", TARGETS, ""))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        rounded = {name: round(score, 3) for name, score in means.items()}
        options.json.write_text(json.dumps({f"held_out_phantoms_dice_{options.phase}": rounded}, indent=2) + "\n")


def _measure(segmenter: Segmenter, seed: int, scan: PhantomOptions) -> tuple[dict[str, float], float]:
    """Dice per column, and the seconds that the segmentation took (loading the networks not counted)."""
    phantom = generate_phantom(seed, scan)
    found = segmenter.segment(phantom.ct)
    scores = dice(found.labels, phantom.labels)
    scores["liver tissue"] = _dice_of_own_label(found.labels, phantom.labels)
    return scores, sum(seconds for stage, seconds in found.seconds.items() if stage != "load")


def _dice_of_own_label(labels: LabelVolume, truth: LabelVolume) -> float:
    a, b = labels.mask(LIVER.value), truth.mask(LIVER.value)
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def _row(name: str, scores: dict[str, float], seconds: str) -> str:
    cells = [f"{scores[column]:.3f}" if column in scores else "" for column in COLUMNS]
    return f"| {' | '.join([name, *cells, seconds])} |\n"


if __name__ == "__main__":
    main()
