# SPDX-License-Identifier: Apache-2.0
"""The pictures of README.md: a plan for a synthetic patient, in 3D and as its page is scrolled and turned.

    tools/setup/run.sh python tools/readme_pictures.py        writes docs/scene.png and docs/report.gif

The patient is one of the phantoms of `benchmarks/phantom_accuracy.py`, on which no network was trained. What the
networks make of it is printed with the Dice that the caption names. Needs chromium and selenium (`make setup-dev`).
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

DOCS = Path(__file__).resolve().parents[1] / "docs"
SEED = 11003
PHANTOM = ("--size", "512,512,260", "--spacing-mm", "0.75,0.75,1", "--phase", "portal_venous")

#: Of the window, and of the animation: wide enough to read the heads of a table.
WINDOW_PX, SHOWN_PX = (1280, 960), (800, 600)
#: Colors of the palette for what is gray, what is not, and what is bright; and where those begin, in levels of 255.
COLORS = (64, 48, 48)
GRAY, BRIGHT = 24, 60
SLICES, TURNS, FRAME_MS = 14, 22, 120
LAST_MS = 1500  # the best trajectory is looked at


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(Path(folder))
        shutil.copy(plan / "scene.png", DOCS / "scene.png")
        write_gif(list(frames(plan / "report.html", Path(folder) / "profile")), DOCS / "report.gif")
    for name in ("scene.png", "report.gif"):
        print(f"{DOCS / name}: {(DOCS / name).stat().st_size / 1e6:.1f} MB")


def make_plan(folder: Path) -> Path:
    """The folder of a plan for the largest lesion, by the commands that README.md names."""
    case, found, plan = (folder / name for name in ("case", "found", "plan"))
    liver_seg("phantom", "-o", case, "--seed", SEED, *PHANTOM)
    report = json.loads(
        liver_seg("segment", case / "ct.nii.gz", "-o", found, "--truth", case / "labels.nii.gz", "--json")
    )
    print(f"seed {SEED}, Dice: {report['dice']}")
    liver_seg(
        "plan", found / "labels.nii.gz", "--ct", case / "ct.nii.gz", "-o", plan, "--ablation", "20,15", "--png",
        "--html",
    )  # fmt: skip
    return plan


def liver_seg(*arguments: object) -> str:
    """What the command prints. Raises `CalledProcessError` where it fails; its own message is on stderr."""
    command = [sys.executable, "-m", "liver_seg_ros", *map(str, arguments), "-q"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def frames(page: Path, profile: Path) -> Iterator[Image.Image]:
    """The page as a user sees it who scrolls through the axial slices and then turns the 3D scene once around."""
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
        "--hide-scrollbars", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or ""
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.set_window_size(*WINDOW_PX)
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": WINDOW_PX[0], "height": WINDOW_PX[1], "deviceScaleFactor": 1, "mobile": False},
        )
        browser.get(page.as_uri())
        WebDriverWait(browser, 60).until(lambda b: b.execute_script("return document.querySelector('#scene canvas')"))
        browser.execute_script("document.getElementById('views').scrollIntoView()")
        last = browser.execute_script(
            "window.slider = document.querySelector('[data-view=axial] input'); return Number(window.slider.value)"
        )
        for n in range(SLICES):
            show_slice(browser, round(last * (0.35 + 0.65 * (n + 1) / SLICES)))
            yield shot(browser)
        x, y, z = browser.execute_script(
            "const eye = document.getElementById('scene').layout.scene.camera.eye; return [eye.x, eye.y, eye.z]"
        )
        for n in range(1, TURNS + 1):
            c, s = cos(2 * pi * n / TURNS), sin(2 * pi * n / TURNS)
            turn_to(browser, {"x": c * x - s * y, "y": s * x + c * y, "z": z})
            yield shot(browser)
    finally:
        browser.quit()


def show_slice(browser: Any, number: int) -> None:
    browser.execute_script(
        "window.slider.value = arguments[0]; window.slider.dispatchEvent(new Event('input'))", number
    )


def turn_to(browser: Any, eye: dict[str, float]) -> None:
    browser.execute_async_script(
        "window.Plotly.relayout('scene', {'scene.camera.eye': arguments[0]}).then(arguments[1])", eye
    )


def shot(browser: Any) -> Image.Image:
    browser.execute_async_script(  # after the picture of the slice is decoded and two frames are drawn
        "const done = arguments[0]; Promise.all([...document.images].map((image) => image.decode().catch(() => 0)))"
        ".then(() => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
    )
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    return picture.resize(SHOWN_PX, Image.Resampling.LANCZOS)


def write_gif(pictures: list[Image.Image], path: Path) -> None:
    """An endless animation with one palette for all frames, so that what stands still costs nothing."""
    palette = palette_of(pictures[:: len(pictures) // 5])
    first, *rest = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    durations_ms = [FRAME_MS] * len(rest) + [LAST_MS]
    first.save(path, save_all=True, append_images=rest, duration=durations_ms, loop=0, optimize=False)


def palette_of(pictures: list[Image.Image]) -> Image.Image:
    """A palette in which the few pixels of a needle or an outline have as many colors as the gray of the CT."""
    pixels = np.concatenate([np.asarray(picture).reshape(-1, 3) for picture in pictures])
    saturation = np.ptp(pixels.astype(np.int16), axis=1)
    groups = (saturation < GRAY, saturation >= GRAY, saturation >= BRIGHT)
    palette = Image.new("P", (1, 1))
    palette.putpalette([
        level
        for group, colors in zip(groups, COLORS, strict=True)
        for level in Image.fromarray(pixels[group][None]).quantize(colors).getpalette()[: 3 * colors]
    ])  # fmt: skip
    return palette


if __name__ == "__main__":
    main()
