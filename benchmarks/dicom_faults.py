# SPDX-License-Identifier: Apache-2.0
"""What becomes of a DICOM receiver when senders, networks, disks or it itself fail: each fault tried several times.

    tools/setup/run.sh python benchmarks/dicom_faults.py                           every fault, ten times
    tools/setup/run.sh python benchmarks/dicom_faults.py --only killed   those with "killed" in them

Prints Markdown: of each fault how often it was tried, how often an object that was answered with success was not on
disk as it was sent (lost), and how often the answer was not the right one or a series was taken for complete that was
not (wrong). The receiver is the real command in a process of its own, the senders are pynetdicom's.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from _dicom_fault_cases import CASES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=10, help="of each fault (%(default)s)")
    parser.add_argument("--only", default="", help="faults whose names hold this")
    parser.add_argument("--seed", type=int, default=1, help="of chance (%(default)s)")
    options = parser.parse_args()
    sys.stdout.write("| fault | what has to happen | tries | lost | wrong |\n| --- | --- | ---: | ---: | ---: |\n")
    said: list[str] = []
    for name, (right, case) in CASES.items():
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            chance = random.Random(options.seed)  # noqa: S311  draws faults, not secrets
            tried = case(Path(folder), options.tries, chance)
        sys.stdout.write(f"| {name} | {right} | {tried.tries} | {len(tried.lost)} | {len(tried.wrong)} |\n")
        sys.stdout.flush()
        said += [f"{name}: {line}" for line in (*tried.lost, *tried.wrong)]
    sys.stdout.write("".join(f"\n{line}" for line in said))
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
