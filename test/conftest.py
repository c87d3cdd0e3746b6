# SPDX-License-Identifier: Apache-2.0
"""What all tests share: where the real data is, a browser, and the skips that say so when they are not there."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, not about the code.
# The same examples in every run: what fails a test is a change, not chance.
settings.register_profile("liver_seg_ros", deadline=None, derandomize=True)
settings.load_profile("liver_seg_ros")

REPOSITORY = Path(__file__).resolve().parents[1]


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
