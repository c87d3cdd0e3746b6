# SPDX-License-Identifier: Apache-2.0
"""What a model is to reach on phantoms of seeds that nobody used before: plain and varied ones, with intervals.

    .venv/bin/python benchmarks/held_out.py                30 + 30 phantoms of 512x512x260 voxels: an hour and more
    .venv/bin/python benchmarks/held_out.py --cases 6 --size 256,256,160 --spacing-mm 1.4,1.4,1.6 --json held_out.json

Prints Markdown: the mean of each figure of `phantom_accuracy.py --more`, and in brackets where 95 % of the means lie
that other draws of as many of these phantoms give (bootstrap). `--json` is for `deploy.describe --scores`: the bundle's
card tells it. Once a training was chosen by these phantoms they are held out no more: take other seeds then.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _machine import machine
from phantom_accuracy import COLUMNS, MORE, UNDOUBTED, measured
from scipy.stats import bootstrap

from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.phantom import PhantomOptions
from liver_seg_ros.phantom.variation import Variation

#: First seeds; recipes end at 9000 (training/data_recipe.py).
FIRST_SEEDS: dict[Variation, int] = {"plain": 16_000, "varied": 17_000}
GOALS = {
    "liver": 0.97, "tumor": 0.85, "vessel": 0.78, "wide vessels": 0.9, "clDice": 0.85, "lesion recall": 0.9,
    "false tumors": 1.0, "false tumors, undoubted": 1.0,
}  # fmt: skip
ROWS = (*COLUMNS, *MORE, *UNDOUBTED)
_FEWER_IS_BETTER = ("false tumors", "false tumors, undoubted")

Interval = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", type=Path, help="folder of localizer/ and segmenter/; the shipped ones if not given"
    )
    parser.add_argument("--cases", type=int, default=30, help="phantoms of each kind (%(default)s)")
    parser.add_argument("--size", default="512,512,260", help="voxels I,J,K (%(default)s)")
    parser.add_argument("--spacing-mm", default="0.75,0.75,1.0", help="mm I,J,K (%(default)s)")
    parser.add_argument("--precision", default="auto", help="of the networks (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write means and intervals here")
    options = parser.parse_args()
    i, j, k = (int(n) for n in options.size.split(","))
    x, y, z = (float(s) for s in options.spacing_mm.split(","))
    segmenter = load_default_segmenter(options.models, precision=options.precision)
    found: dict[str, dict[str, Interval]] = {}
    for variation, first in FIRST_SEEDS.items():
        scan = PhantomOptions((i, j, k), (x, y, z), "portal_venous", variation=variation)
        rows = []
        for seed in range(first, first + options.cases):
            rows.append(measured(segmenter, seed, scan, more=True)[0])
            sys.stderr.write(f"{variation} {seed}: {', '.join(f'{n} {v:.3f}' for n, v in rows[-1].items())}\n")
        # A structure that a phantom does not have, and in which nothing was found, has no score and is left out.
        known = {name: [row[name] for row in rows if name in row] for name in ROWS}
        found[variation] = {name: interval(values) for name, values in known.items() if values}
    sys.stdout.write(
        f"{segmenter!r}: {options.cases} phantoms of each kind, seeds from "
        f"{' and '.join(str(first) for first in FIRST_SEEDS.values())}, {i}x{j}x{k} voxels of {x:g}x{y:g}x{z:g} mm, "
        f"portal venous. {machine()}.\n\n| | {' | '.join(found)} | goal |\n| --- {'| ---: ' * (len(found) + 1)}|\n"
    )
    for name in ROWS:
        cells = [_in_words(name, kind[name]) if name in kind else "" for kind in found.values()]
        goal = f"{GOALS[name]:g}" if name in GOALS else ""
        sys.stdout.write(f"| {name} | {' | '.join(cells)} | {goal} |\n")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        key = f"held_out_{{}}_phantoms_{options.cases}_at_{x:g}x{y:g}x{z:g}_mm"
        options.json.write_text(json.dumps({key.format(kind): v for kind, v in found.items()}, indent=2) + "\n")


def interval(values: Sequence[float]) -> Interval:
    """The mean, and the ends of its 95 % interval by bootstrap; both are the mean itself where all values are alike."""
    mean = float(np.mean(values))
    low = high = mean
    if np.ptp(values) > 0:
        drawn = bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(0))
        low, high = drawn.confidence_interval
    return {"mean": round(mean, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def _in_words(name: str, of: Interval) -> str:
    goal = GOALS.get(name)
    words = f"{of['mean']:.3f} ({of['low']:.3f} to {of['high']:.3f})"
    if goal is None:
        return words
    reached = of["mean"] <= goal if name in _FEWER_IS_BETTER else of["mean"] >= goal
    return f"**{words}**" if reached else words


if __name__ == "__main__":
    main()
