# SPDX-License-Identifier: Apache-2.0
"""Draws `docs/phantoms.png`: twelve phantoms, axial and coronal, to be judged by eye beside a real CT.

python benchmarks/phantom_sheet.py [--output docs/phantoms.png] [--beside CT ...]     real CTs become the last tiles
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.phantom.tissue import PHASES
from liver_seg_ros.rendering.contact_sheet import contact_sheet
from liver_seg_ros.rendering.slices import View
from liver_seg_ros.volume import LabelVolume, Volume

SEEDS = range(10100, 10112)  # never trained on
ROOT = Path(__file__).resolve().parents[1]


def scan(seed: int) -> PhantomOptions:
    """Every phase in turn, slices of 1.5 to 5 mm."""
    slice_mm = (1.5, 2.5, 5.0)[seed // 3 % 3]
    return PhantomOptions(
        size=(480, 420, round(330 / slice_mm)), spacing_mm=(0.85, 0.85, slice_mm), phase=PHASES[seed % 3]
    )


def main() -> None:
    """Write the sheet and print what is on it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "phantoms.png")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="real CTs to show without labels")
    options = parser.parse_args()
    shown: list[tuple[Volume, LabelVolume | None]] = []
    titles = []
    for seed in SEEDS:
        phantom = generate_phantom(seed, scan(seed))
        shown.append((phantom.ct, phantom.labels))
        titles.append(f"synthetic {seed}, {phantom.phase.replace('_', '-')}, {phantom.ct.geometry.spacing_mm[2]:g} mm")
        volumes = {name: count * phantom.ct.geometry.voxel_volume_ml for name, count in phantom.labels.counts().items()}
        print(titles[-1], ", ".join(f"{name} {ml:.0f} ml" for name, ml in volumes.items()))
    for path in options.beside:
        shown.append((read_volume(path), None))
        titles.append(f"real CT {path.name}")

    def halves() -> Iterator[Image.Image]:
        with tempfile.TemporaryDirectory() as folder:
            views: tuple[View, View] = ("axial", "coronal")
            for view in views:
                contact_sheet(shown, titles, Path(folder) / f"{view}.png", columns=6, view=view)
                yield Image.open(Path(folder) / f"{view}.png").convert("RGB")

    top, bottom = halves()
    sheet = Image.new("RGB", (top.width, top.height + bottom.height))
    sheet.paste(top, (0, 0))
    sheet.paste(bottom, (0, top.height))
    sheet.thumbnail((2000, 4000))
    sheet.save(options.output, optimize=True)
    print(f"wrote {options.output}: {sheet.width}x{sheet.height}")


if __name__ == "__main__":
    main()
