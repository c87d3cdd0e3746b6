# SPDX-License-Identifier: Apache-2.0
"""Every message that the troubleshooting page explains is one that this program gives."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "troubleshooting.md"

#: What stands for a name or a number, on the page and in the messages below.
VARIABLE = "…"


def quoted_messages() -> list[str]:
    """The first cells of the page's rows that are messages: those that begin with a backquote and hold words."""
    cells = re.findall(r"^\| `([^`]+)`[^|]*\|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [cell for cell in cells if " " in cell]


def texts() -> Iterator[str]:
    """All strings of the package, and the lines of the setup scripts, their variable parts replaced."""
    for file in sorted((REPOSITORY / "liver_seg_ros").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = _text(node)
            if text:
                yield re.sub(r"%(s|d|\.\d+f)", VARIABLE, text)
    for file in sorted((REPOSITORY / "tools" / "setup").glob("*.sh")):
        yield file.read_text(encoding="utf-8")


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else VARIABLE for part in node.values)
    return None


@pytest.fixture(scope="module")
def everything() -> str:
    """What the program says, in one string."""
    return "\n".join(texts())


def test_the_page_explains_messages() -> None:
    assert len(quoted_messages()) > 20


@pytest.mark.parametrize("message", quoted_messages())
def test_the_program_gives_this_message(message: str, everything: str) -> None:
    assert message in everything
