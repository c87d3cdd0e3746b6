# SPDX-License-Identifier: Apache-2.0
"""Write CHANGELOG.rst, which catkin's and bloom's tools read (REP-132), from CHANGELOG.md, where changes are noted.

    tools/setup/run.sh python tools/changelog_rst.py [--check]

With --check nothing is written; exit code 1 where the file is not what it would be.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TARGET = ROOT / "CHANGELOG.md", ROOT / "CHANGELOG.rst"
TITLE = "Changelog for package liver_seg_ros"
WIDTH = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, say whether it differs")
    options = parser.parse_args()
    text = to_rst(SOURCE.read_text(encoding="utf-8"))
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    if options.check:
        print(f"{TARGET.name} is not what {SOURCE.name} says: run tools/changelog_rst.py")
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


def to_rst(markdown: str) -> str:
    """The same versions and entries; the kinds of changes (Added, Fixed) become items that hold their entries."""
    line = "^" * len(TITLE)
    return "\n".join(
        [".. Made by tools/changelog_rst.py of CHANGELOG.md.", "", line, TITLE, line, *_body(markdown), ""]
    )


def _body(markdown: str) -> Iterator[str]:
    for block in re.split(r"\n(?=## |### |- )", markdown)[1:]:
        mark, _, rest = block.partition(" ")
        text = " ".join(rest.split())
        if mark == "##":
            heading = _version(text)
            yield from ("", heading, "-" * len(heading))
        elif mark == "###":
            yield from ("", f"* {text}", "")
        else:
            yield textwrap.fill(_inline(text), WIDTH, initial_indent="  * ", subsequent_indent="    ")


def _version(heading: str) -> str:
    """`Forthcoming`, or `1.2.3 (2026-11-27)`."""
    found = re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", heading)
    if found is None and heading != "[Unreleased]":
        raise SystemExit(f"{SOURCE.name}: '{heading}' is no version; write '[1.2.3] - 2026-11-27' or '[Unreleased]'")
    return "Forthcoming" if found is None else f"{found[1]} ({found[2]})"


def _inline(text: str) -> str:
    """Code, links to the text alone, and what would mean something in reStructuredText made plain."""
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text)
    parts = re.split(r"`([^`]+)`", text)
    plain = [re.sub(r"([*|\\]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    code = [f"``{part.strip()}``" for part in parts[1::2]]
    joined = plain[0]
    for quoted, after in zip(code, plain[1:], strict=True):
        # A literal ends only where no letter follows.
        joined += quoted + ("\\" if re.match(r"\w", after) else "") + after
    return joined


if __name__ == "__main__":
    sys.exit(main())
