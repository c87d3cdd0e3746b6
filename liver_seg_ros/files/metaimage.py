# SPDX-License-Identifier: Apache-2.0
"""Is a MetaImage file whole, and does its header say what its voxels mean? ITK asks neither.

MetaIO answers cut-off pixel data on stderr and damaged ones with noise. ITK reads values as stored, without the slope
and offset of the header, takes a spacing that is not there for 1 mm, and centimetres for millimetres.
Header fields: https://itk.org/Wiki/ITK/MetaIO/Documentation (only binary data in one file are taken).
"""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.claims import MOST_INFLATED, check_claim

# MET_LONG is left out: MetaIO reads 4 bytes for it, and programs on 64-bit machines have written 8.
BYTES_PER_TYPE = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
LONGEST_HEADER = 65536
CHUNK = 1 << 22
MILLIMETRES = ("mm", "?", "")


def check_metaimage(path: Path) -> tuple[float, float]:
    """The slope and offset that turn the values stored in a `.mha` or `.mhd` file into those that are meant.

    Raises:
        InputError: its pixel data are missing, cut off or damaged, or its header does not say where voxels are, in mm.
    """
    fields, header_end = _read_fields(path)
    if not _is_true(fields, "BinaryData", default="True"):
        raise InputError(f"{path}: holds its voxels as text. Save it as binary.")
    if fields.get("ElementType") in ("MET_LONG", "MET_ULONG"):
        raise InputError(
            f"{path}: its {fields['ElementType']} has 4 bytes or 8, as programs differ. Save it as MET_INT."
        )
    if not {"ElementSpacing", "ElementSize"} & fields.keys():
        raise InputError(f"{path}: has no spacing (ElementSpacing). Export it with its spacing.")
    unit = fields.get("DistanceUnits", "")
    if unit not in MILLIMETRES:
        raise InputError(f"{path}: its axes are in {unit}, not mm. Export it in mm.")
    _check_whole(path, fields, header_end)
    try:
        slope = float(fields.get("ElementToIntensityFunctionSlope", "1"))
        return slope, float(fields.get("ElementToIntensityFunctionOffset", "0"))
    except ValueError as error:
        raise InputError(f"{path}: has an unusable MetaImage header ({error}). Export it again.") from error


def _read_fields(path: Path) -> tuple[dict[str, str], int]:
    """The header's fields, and the byte at which it ends."""
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
    return fields, offset


def _check_whole(path: Path, fields: dict[str, str], header_end: int) -> None:
    data_path, offset = _data_file(path, fields["ElementDataFile"], header_end)
    try:
        size = [int(n) for n in fields["DimSize"].split()]
        # MetaIO believes NDims and writes beyond its own memory where that is wrong.
        if int(fields["NDims"]) != len(size) or not 2 <= len(size) <= 4 or min(size) < 1:
            raise ValueError(f"NDims {fields['NDims']} and DimSize {size}")
        voxel_bytes = BYTES_PER_TYPE[fields["ElementType"]] * int(fields.get("ElementNumberOfChannels", "1"))
        skipped = int(fields.get("HeaderSize", "0"))
        if skipped > 0 and data_path == path and skipped != header_end:  # MetaIO would take the header for voxels
            raise ValueError(f"HeaderSize {skipped}")
        stored = int(fields.get("CompressedDataSize", "0"))
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: has an unusable MetaImage header. Export it again.") from error
    offset = max(offset, skipped)
    needed, in_file = prod(size) * voxel_bytes, data_path.stat().st_size - offset
    is_compressed = _is_true(fields, "CompressedData", default="False")
    check_claim(str(path), size, voxel_bytes, in_file * MOST_INFLATED if is_compressed else in_file)
    if not is_compressed:
        return  # other programs may have appended notes
    if stored == 0:  # MetaIO then reads noise
        raise InputError(f"{path}: does not say how long its compressed voxels are (CompressedDataSize). Save it anew.")
    found = _inflated(data_path, offset, stored, needed)
    if found != needed:
        raise InputError(f"{path}: is cut off or damaged ({found} of {needed} bytes). Copy or export it again.")


def _is_true(fields: dict[str, str], name: str, default: str) -> bool:
    return fields.get(name, default)[:1] in ("T", "t", "1")  # as MetaIO looks at it


def _data_file(path: Path, name: str, header_end: int) -> tuple[Path, int]:
    if name.upper() in ("LOCAL", ""):
        return path, header_end
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(f"{path}: is spread over several data files. Save it as one .mha file.")
    data_path = path.parent / name
    if not data_path.is_file():
        raise InputError(f"{path}: its data file {name} is missing. Copy it beside, or save as one .mha file.")
    return data_path, 0


def _inflated(path: Path, offset: int, stored: int, most: int) -> int:
    """Bytes that the `stored` bytes of a zlib stream at `offset` unpack to, few more than `most`; 0 where damaged."""
    inflater = zlib.decompressobj()
    size = 0
    with path.open("rb") as file:
        file.seek(offset)
        try:
            while not inflater.eof and size <= most and (chunk := file.read(max(0, min(CHUNK, stored)))):
                stored -= len(chunk)
                while chunk and size <= most:
                    size += len(inflater.decompress(chunk, CHUNK))
                    chunk = inflater.unconsumed_tail
        except zlib.error:
            return 0
    return size if inflater.eof and stored == 0 and not inflater.unused_data else 0
