# SPDX-License-Identifier: Apache-2.0
"""Draws `docs/failures.png`: synthetic CTs on which the shipped networks fail, the truth above, what they found below.

    .venv/bin/python benchmarks/failures.py [--models DIR] [--output docs/failures.png]

The seeds were chosen because these networks, or those before them, did badly there: the liver goes on into the
stomach's wall, a tumor at the vena cava is found by half, vessels without contrast are missed. Shown is the axial slice
with the most wrong voxels; the Dice of each is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.geometry import Box
from liver_seg_ros.inference.segmenter import Segmenter, load_default_segmenter
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.phantom.tissue import Phase
from liver_seg_ros.phantom.variation import Variation
from liver_seg_ros.rendering.contact_sheet import contact_sheet
from liver_seg_ros.volume import LabelVolume, Volume

ROOT = Path(__file__).resolve().parents[1]
CASES: tuple[tuple[str, int, Variation, Phase], ...] = (
    ("beside the stomach", 11009, "plain", "portal_venous"),
    ("into the stomach", 11005, "plain", "portal_venous"),
    ("tumor half found", 12004, "varied", "portal_venous"),
    ("no contrast", 11002, "plain", "none"),
)
SIZE, SPACING_MM = (256, 256, 160), (1.4, 1.4, 1.6)


def main() -> None:
    """Write the picture and print what is on it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", type=Path, help="folder of localizer/ and segmenter/; the shipped ones if not given"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "failures.png")
    options = parser.parse_args()
    segmenter = load_default_segmenter(options.models)
    above, below, titles = [], [], []
    for title, seed, variation, phase in CASES:
        truth, found = _worst_slice(segmenter, seed, PhantomOptions(SIZE, SPACING_MM, phase, variation=variation))
        above.append(truth)
        below.append(found)
        titles.append(f"{title}, synthetic {seed}")
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name, shown in (("truth", above), ("found", below)):
            path = Path(folder) / f"{name}.png"
            contact_sheet(shown, [f"{name}: {title}" for title in titles], path, columns=len(CASES), view="axial")
            rows.append(Image.open(path).convert("RGB"))
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)))
    for number, row in enumerate(rows):
        sheet.paste(row, (0, number * rows[0].height))
    sheet.thumbnail((1600, 1600))
    sheet.save(options.output, optimize=True)
    sys.stdout.write(f"wrote {options.output}: {sheet.width}x{sheet.height}\n")


def _worst_slice(
    segmenter: Segmenter, seed: int, options: PhantomOptions
) -> tuple[tuple[Volume, LabelVolume], tuple[Volume, LabelVolume]]:
    """The slice with the most wrong voxels: CT and truth, CT and what was found."""
    phantom = generate_phantom(seed, options)
    found = segmenter.segment(phantom.ct).labels
    scores = ", ".join(f"{name} {score:.3f}" for name, score in dice(found, phantom.labels).items())
    k = int(np.count_nonzero(found.array != phantom.labels.array, axis=(1, 2)).argmax())
    sys.stdout.write(f"{options.variation} {seed}, {phantom.phase}: {scores}; slice {k}\n")
    i, j, _ = phantom.ct.geometry.size
    box = Box((0, 0, k), (i, j, k + 1))
    ct = phantom.ct.crop(box)
    return (ct, phantom.labels.crop(box)), (ct, found.crop(box))


if __name__ == "__main__":
    main()
