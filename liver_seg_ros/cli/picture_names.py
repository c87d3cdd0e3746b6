# SPDX-License-Identifier: Apache-2.0
"""How the pictures of a case are called; apart from what draws them, which takes long to import."""

from __future__ import annotations

SCENE, OVERLAY, HTML = "scene.png", "overlay.png", "report.html"


def picture_names(png: bool, html: bool) -> tuple[str, ...]:
    """The names of all files that may be written where these are asked for."""
    return (*((SCENE, OVERLAY) if png else ()), *((HTML,) if html else ()))
