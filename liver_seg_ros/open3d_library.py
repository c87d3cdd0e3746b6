# SPDX-License-Identifier: Apache-2.0
"""Open3D without its pages for a browser: with Dash and IPython they are half of what it takes to import.

Nothing here opens such a page. Who wants one gets it all the same: Dash is imported when the page is asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from threading import Lock
from types import ModuleType
from typing import Any

_PAGES = "open3d.visualization.draw_plotly"

_lock = Lock()


def import_open3d() -> Any:
    """The module `open3d`, imported at the first call, which takes about a second. Any thread may call it.

    Raises `ModuleNotFoundError` where it is not installed.
    """
    with _lock:
        if "open3d" in sys.modules:
            return importlib.import_module("open3d")
        stand_in = ModuleType(_PAGES)
        stand_in.__dict__["__getattr__"] = _opened_later
        sys.modules[_PAGES] = stand_in
        try:
            return importlib.import_module("open3d")
        finally:
            del sys.modules[_PAGES]


def _opened_later(name: str) -> Callable[..., Any]:
    """In place of a function of `_PAGES`: imports that module when it is called, and calls the real one."""
    if name.startswith("__"):
        raise AttributeError(name)

    def call(*arguments: Any, **options: Any) -> Any:
        pages, around = importlib.import_module(_PAGES), sys.modules["open3d.visualization"]
        for public in ("get_plotly_fig", "draw_plotly", "draw_plotly_server"):  # as `around` has them else
            setattr(around, public, getattr(pages, public))
        return getattr(pages, name)(*arguments, **options)

    return call
