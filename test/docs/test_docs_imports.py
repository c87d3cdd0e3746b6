# SPDX-License-Identifier: Apache-2.0
"""The drawing of imports: what it finds in a small package, and that the real one has no circle."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from draw_imports import PACKAGE, TYPES, read_imports, svg, table  # noqa: E402  after the path

#: Where `top` reaches `low` by way of `mid` as well, so that this arrow is not drawn; `plan` is a module of its own.
FILES = {
    "__init__.py": "",
    "volume.py": "import numpy\n",
    "plan.py": "from small.mid.b import b\n",
    "low/__init__.py": "",
    "low/a.py": "from small.volume import V\n",
    "mid/b.py": "from small.low.a import a\nfrom small.mid.c import c\n",
    "mid/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import small.volume\n",
    "top/d.py": "def f():\n    from small.mid import b\nfrom small.low.a import a\nfrom small.plan import p\n",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "small" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "small"


def test_packages_files_lines_and_arrows(small: Path) -> None:
    found = read_imports(small)
    assert found.arrows == {
        TYPES: set(), "plan": {"mid"}, "low": {TYPES}, "mid": {"low", TYPES}, "top": {"mid", "low", "plan"},
    }  # fmt: skip
    assert found.files == {TYPES: 2, "plan": 1, "low": 2, "mid": 2, "top": 1}
    assert found.lines["mid"] == 5
    assert found.ranks() == [["top"], ["plan"], ["mid"], ["low"], [TYPES]]
    assert found.direct() == {("top", "plan"), ("plan", "mid"), ("mid", "low"), ("low", TYPES)}
    assert "| **all 5** | 8 | 12 | 7 arrows, 4 of them drawn |" in table(found)


def test_a_circle_is_said(small: Path) -> None:
    (small / "low" / "a.py").write_text("from small.top.d import f\n")
    with pytest.raises(ValueError, match="a circle among"):
        read_imports(small).ranks()


def test_the_package_has_no_circle_and_is_drawn() -> None:
    found = read_imports(PACKAGE)
    drawing = ElementTree.fromstring(svg(found))
    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {*found.files} <= {*texts} and found.arrows[TYPES] == set()
