# SPDX-License-Identifier: Apache-2.0
"""Writes `_generated/command_line.md` from the commands themselves, by typer's own generator."""

from __future__ import annotations

from pathlib import Path

import typer
from sphinx.application import Sphinx
from typer.cli import get_docs_for_click

from liver_seg_ros.cli.app import app as commands


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}


def _write(app: Sphinx) -> None:
    command = typer.main.get_command(commands)
    text = get_docs_for_click(
        obj=command, ctx=typer.Context(command), name="liver-seg", title="The command line", call_prefix=""
    )
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    (folder / "command_line.md").write_text(text, encoding="utf-8")
