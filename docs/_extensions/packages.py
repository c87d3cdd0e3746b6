# SPDX-License-Identifier: Apache-2.0
"""Writes `_generated/packages.md` and its drawing: which package imports which, as `tools/draw_imports.py` finds it."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from draw_imports import read_imports, svg, table


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}


def _write(app: Sphinx) -> None:
    imports = read_imports(Path(app.srcdir).parent / "liver_seg_ros")
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    (folder / "packages.svg").write_text(svg(imports), encoding="utf-8")
    (folder / "packages.md").write_text(_PAGE.format(table=table(imports)), encoding="utf-8")


_PAGE = """# The packages and their imports

![The packages of liver_seg_ros, each above those that it imports](packages.svg)

Drawn by `tools/draw_imports.py` from the code itself. `types` are the modules at the top: what flows between the
packages. No package imports one above it: `pyproject.toml` says so under `tool.importlinter`, `make lint` checks it.

{table}"""
