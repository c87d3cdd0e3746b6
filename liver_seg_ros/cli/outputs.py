"""The folder that a command writes: all of its files appear together at the end, or none does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from liver_seg_ros.errors import InputError


def check_output_folder(folder: Path) -> None:
    """Raise `InputError` where results could not be written to `folder`; called before the work, not after it."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"output '{folder}' cannot be a folder: '{existing}' is a file; choose another with -o")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"output '{folder}': no permission to write in '{existing}'; choose another with -o")


@contextmanager
def output_folder(folder: Path, replaces: Iterable[str] = ()) -> Iterator[Path]:
    """A temporary folder inside `folder` whose files move into `folder` when the block ends well.

    An exception, Ctrl-C included, leaves `folder` as it was. Files called as in `replaces` that this run did not write
    are removed: they are an earlier run's, and would be taken for results of this one.

    Raises:
        InputError: see `check_output_folder`; also where a folder stands at the place of a file to be written.
    """
    check_output_folder(folder)
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".liver-seg-", suffix=".part", dir=folder) as name:
            temporary = Path(name)
            yield temporary
            written = sorted(path.name for path in temporary.iterdir())
            blocked = [name for name in {*written, *replaces} if (folder / name).is_dir()]
            if blocked:
                raise InputError(f"output '{folder / min(blocked)}' is a folder where a file goes; move it away")
            for name in written:
                (temporary / name).replace(folder / name)
            for name in set(replaces).difference(written):
                (folder / name).unlink(missing_ok=True)
    except BaseException:
        for path in made:
            if not any(path.iterdir()):
                path.rmdir()
        raise
