# SPDX-License-Identifier: Apache-2.0
"""SROS2's policies let each node do what docs/ros.md says that it does; test/ros compares that page with the nodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "config" / "security"


def allowed(node: str, kind: str, access: str) -> set[str]:
    root = ElementTree.parse(FOLDER / f"{node}.xml").getroot()
    [profile] = root.iter("profile")
    assert profile.attrib == {"ns": "/", "node": node}
    return {entry.text or "" for group in profile.iter(f"{kind}s") if access in group.attrib for entry in group}


def test_the_files_are_what_the_page_makes_of_them() -> None:
    check = [sys.executable, str(ROOT / "tools" / "security_policies.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), "run tools/security_policies.py"


def test_a_guard_hears_what_it_needs_and_says_what_it_must_and_nothing_else() -> None:
    assert allowed("needle_guard", "topic", "subscribe") == {
        "/tf", "/tf_static", "clock", "meshes", "parameter_events", "trajectory",
    }  # fmt: skip
    assert allowed("needle_guard", "topic", "publish") == {
        "/diagnostics", "needle_guard/markers", "needle_guard/reading", "parameter_events", "rosout",
        "~/transition_event",
    }  # fmt: skip


def test_only_who_answers_may_answer() -> None:
    answering = {
        path.stem: {name for name in allowed(path.stem, "service", "reply") if not name.startswith("~/")}
        for path in FOLDER.glob("*.xml")
    }
    assert answering.pop("registration") == {"registration/register_frame"}
    assert all(name.startswith(f"{node}/") for node, names in answering.items() for name in names)
    assert allowed("segmentation", "action", "execute") == {"segmentation/segment_volume"}
    assert allowed("planner", "action", "execute") == set()
