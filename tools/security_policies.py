# SPDX-License-Identifier: Apache-2.0
"""Write config/security/<node>.xml: what SROS2 lets each node publish, take and answer, and nothing else.

    tools/setup/run.sh python tools/security_policies.py [--check]

Made of the tables of docs/ros.md, which a test compares with running nodes. With --check nothing is written; exit code
1 and the names of the files that are not what the tables say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from ros_page import absolute, executables, quoted, rows, users

FOLDER = Path(__file__).resolve().parents[1] / "config" / "security"
#: What every lifecycle node has from ROS itself.
PUBLISHED = ("rosout", "parameter_events", "~/transition_event")
TAKEN = ("parameter_events", "clock")
ANSWERED = (
    *(f"~/{name}" for name in ("change_state", "get_state", "get_available_states")),
    *(f"~/{name}" for name in ("get_available_transitions", "get_transition_graph")),
    *(f"~/{name}" for name in ("describe_parameters", "get_parameter_types", "get_parameters")),
    *(f"~/{name}" for name in ("list_parameters", "set_parameters", "set_parameters_atomically")),
    "~/get_type_description",
)


def policy_of(node: str) -> str:
    """The policy of one node, for `ros2 security create_permission`."""
    root = ElementTree.Element("policy", {"version": "0.2.0"})
    enclaves = ElementTree.SubElement(root, "enclaves")
    enclave = ElementTree.SubElement(enclaves, "enclave", {"path": f"/liver_seg/{node}"})
    profiles = ElementTree.SubElement(enclave, "profiles")
    profile = ElementTree.SubElement(profiles, "profile", {"ns": "/", "node": node})
    _add(profile, "topic", "publish", [*PUBLISHED, *_topics(node, "published by")])
    _add(profile, "topic", "subscribe", [*TAKEN, *_topics(node, "taken by")])
    _add(profile, "service", "reply", [*ANSWERED, *_own(node, "Services", "service")])
    _add(profile, "action", "execute", _own(node, "Actions", "action"))
    ElementTree.indent(root)
    made = "<!-- made by tools/security_policies.py; SPDX-License-Identifier: Apache-2.0 -->"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{made}\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add(profile: ElementTree.Element, kind: str, access: str, names: Iterable[str]) -> None:
    if names := sorted(names):
        group = ElementTree.SubElement(profile, f"{kind}s", {access: "ALLOW"})
        for name in names:
            ElementTree.SubElement(group, kind).text = name


def _topics(node: str, column: str) -> list[str]:
    nodes = executables()
    return [
        topic
        for row in rows("Topics")
        for topic in quoted(row["topic"])
        if node in users(row[column], absolute(topic), nodes)
    ]


def _own(node: str, heading: str, column: str) -> list[str]:
    return [name for row in rows(heading) for name in quoted(row[column]) if name.startswith(f"{node}/")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    options = parser.parse_args()
    wanted = {FOLDER / f"{node}.xml": policy_of(node) for node in executables()}
    there = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.xml")}
    differ = sorted(path for path in wanted.keys() | there if wanted.get(path) != there.get(path))
    for path in differ:
        sys.stdout.write(f"{path.name}\n")
        if not options.check and path in wanted:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        elif not options.check:
            path.unlink()
    return int(bool(differ) and options.check)


if __name__ == "__main__":
    sys.exit(main())
