# SPDX-License-Identifier: Apache-2.0
"""The names of labels that a NIfTI file holds itself, as TotalSegmentator writes them.

They stand in a header extension in the form of Connectome Workbench's volume labels: XML with `<Label Key="5" ...>liver
</Label>` in `CaretExtension/VolumeInformation/LabelTable`.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import nibabel

LARGEST_TABLE = 1 << 20  # bytes


def read_label_names(path: Path) -> dict[int, str]:
    """The name of each label value in the header of a readable NIfTI file; nothing where it names none."""
    names: dict[int, str] = {}
    for extension in nibabel.load(path).header.extensions:  # type: ignore[attr-defined]
        content = extension.get_content()
        if isinstance(content, bytes) and b"<CaretExtension" in content:
            names |= _names(content.strip(b"\0 \r\n\t"))
    return names


def _names(xml: bytes) -> dict[int, str]:
    if len(xml) > LARGEST_TABLE or b"<!" in xml.replace(b"<![CDATA[", b""):  # a table of names defines no entities
        return {}
    try:
        labels = ElementTree.fromstring(xml).findall("VolumeInformation/LabelTable/Label")  # noqa: S314  without entities, see above
    except ElementTree.ParseError:
        return {}
    keys = ((label.get("Key", ""), (label.text or "").strip()) for label in labels)
    return {int(key): name for key, name in keys if key.isascii() and key.isdigit() and len(key) < 10 and name}
