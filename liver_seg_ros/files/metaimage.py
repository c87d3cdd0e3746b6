"""Is a MetaImage file whole? MetaIO answers cut-off pixel data on stderr and damaged ones with noise, so ask first."""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path

from liver_seg_ros.errors import InputError

BYTES_PER_TYPE = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG", "MET_ULONG", "MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
LONGEST_HEADER = 65536
CHUNK = 1 << 22


def check_whole_metaimage(path: Path) -> None:
    """Raise `InputError` where the pixel data of a `.mha` or `.mhd` file are missing, cut off or damaged.

    Header fields: https://itk.org/Wiki/ITK/MetaIO/Documentation (only binary data in one file are taken).
    """
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    fields: dict[str, str] = {}
    offset = 0
    while "ElementDataFile" not in fields:
        end = start.find(b"\n", offset)
        key, equals, value = start[offset : max(end, 0)].decode("ascii", "replace").partition("=")
        if end < 0 or not equals:
            raise InputError(f"{path}: is no readable MetaImage file. Export it again.")
        fields[key.strip()] = value.strip()
        offset = end + 1
    data_path, offset = _data_file(path, fields["ElementDataFile"], offset)
    try:
        size = [int(n) for n in fields["DimSize"].split()]
        # MetaIO believes NDims and writes beyond its own memory where that is wrong.
        if int(fields["NDims"]) != len(size) or not 2 <= len(size) <= 4 or min(size) < 1:
            raise ValueError(f"NDims {fields['NDims']} and DimSize {size}")
        needed = prod(size) * BYTES_PER_TYPE[fields["ElementType"]]
        needed *= int(fields.get("ElementNumberOfChannels", "1"))
        stored = int(fields.get("CompressedDataSize", "0")) or data_path.stat().st_size - offset
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: has an unusable MetaImage header. Export it again.") from error
    if fields.get("CompressedData", "False").lower() in ("true", "1"):
        found = _inflated(data_path, offset, stored)
    else:
        found = min(data_path.stat().st_size - offset, needed)  # other programs may have appended notes
    if found != needed:
        raise InputError(f"{path}: is cut off or damaged ({found} of {needed} bytes). Copy or export it again.")


def _data_file(path: Path, name: str, header_end: int) -> tuple[Path, int]:
    if name.upper() in ("LOCAL", ""):
        return path, header_end
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(f"{path}: is spread over several data files. Save it as one .mha file.")
    data_path = path.parent / name
    if not data_path.is_file():
        raise InputError(f"{path}: its data file {name} is missing. Copy it beside, or save as one .mha file.")
    return data_path, 0


def _inflated(path: Path, offset: int, stored: int) -> int:
    """Bytes that the `stored` bytes of a zlib stream at `offset` unpack to; 0 where it is cut off or damaged."""
    inflater = zlib.decompressobj()
    size = 0
    with path.open("rb") as file:
        file.seek(offset)
        try:
            while not inflater.eof and (chunk := file.read(max(0, min(CHUNK, stored)))):
                size += len(inflater.decompress(chunk))
                stored -= len(chunk)
        except zlib.error:
            return 0
    return size if inflater.eof and stored == 0 and not inflater.unused_data else 0
