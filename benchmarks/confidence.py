# SPDX-License-Identifier: Apache-2.0
"""How far the fine network's probabilities can be believed, before and after calibration, and which lesions to doubt.

    .venv/bin/python benchmarks/confidence.py                       six phantoms of each kind
    .venv/bin/python benchmarks/confidence.py --models DIR --cases 4

Prints Markdown: what the calibration in the bundle (`python -m liver_seg_ros.deploy.confidence`) is worth on phantoms
that it was not found on and that no recipe may train on, and the reliability diagram as numbers. Everything is at the
network's own spacing, around the liver, before postprocessing but for lesions too small to be kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from _machine import machine

from liver_seg_ros.deploy.confidence import FIRST_SEED, KINDS, JudgedPhantom, judged, together
from liver_seg_ros.evaluation.confidence import Reliability, reliability
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.model_folders import find_models_dir

BINS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of segmenter/; the shipped one if not given")
    parser.add_argument("--cases", type=int, default=6, help="phantoms of each kind (%(default)s)")
    options = parser.parse_args()
    bundle = load_bundle(find_models_dir(options.models) / "segmenter")
    calibration = bundle.spec.calibration
    temperature, least = calibration.temperature or 1.0, calibration.least_lesion
    # Odd seeds: the calibration is found on even ones.
    seeds = range(FIRST_SEED + 1, FIRST_SEED + 1 + 2 * options.cases, 2)
    kinds = {kind: judged(bundle, seeds, kind) for kind in KINDS}
    sys.stdout.write(
        f"{bundle.spec.name} {bundle.spec.version}, {machine()}. Temperature {temperature:.2f}, lesions below "
        f"{least:.2f} are doubted; found on {calibration.found_on}.\n\n"
        "| phantoms judged | calibration error | calibrated | false tumors a scan | not doubted | true tumors found "
        f"| not doubted |\n| --- {'| ---: ' * 6}|\n"
    )
    for kind, phantoms in kinds.items():
        sys.stdout.write(f"| {len(phantoms)} {kind} | {' | '.join(_cells(phantoms, temperature, least))} |\n")
    pair = together([phantom for phantoms in kinds.values() for phantom in phantoms])
    sys.stdout.write(_diagram(*(reliability(*pair, t, BINS) for t in (1.0, temperature))))


def _cells(phantoms: Sequence[JudgedPhantom], temperature: float, least: float) -> list[str]:
    pair = together(phantoms)
    errors = [reliability(*pair, t).expected_calibration_error for t in (1.0, temperature)]
    lesions = [phantom.lesions(temperature) for phantom in phantoms]
    counts = [
        sum(is_one == right and sure >= threshold for scan in lesions for sure, is_one in scan) / len(phantoms)
        for right in (False, True)
        for threshold in (0.0, least)
    ]
    return [*(f"{error:.4f}" for error in errors), *(f"{count:.1f}" for count in counts)]


def _diagram(before: Reliability, after: Reliability) -> str:
    """Of the voxels where the network is so sure, how often it is right; a line for each bin that has some."""
    lines = [
        "",
        "| how sure | voxels, % | mean | right | voxels, %, calibrated | mean | right |",
        f"| --- {'| ---: ' * 6}|",
    ]
    for number in range(BINS):
        cells = []
        for found in (before, after):
            share = 100 * found.voxels[number] / found.voxels.sum()
            some = found.voxels[number] > 0
            cells += [f"{share:.2f}", *(f"{v[number]:.3f}" if some else "" for v in (found.confidence, found.accuracy))]
        lines.append(f"| {number / BINS:.1f} to {(number + 1) / BINS:.1f} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
