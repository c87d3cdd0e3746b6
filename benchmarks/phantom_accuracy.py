# SPDX-License-Identifier: Apache-2.0
"""How well the shipped models segment phantoms that no recipe may train on: Dice per structure, end to end.

    .venv/bin/python benchmarks/phantom_accuracy.py                  ten phantoms of 512x512x260 voxels, 1 mm slices
    .venv/bin/python benchmarks/phantom_accuracy.py --json out/phantom_scores.json
    .venv/bin/python benchmarks/phantom_accuracy.py --variation varied --first-seed 12000 --more

Prints Markdown; `--json` also writes the means for `python -m liver_seg_ros.deploy.export --scores`. "liver" is the
organ with the tumors and vessels in it, "liver tissue" only what bears the liver's own label. `--more` adds the Dice of
vessels wider than 6 mm, clDice, the share of true tumors of 10 mm and more of which a fifth is found, and how many
tumors are found where there is none of any size.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cc3d
import numpy as np
from _machine import machine
from numpy.typing import NDArray

from liver_seg_ros.evaluation.cl_dice import cl_dice
from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.evaluation.vessel_widths import dice_by_width
from liver_seg_ros.geometry import Box
from liver_seg_ros.inference.segmenter import Segmentation, Segmenter, load_default_segmenter
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.phantom.variation import VARIATIONS
from liver_seg_ros.volume import LabelVolume

FIRST_SEED = 11_000  # recipes end at 9000 (training/recipe.py)
COLUMNS = ("liver", "liver tissue", "tumor", "vessel")
MORE = ("wide vessels", "clDice", "lesion recall", "false tumors")
#: The last two once more, of the lesions alone that the network does not doubt.
UNDOUBTED = ("lesion recall, undoubted", "false tumors, undoubted")
LEAST_LESION_MM3 = np.pi / 6 * 10.0**3
LEAST_FOUND = 0.2
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
    parser.add_argument("--variation", default="plain", choices=VARIATIONS, help="of the phantoms (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="%(default)s")
    parser.add_argument("--precision", default="auto", help="of the networks (%(default)s)")
    parser.add_argument("--skip", nargs="*", default=[], help="steps of postprocessing to leave out")
    parser.add_argument("--more", action="store_true", help="also wide vessels, clDice and lesions")
    parser.add_argument("--json", type=Path, help="also write the means here")
    options = parser.parse_args()
    i, j, k = (int(n) for n in options.size.split(","))
    x, y, z = (float(s) for s in options.spacing_mm.split(","))
    scan = PhantomOptions((i, j, k), (x, y, z), options.phase, variation=options.variation)
    columns = (*COLUMNS, *MORE) if options.more else COLUMNS
    segmenter = load_default_segmenter(options.models, precision=options.precision, skip=options.skip)

    kind = f"{options.variation} phantoms of {i}x{j}x{k} voxels of {x:g}x{y:g}x{z:g} mm, phase {options.phase}"
    sys.stdout.write(f"{kind.capitalize()}, {machine()}.\n\n")
    sys.stdout.write(f"| seed | {' | '.join(columns)} | seconds |\n| --- {'| ---: ' * (len(columns) + 1)}|\n")
    rows = []
    for seed in range(options.first_seed, options.first_seed + options.cases):
        scores, seconds = measured(segmenter, seed, scan, options.more)
        rows.append(scores)
        sys.stdout.write(_row(str(seed), columns, scores, f"{seconds:.1f}"))
        sys.stdout.flush()
    # A structure that a phantom does not have, and in which nothing was found, has no Dice and is left out.
    known = {name: [row[name] for row in rows if name in row] for name in columns}
    means = {name: float(np.mean(scores)) for name, scores in known.items() if scores}
    sys.stdout.write(_row("**mean**", columns, means, "") + _row("target", columns, TARGETS, ""))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        rounded = {name: round(score, 3) for name, score in means.items() if name in COLUMNS}
        kind = "phantoms" if options.variation == "plain" else f"{options.variation}_phantoms"
        options.json.write_text(json.dumps({f"held_out_{kind}_dice_{options.phase}": rounded}, indent=2) + "\n")


def measured(segmenter: Segmenter, seed: int, scan: PhantomOptions, more: bool) -> tuple[dict[str, float], float]:
    """Dice per column, and the seconds that the segmentation took (loading the networks not counted)."""
    phantom = generate_phantom(seed, scan)
    found = segmenter.segment(phantom.ct)
    scores = scores_of(found, phantom.labels, more)
    return scores, sum(seconds for stage, seconds in found.seconds.items() if stage != "load")


def scores_of(found: Segmentation, truth: LabelVolume, more: bool) -> dict[str, float]:
    """The value of each column; without those that this phantom has no score for."""
    scores = dice(found.labels, truth)
    scores["liver tissue"] = _dice_of_own_label(found.labels, truth)
    if more:
        scores |= _more(found, truth)
    return scores


def _more(segmentation: Segmentation, truth: LabelVolume) -> dict[str, float]:
    """The columns `MORE` and `UNDOUBTED`."""
    labels = segmentation.labels
    box = Box.around((labels.array > 0) | (truth.array > 0))
    if box is None:
        return {}
    a, t = labels.crop(box), truth.crop(box)
    vessels = a.mask(VESSEL.value), t.mask(VESSEL.value)
    by_width = dice_by_width(*vessels, truth.geometry.spacing_mm)
    scores = {"wide vessels": by_width[6.0, np.inf], "clDice": cl_dice(*vessels)}
    true, found = (cc3d.connected_components(v.mask(TUMOR.value), connectivity=26) for v in (t, a))
    least_voxels = LEAST_LESION_MM3 / truth.geometry.voxel_volume_mm3
    scores["lesion recall"], scores["false tumors"] = _lesions(true, found, least_voxels)
    known = segmentation.tumor_probability
    if known is not None:
        doubted = [
            body
            for body in range(1, int(found.max()) + 1)
            if known.at(a.geometry.index_to_lps(np.argwhere(found == body)[:, ::-1])).mean() < known.least_lesion
        ]
        sure = np.where(np.isin(found, doubted), 0, found)
        scores |= zip(UNDOUBTED, _lesions(true, sure, least_voxels), strict=True)
    return {name: score for name, score in scores.items() if not np.isnan(score)}


def _lesions(true: NDArray[np.integer], found: NDArray[np.integer], least_voxels: float) -> tuple[float, float]:
    """Recall of the true lesions of so many voxels and more (NaN without one), and how many found touch no true one."""
    sizes = np.bincount(true.ravel())
    covered = np.bincount(true[found > 0], minlength=sizes.size) / np.maximum(sizes, 1)
    large = np.flatnonzero(sizes >= least_voxels)
    large = large[large > 0]
    recall = float(np.mean(covered[large] >= LEAST_FOUND)) if large.size else np.nan
    bodies = np.unique(found[found > 0])
    return recall, float(np.setdiff1d(bodies, found[true > 0]).size)


def _dice_of_own_label(labels: LabelVolume, truth: LabelVolume) -> float:
    a, b = labels.mask(LIVER.value), truth.mask(LIVER.value)
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def _row(name: str, columns: tuple[str, ...], scores: dict[str, float], seconds: str) -> str:
    cells = [f"{scores[column]:.3f}" if column in scores else "" for column in columns]
    return f"| {' | '.join([name, *cells, seconds])} |\n"


if __name__ == "__main__":
    main()
