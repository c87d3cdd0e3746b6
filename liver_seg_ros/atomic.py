"""Writing without half-written files: write beside the target, rename when done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from liver_seg_ros.errors import InputError


@contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """Yield a path in the folder of `path` to write to; it becomes `path` when the block ends without an error.

    The temporary name ends in the name of `path`, so that writers which choose a format by suffix (`.seg.nrrd`,
    `.nii.gz`) choose the right one. The folder is made where it is missing. When the block fails, nothing is left and
    a file that was at `path` before is untouched.

    Raises:
        InputError: the folder cannot be made or written to, or `path` is a folder.
    """
    path = Path(path)
    temporary = path.with_name(f".partial-{uuid4().hex[:8]}-{path.name}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a file to write. Give a file name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise InputError(f"{path}: cannot write here ({error.strerror}). Give another folder.") from error
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
