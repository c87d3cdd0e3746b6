# SPDX-License-Identifier: Apache-2.0
"""A user's own label scheme: a YAML file of `value: structure`, and whose labels `--labels` says that they are.

    1: liver              # a voxel value (of a DICOM Segmentation: the number of a segment)
    7: portal_vein
    9: null               # known, and left out
    left_lobe: liver      # in a folder of masks: the name of a file or subfolder, without suffix; * for anything

Structures are the names of the label table (`labels.py`); 0 is the background. Values and names that are not in the
file are errors where they come up, so that nothing is taken for something by accident.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_schemes import CHOICES, SCHEMES, LabelScheme
from liver_seg_ros.files.values import LARGEST_LABEL
from liver_seg_ros.labels import BACKGROUND, STRUCTURES, Structure

LARGEST_FILE = 1 << 20  # bytes; a line takes about 20
SUFFIXES = (".yaml", ".yml")
LEFT_OUT = ("null", "~", "", "background")

_NAMES = ", ".join(structure.name for structure in STRUCTURES)
_FORM = f"Write lines like '1: liver', with structures from {_NAMES}, or null to leave out."


def find_scheme(choice: str) -> LabelScheme:
    """The scheme that `--labels` names: one of `SCHEMES`, or a YAML file as described above.

    Raises `InputError` for anything else, and for a file that says something else.
    """
    scheme = SCHEMES.get(choice.lower())
    if scheme is not None:
        return scheme
    if not choice.lower().endswith(SUFFIXES):
        raise InputError(f"labels of '{choice}' are not known; there are {CHOICES}")
    return read_scheme(Path(choice))


def read_scheme(path: str | Path) -> LabelScheme:
    """The label scheme in a YAML file.

    Raises `InputError` where the file is missing or is no mapping of voxel values or names to structures.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path}: has more than {LARGEST_FILE} bytes; a label scheme is a short file. {_FORM}")
    try:
        # Nodes, not objects: of a key that stands twice Python's mapping would keep one, and `010` would be 8.
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: is no readable YAML file. {_FORM}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error
    if not isinstance(tree, yaml.MappingNode) or not tree.value:
        raise InputError(f"{path}: says nothing about labels. {_FORM}")
    values: dict[int, Structure | None] = {}
    names: dict[str, Structure | None] = {}
    for key, meaning in tree.value:
        line = f"{path}: line {key.start_mark.line + 1}"
        word, structure = _scalar(key, line), _structure(meaning, line)
        value = _value(word, line)
        if value in values or word.lower() in names:
            raise InputError(f"{line}: '{_short(word)}' stands there for the second time. Leave one of them.")
        if value is None:
            names[word.lower()] = structure
        else:
            values[value] = structure
    if values.pop(BACKGROUND, None) is not None:
        raise InputError(f"{path}: makes 0 a structure; it is the background of every label file. Leave it out.")
    return LabelScheme(str(path), str(path), values, names, is_users=True)


def _scalar(node: yaml.Node, line: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise InputError(f"{line}: is not one value and one structure. {_FORM}")
    return str(node.value).strip()


def _value(word: str, line: str) -> int | None:
    """The voxel value that `word` is; None where it is a name."""
    if not word.lstrip("+-").replace(".", "", 1).isdecimal():
        if not word:
            raise InputError(f"{line}: has no value before the colon. {_FORM}")
        return None
    if not (word.isascii() and word.isdigit() and len(word) < 10) or int(word) > LARGEST_LABEL:
        raise InputError(f"{line}: '{_short(word)}' is no label value, a whole number up to {LARGEST_LABEL}. {_FORM}")
    return int(word)


def _structure(node: yaml.Node, line: str) -> Structure | None:
    word = _scalar(node, line).lower()
    if word in LEFT_OUT:
        return None
    for structure in STRUCTURES:
        if word == structure.name:
            return structure
    raise InputError(f"{line}: '{_short(word)}' is no structure. {_FORM}")


def _short(word: str) -> str:
    return word if len(word) <= 40 else f"{word[:40]}..."
