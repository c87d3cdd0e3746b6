# SPDX-License-Identifier: Apache-2.0
"""Names of files for libraries that take UTF-8 only: a name may be any bytes, and ITK ends the process over some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """`path` itself where it is UTF-8, else, while the block lasts, a link to its folder or, if need be, to the file.

    A writer follows the link to a file only where the file exists. The link ends in the suffixes of `path`.
    """
    if _is_utf8(str(path)):
        yield str(path)
        return
    with TemporaryDirectory(prefix="liver-seg-") as folder:
        link = Path(folder) / "link"
        if _is_utf8(path.name):  # files that a header names lie beside it
            link.symlink_to(path.parent.absolute())
            yield str(link / path.name)
        else:
            link = link.with_name("link" + "".join(filter(_is_utf8, path.suffixes)))
            link.symlink_to(path.absolute())
            yield str(link)


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # a byte that is none stands as a lone surrogate
        return False
    return True
