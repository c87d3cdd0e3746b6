# SPDX-License-Identifier: Apache-2.0
"""How small labels get on their way over DDS, and how long that takes.

    tools/setup/run.sh python benchmarks/label_compression.py
    tools/setup/run.sh python benchmarks/label_compression.py mask.nii.gz labels.nrrd

Prints Markdown. Labels of a phantom, and of the files named, as the node `segmentation` sends them: in 32 slabs, each a
zlib stream. Without files, the real masks beside the repository are taken where they are. The fastest of several runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _machine import machine
from builtin_interfaces.msg import Time

from liver_seg_ros.files.volumes import read_stored
from liver_seg_ros.nodes.messages.slab import COMPRESSION_ZLIB
from liver_seg_ros.nodes.messages.volumes import message_to_slab, volume_to_slabs
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.volume import LabelVolume

SLABS = 32
MASKS = Path(__file__).resolve().parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="labels or masks")
    parser.add_argument("--size", default="512,512,300", help="voxels I,J,K of the phantom (%(default)s)")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    sys.stdout.write(f"{machine()}; fastest of {options.runs}.\n\n")
    sys.stdout.write("| labels | MB | ratio | compress, ms | inflate, ms |\n| --- | ---: | ---: | ---: | ---: |\n")
    for name, labels in _labels(options.files, options.size):
        compress_s, inflate_s, compressed = (min(column) for column in zip(*_runs(labels, options.runs), strict=True))
        megabytes, ratio = labels.array.nbytes / 1e6, labels.array.nbytes / compressed
        row = f"{name} | {megabytes:.1f} | {ratio:.0f} | {compress_s * 1000:.0f} | {inflate_s * 1000:.0f}"
        sys.stdout.write(f"| {row} |\n")
        sys.stdout.flush()


def _labels(files: list[Path], size: str) -> Iterator[tuple[str, LabelVolume]]:
    i, j, k = (int(n) for n in size.split(","))
    options = PhantomOptions(size=(i, j, k), spacing_mm=(384 / i, 384 / j, 300 / k))
    yield f"phantom 9001, {i}x{j}x{k}", generate_phantom(9001, options).labels
    for path in files or sorted([*MASKS.glob("vessel_masks_fullres/*"), *MASKS.glob("ct_torso_3mm/liver.nii.gz")]):
        mask, geometry, _ = read_stored(path)
        labels = LabelVolume(mask.astype(np.uint8), geometry)
        yield f"{path.name}, {'x'.join(map(str, geometry.size))}", labels


def _runs(labels: LabelVolume, runs: int) -> Iterator[tuple[float, float, int]]:
    """Seconds to compress, seconds to inflate, bytes sent."""
    for _ in range(runs):
        began = time.perf_counter()
        messages = list(volume_to_slabs(labels, SLABS, Time(), COMPRESSION_ZLIB))
        compressed = time.perf_counter()
        arrived = [message_to_slab(message).voxels() for message in messages]
        inflated = time.perf_counter()
        if not np.array_equal(np.concatenate(arrived), labels.array):
            raise RuntimeError("what was inflated is not what was compressed")
        yield compressed - began, inflated - compressed, sum(len(message.data) for message in messages)


if __name__ == "__main__":
    main()
