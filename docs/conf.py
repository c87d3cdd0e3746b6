# SPDX-License-Identifier: Apache-2.0
"""The documentation site: `make docs` builds it into build/docs with warnings as errors."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from liver_seg_ros import __version__

project = "liver_seg_ros"
author = "The liver_seg_ros maintainers"
release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "command_line",
    "packages",
    "ros_messages",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # as GitHub makes them, so that a link holds on both
source_suffix = {".md": "markdown"}
exclude_patterns: list[str] = []

# Names in docstrings are written as code, not as references, so that they read well in an editor.
default_role = "code"
nitpicky = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"liver_seg_ros {release}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]


def setup(app: Sphinx) -> None:
    """Drawings in Mermaid are shown as text here; GitHub draws them."""
    app.add_lexer("mermaid", TextLexer)
