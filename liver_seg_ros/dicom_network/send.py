# SPDX-License-Identifier: Apache-2.0
"""Sending objects to a PACS (C-STORE), each answered for by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pynetdicom import build_context

from liver_seg_ros.dicom_network.calling import Caller, association
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import damage_named, looks_like_dicom, read_header
from liver_seg_ros.progress import Done, not_told

_MOST_CONTEXTS = 128  # of an association (PS3.8 9.3.2.2)


def dicom_files(paths: Sequence[Path]) -> list[Path]:
    """The DICOM files among `paths` and in the folders among them. Raises `InputError` where there is none."""
    found = []
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in files if file.is_file() and looks_like_dicom(file)]
    if not found:
        raise InputError(f"{', '.join(map(str, paths))}: holds no DICOM files. Give objects of `liver-seg export`.")
    return found


def send(caller: Caller, files: Sequence[Path], done: Done = not_told) -> int:
    """Send all `files`; how many there were.

    Raises `InputError` where the peer cannot be called, or does not take one of them.
    """
    kinds = {path: _kind(path) for path in files}
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in dict.fromkeys(kinds.values())]
    if len(contexts) > _MOST_CONTEXTS:
        raise InputError(f"objects of {len(contexts)} kinds, more than one association takes. Send them in parts.")
    with association(caller, contexts) as opened:
        for number, path in enumerate(files):
            done(number / len(files))
            with damage_named(path, "cannot be sent"):
                dataset = dcmread(path)
                answer = opened.send_c_store(dataset)
            status = answer.get("Status")
            if status is None or (status != 0 and status >> 12 != 0xB):  # 0xBxxx: taken, with a remark
                shown = "nothing" if status is None else f"0x{status:04X}"
                raise InputError(f"{path}: {caller.peer.title} answered {shown}, {number} of {len(files)} were taken")
    return len(files)


def _kind(path: Path) -> tuple[str, str]:
    header = read_header(path)
    return str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID)
