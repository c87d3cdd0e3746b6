"""What the tests of pictures share: a ball, and a browser that may load nothing but files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from liver_seg_ros.geometry import Vector
from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh


@pytest.fixture(scope="session")
def ball() -> Callable[[Structure, Vector, float], Mesh]:
    """Makes a closed outward sphere of a structure, center and radius in LPS mm."""
    import pyvista as pv

    def make(structure: Structure, center_mm: Vector, radius_mm: float) -> Mesh:
        made = pv.Sphere(radius=radius_mm, center=center_mm, theta_resolution=40, phi_resolution=40)
        vertices = np.asarray(made.points, np.float32)
        normals = (vertices - np.array(center_mm, np.float32)) / np.float32(radius_mm)
        return Mesh(structure, vertices, made.faces.reshape(-1, 4)[:, 1:].astype(np.int32), normals)

    return make


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium; skips with a reason where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (make setup-dev)")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with its chromedriver on this machine (make setup-dev installs them)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
        "--window-size=1280,1000", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()
