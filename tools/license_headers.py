# SPDX-License-Identifier: Apache-2.0
"""Give every Python file the line that names its license, in the form of https://spdx.dev.

    python tools/license_headers.py [--check]

With --check nothing is written; exit code 1 and the names of the files that have no such line.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINE = "# SPDX-License-Identifier: Apache-2.0\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, say which files have none")
    options = parser.parse_args()
    without = [path for path in _files() if LINE not in path.read_text(encoding="utf-8")[:500]]
    for path in without:
        print(path.relative_to(ROOT))
        if not options.check:
            path.write_text(with_header(path.read_text(encoding="utf-8")), encoding="utf-8")
    return int(options.check and bool(without))


def with_header(text: str) -> str:
    """The text with the line at its top, below what tells the system how to run it."""
    first, newline, rest = text.partition("\n")
    return f"{first}{newline}{LINE}{rest}" if first.startswith("#!") else f"{LINE}{text}"


def _files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607  the git that is there
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.stat().st_size]


if __name__ == "__main__":
    sys.exit(main())
