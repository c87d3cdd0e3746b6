# SPDX-License-Identifier: Apache-2.0
"""The definition of a message as its package was installed with it, for recordings that explain themselves."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from liver_seg_ros.errors import InputError

#: `string NAME=text`: no part of what travels. Text without quotation marks is more than the library reads.
_CONSTANT = re.compile(r"^[ \t]*[\w/<=]+[ \t]+[A-Z][A-Z0-9_]*[ \t]*=.*$", re.MULTILINE)
_BETWEEN = "=" * 80


class Definitions:
    """Reads each definition once, with all that it consists of. Messages are called `package/msg/Name`."""

    def __init__(self) -> None:
        self._store = get_typestore(Stores.EMPTY)
        self._texts: dict[str, str] = {}
        self._used: dict[str, list[str]] = {}

    def text(self, name: str) -> str:
        """The definition, comments included, and behind it those of all messages in it, as MCAP wants it.

        Raises `InputError` where one is not installed.
        """
        needed = self._read_all(name)
        parts = [f"{_BETWEEN}\nMSG: {other.replace('/msg/', '/')}\n{self._texts[other]}" for other in needed[1:]]
        return "".join([self._texts[name], *parts])

    def type_hash(self, name: str) -> str:
        """The hash that ROS 2 compares types by (REP-2016), as installed. Raises `InputError` as `text` does."""
        description = _installed(name, "json")
        if not description.is_file():  # before Iron
            return self.computed_hash(name)
        entries = json.loads(description.read_text(encoding="utf-8"))["type_hashes"]
        return next(str(entry["hash_string"]) for entry in entries if entry["type_name"] == name)

    def computed_hash(self, name: str) -> str:
        """The same from the definition; wrong where it has a field of the outdated type `char`."""
        self._read_all(name)
        return self._store.hash_rihs01(name)

    def _read_all(self, name: str) -> list[str]:
        needed = [name]
        for each in needed:  # grows on the way
            if each not in self._texts:
                self._read(each)
            needed += [other for other in self._used[each] if other not in needed]
        return needed

    def _read(self, name: str) -> None:
        try:
            text = _installed(name, "msg").read_text(encoding="utf-8").rstrip("\n") + "\n"
            found = get_types_from_msg(_CONSTANT.sub("", text), name)
        except (PackageNotFoundError, ValueError, OSError, TypesysError) as error:
            why = " ".join(str(error).split())
            advice = "source the workspace that has it"
            raise InputError(f"the definition of {name} is not installed ({why:.200}); {advice}") from error
        if name not in self._store.fielddefs:  # two that every store has
            self._store.register(found)
        self._texts[name] = text
        fields = [kind_and_what for _, fields in found.values() for _, kind_and_what in fields]
        self._used[name] = list(dict.fromkeys(used for field in fields if (used := _message_in(*field))))


def _installed(name: str, suffix: str) -> Path:
    package, _, kind = name.partition("/msg/")
    return Path(get_package_share_directory(package)) / "msg" / f"{kind}.{suffix}"


def message_class(name: str) -> type:
    """The class of `package/msg/Name`. Raises `InputError` where its package is not installed."""
    package, _, kind = name.partition("/msg/")
    try:
        found: type = getattr(import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{name} cannot be imported; source the workspace that has it") from error
    return found


def _message_in(kind: Nodetype, of: Any) -> str:
    """The message that a type is, or is many of; an empty string for numbers and text."""
    if kind == Nodetype.NAME:
        return str(of)
    if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        (inner_kind, inner), _ = of
        return _message_in(inner_kind, inner)
    return ""
