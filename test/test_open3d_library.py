# SPDX-License-Identifier: Apache-2.0
"""Open3D without its pages, and with them for who asks."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import sys
from concurrent.futures import ThreadPoolExecutor
from liver_seg_ros.open3d_library import import_open3d
with ThreadPoolExecutor(4) as pool:
    open3d, *others = pool.map(lambda _: import_open3d(), range(4))
assert all(other is open3d for other in others)
assert open3d.t.geometry.RaycastingScene
assert "dash" not in sys.modules and "IPython" not in sys.modules
"""

PAGE = """
figure = open3d.visualization.get_plotly_fig([open3d.geometry.TriangleMesh.create_box()])
assert type(figure).__name__ == "Figure" and "dash" in sys.modules
from open3d.visualization import draw_plotly
assert draw_plotly.__module__ == "open3d.visualization.draw_plotly"
"""

BEFORE = """
import open3d as given, sys
from liver_seg_ros.open3d_library import import_open3d
assert import_open3d() is given
"""


@pytest.mark.parametrize("code", [ASK, ASK + PAGE, BEFORE], ids=["without pages", "a page later", "imported before"])
def test_open3d_is_imported_without_what_opens_pages(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
