# SPDX-License-Identifier: Apache-2.0
"""Write CHANGELOG.rst, which catkin's and bloom's tools read (REP-132), from CHANGELOG.md, where changes are noted.

    tools/setup/run.sh python tools/changelog_rst.py [--check]

That of liver_seg_interfaces has the entries that name one of its messages, services or actions.
With --check nothing is written; exit code 1 where a file is not what it would be.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "CHANGELOG.md"
INTERFACES = ROOT / "liver_seg_interfaces"
TARGETS = {"liver_seg_ros": ROOT / "CHANGELOG.rst", "liver_seg_interfaces": INTERFACES / "CHANGELOG.rst"}
WIDTH = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, say whether it differs")
    options = parser.parse_args()
    markdown, differs = SOURCE.read_text(encoding="utf-8"), False
    for package, target in TARGETS.items():
        text = to_rst(markdown, package)
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        if options.check:
            print(f"{target.relative_to(ROOT)} is not what {SOURCE.name} says: run tools/changelog_rst.py")
            differs = True
        else:
            target.write_text(text, encoding="utf-8")
    return int(differs)


def to_rst(markdown: str, package: str = "liver_seg_ros") -> str:
    """The same versions and entries; the kinds of changes (Added, Fixed) become items that hold their entries."""
    blocks = re.split(r"\n(?=## |### |- )", markdown)[1:]
    if package == INTERFACES.name:
        blocks = list(_about_interfaces(blocks))
    title = f"Changelog for package {package}"
    line = "^" * len(title)
    return "\n".join([".. Made by tools/changelog_rst.py of CHANGELOG.md.", "", line, title, line, *_body(blocks), ""])


def _about_interfaces(blocks: Iterable[str]) -> Iterator[str]:
    """All versions; of their entries those that name an interface, and the kinds that have such."""
    names = sorted(path.stem for folder in ("msg", "srv", "action") for path in (INTERFACES / folder).iterdir())
    compound = [name for name in names if re.search(r"[a-z][A-Z]", name)]  # one word may mean something else in prose
    named = re.compile(rf"\b({'|'.join(compound)}|{INTERFACES.name})\b|`[\w/]*\b({'|'.join(names)})\b[^`]*`")
    kind = ""
    for block in blocks:
        if block.startswith("### "):
            kind = block
        elif block.startswith("## "):
            kind = ""
            yield block
        elif named.search(block):
            if kind:
                yield kind
            kind = ""
            yield block


def _body(blocks: Iterable[str]) -> Iterator[str]:
    for block in blocks:
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
