# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder were written by which command: a small file beside them says it.

Of each file it holds the command and the SHA-256, so that a file which someone changed or put in its place since then
counts as theirs. It moves and is copied with the folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD = ".liver-seg.json"
FORMAT = 1

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Written:
    """By whom a file was written, and what it then held."""

    command: str
    sha256: str


def written_by(command: str, path: Path) -> Written:
    """The entry for the file at `path`, as it is now."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return Written(command, digest.hexdigest())


def is_unchanged(path: Path, entry: Written) -> bool:
    """Whether a regular file at `path` holds what was written there."""
    return path.is_file() and not path.is_symlink() and written_by(entry.command, path) == entry


def read_record(folder: Path) -> dict[str, Written]:
    """The entries by name of the file; none where there is no record, or none that can be understood."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            return {}
        return {name: Written(**entry) for name, entry in record["files"].items() if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_record(folder: Path, entries: Mapping[str, Written]) -> None:
    """Write the record into `folder`."""
    files = {name: asdict(entries[name]) for name in sorted(entries)}
    (folder / RECORD).write_text(json.dumps({"format": FORMAT, "files": files}, indent=2) + "\n", encoding="utf-8")
