# SPDX-License-Identifier: Apache-2.0
"""What all tests share: where the real data is, a browser, and the skips that say so when they are not there."""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import settings

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, VENA_CAVA
from liver_seg_ros.volume import LabelVolume

# How long an example takes says something about the machine, not about the code.
# The same examples in every run: what fails a test is a change, not chance.
settings.register_profile("liver_seg_ros", deadline=None, derandomize=True)
settings.load_profile("liver_seg_ros")

REPOSITORY = Path(__file__).resolve().parents[1]

# Under `nohup` all that tests start would inherit its deafness, and those that tell them to hang up would wait.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """What was imported stays until the end: garbage is not looked for among its million objects again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _engines_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """On a machine with a GPU, engines that tests build are not kept among the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVER_SEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _commands_are_described_once() -> Iterator[None]:
    """Typer describes all commands anew in each call of `liver-seg`, which in this process are hundreds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session")
def exporter_reads_its_library_once() -> Iterator[None]:
    """PyTorch's exporter reads its 500 ONNX functions again for every network, which takes longer than a tiny one."""
    if not (importlib.util.find_spec("torch") and importlib.util.find_spec("onnxscript")):
        yield  # tests that export are skipped then, with a reason
        return
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real CT and masks (see docs); tests that need it skip with a reason where it is missing."""
    folder = Path(os.environ.get("LIVER_SEG_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real CT test data is not at {folder}; set LIVER_SEG_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def faults() -> Path:
    """The folder of small inputs that were once answered wrongly; tests that need it skip with a reason without it."""
    folder = Path(os.environ.get("LIVER_SEG_TEST_FAULTS", REPOSITORY.parent / "shared" / "faults"))
    if not folder.is_dir():
        pytest.skip(f"small inputs that were answered wrongly are not at {folder}; set LIVER_SEG_TEST_FAULTS to them")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of a file system of 1 MB; skips with a reason where it may not be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        pytest.skip(f"no file system can be mounted: {error}")
    if done.returncode:
        pytest.skip(f"no file system may be mounted: {done.stderr.strip()} (root may)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], timeout=60, check=True)


@pytest.fixture(scope="session")
def processes_that_mention() -> Callable[[str], list[str]]:
    """Command lines of running processes that hold a word; empty where there is no /proc."""

    def find(word: str) -> list[str]:
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:  # it ended meanwhile
                continue
        return [line for line in lines if word in line]

    return find


@pytest.fixture(scope="module")
def browser(
    tmp_path_factory: pytest.TempPathFactory, processes_that_mention: Callable[[str], list[str]]
) -> Iterator[Any]:
    """A headless Chromium, which ends with the file that uses it; skips with a reason where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (make setup-dev)")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with its chromedriver on this machine (make setup-dev installs them)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("chromium")
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
        "--window-size=1280,1000", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        started.get("about:blank")  # away from the browser's own first page, which loads its own files
        yield started
    finally:
        started.quit()
    deadline = time.monotonic() + 10
    while left := processes_that_mention(str(profile)):
        assert time.monotonic() < deadline, f"the browser outlives its tests: {left}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def couinaud_liver() -> LabelVolume:
    """A liver with all that Couinaud's segments are told apart by, drawn by hand in voxels of 3 mm.

    In voxels (i, j, k): the vena cava along (27, 36), from (27, 33, 37) hepatic veins in 20, 75 and 125 degrees, a
    portal fork at (26, 22, 19).
    """
    k, j, i = np.indices((44, 44, 56))
    at = np.stack([i, j, k], axis=-1)
    array = np.zeros(i.shape, np.uint8)
    array[((i - 26) / 25) ** 2 + ((j - 21) / 20) ** 2 + ((k - 22) / 20) ** 2 < 1] = LIVER.value

    def draw(start: tuple, end: tuple, radius: float, value: int) -> None:
        along = np.subtract(end, start)
        part = (((at - start) @ along) / (along @ along)).clip(0, 1)
        array[np.linalg.norm(at - start - part[..., None] * along, axis=-1) <= radius] = value

    for degrees in np.radians((20, 75, 125)):
        draw((27, 33, 37), (27 - 21 * np.cos(degrees), 33 - 21 * np.sin(degrees), 31), 1.6, HEPATIC_VEIN.value)
    for start, end in (((27, 24, 10), (26, 22, 19)), ((26, 22, 19), (10, 20, 21)), ((26, 22, 19), (42, 18, 23))):
        draw(start, end, 1.8, PORTAL_VEIN.value)
    array[(i - 27) ** 2 + (j - 36) ** 2 <= 6] = VENA_CAVA.value
    return LabelVolume(array, Geometry((56, 44, 44), (3.0, 3.0, 3.0)), "couinaud")
