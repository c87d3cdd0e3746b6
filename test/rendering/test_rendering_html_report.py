# SPDX-License-Identifier: Apache-2.0
"""The page in a browser: it draws, answers to every control, says what it must, and loads nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.html_report import HtmlReport, write_html_report
from liver_seg_ros.report_table import ReportTable
from liver_seg_ros.volume import Volume

#: A name that would break out of the page if it were not escaped.
NASTY = "</script><b id=broken>&amp;.nii.gz"
TARGET = (-20.0, -12.0, 15.0)
DRAWN = tuple(DrawnTrajectory(f"{n} {NASTY}", (-80.0, -30.0 + 30 * n, 15.0), TARGET, 1.0) for n in range(2))
TRAJECTORIES = ReportTable(
    "Trajectories",
    ("rank", "length mm"),
    (("1", "62.6"), ("2", "61.2")),
    places_mm=(TARGET,) * 2,
    are_trajectories=True,
)
LESIONS = ReportTable("Lesions", ("lesion", "volume ml"), (("1", "2.1"),), places_mm=((0.0, 0.0, 0.0),))


@pytest.fixture(scope="module")
def report(ball: Callable[..., Mesh]) -> HtmlReport:
    geometry = Geometry((60, 60, 60), (2.0, 2.0, 2.0), (-59, -59, -59))
    k, j, i = np.indices(geometry.shape)
    inside = np.linalg.norm(geometry.index_to_lps(np.stack([i, j, k], axis=-1)), axis=-1) < 40
    return HtmlReport(
        title="Liver plan",
        input=NASTY,
        facts={"size": "60 x 60 x 60 voxels"},
        versions="liver_seg_ros 0",
        meshes=(ball(LIVER, (0, 0, 0), 40), ball(TUMOR, TARGET, 8)),
        synthetic=True,
        ct=Volume(np.where(inside, 100, -500).astype(np.int16) + (k % 20).astype(np.int16), geometry),
        trajectories=DRAWN,
        tables=(TRAJECTORIES, LESIONS),
        notes=("something to mind",),
    )


@pytest.fixture(scope="module")
def file(report: HtmlReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_html_report(path, report)
    return path


@pytest.fixture(scope="module")
def page(file: Path, browser: Any) -> Any:
    """The browser with the page open and its 3D scene drawn."""
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(file.as_uri())
    wait_for(browser, "return document.querySelectorAll('#scene canvas').length > 0")
    return browser


def wait_for(browser: Any, condition: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 60).until(lambda driver: driver.execute_script(condition))


def run(page: Any, script: str, *arguments: object) -> Any:
    return page.execute_script(script, *arguments)


def move_slider(page: Any, view: str, step: int) -> None:
    run(
        page,
        "const slider = document.querySelector(`[data-view=${arguments[0]}] input`);"
        "slider.value = Number(slider.value) + arguments[1]; slider.dispatchEvent(new Event('input'));",
        view,
        step,
    )


def state(page: Any, view: str) -> dict[str, Any]:
    return run(
        page,
        "const view = document.querySelector(`[data-view=${arguments[0]}]`);"
        "return {src: view.querySelector('img').src, alt: view.querySelector('img').alt,"
        " place: view.querySelector('output').textContent, n: Number(view.querySelector('input').value),"
        " says: view.querySelector('input').getAttribute('aria-valuetext'),"
        " outlines: [...view.querySelectorAll('path.structure')].map((path) => path.getAttribute('d'))}",
        view,
    )


def test_it_says_that_it_is_synthetic_and_not_for_clinical_use(page: Any) -> None:
    from selenium.webdriver.common.by import By

    badges = [badge for badge in page.find_elements(By.CSS_SELECTOR, ".badge") if badge.is_displayed()]
    assert [badge.text for badge in badges] == ["Synthetic: a phantom, no patient", "Not for clinical use"]
    assert "something to mind" in page.find_element(By.TAG_NAME, "header").text


def test_a_file_name_cannot_break_out_of_the_page(page: Any) -> None:
    assert run(page, "return document.getElementById('broken')") is None
    assert NASTY in run(page, "return document.querySelector('.facts').textContent")


def test_there_are_three_stacks_with_the_sides_of_the_patient(page: Any) -> None:
    letters = run(
        page,
        "return [...document.querySelectorAll('[data-view]')].map((view) => view.dataset.view + ' ' +"
        "[...view.querySelectorAll('.letter')].map((letter) => letter.textContent).join(''))",
    )
    assert letters == ["axial RLAP", "coronal RLSI", "sagittal APSI"]


@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
def test_the_slider_changes_picture_outlines_and_words(page: Any, view: str) -> None:
    before = state(page, view)
    move_slider(page, view, -3)
    after = state(page, view)
    move_slider(page, view, 3)
    assert after["n"] == before["n"] - 3 and after["src"] != before["src"] and after["outlines"] != before["outlines"]
    assert after["place"] != before["place"] and after["says"] != before["says"]
    assert state(page, view) == before
    assert before["alt"].startswith(f"{view} slice at ") and before["alt"].endswith("through liver, tumor")


def test_a_slider_answers_to_the_keyboard(page: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    slider = page.find_element(By.CSS_SELECTOR, "[data-view=axial] input")
    before = state(page, "axial")["n"]
    slider.send_keys(Keys.ARROW_RIGHT)
    assert state(page, "axial")["n"] == before + 1
    slider.send_keys(Keys.ARROW_LEFT)


def test_a_click_into_a_slice_moves_the_others_there(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    picture = page.find_element(By.CSS_SELECTOR, "[data-view=axial] svg")
    run(page, "arguments[0].scrollIntoView({block: 'center'})", picture)
    before = state(page, "sagittal")["n"]
    ActionChains(page).move_to_element_with_offset(picture, picture.size["width"] // 4, 0).click().perform()
    assert state(page, "sagittal")["n"] > before  # towards the patient's left


def test_the_3d_scene_is_drawn(page: Any) -> None:
    from selenium.webdriver.common.by import By

    scene = page.find_element(By.ID, "scene")
    run(page, "arguments[0].scrollIntoView({block: 'center'})", scene)
    picture = np.asarray(Image.open(io.BytesIO(scene.screenshot_as_png)).convert("RGB")).astype(int)
    liver = (picture[..., 0] - picture[..., 2] > 20) & (picture[..., 0] > picture[..., 1])
    assert 0.05 < liver.mean() < 0.8


def test_a_row_of_the_table_highlights_its_trajectory_and_moves_the_slices_to_its_target(page: Any) -> None:
    def widths() -> list[float]:
        return run(
            page,
            "return document.getElementById('scene').data.filter((t) => t.meta.layer === 'trajectories')"
            ".map((t) => t.line.width)",
        )

    def choose(row: int) -> None:
        run(page, "document.querySelectorAll('tr.place')[arguments[0]].click()", row)

    choose(0)
    assert widths()[0] > widths()[1]
    choose(2)  # the lesion: another place, the same trajectory
    away = state(page, "axial")
    choose(1)
    assert widths()[1] > widths()[0]
    assert state(page, "axial")["place"].startswith("S 1") and away["place"] != state(page, "axial")["place"]
    needle = "return document.querySelector('[data-view=axial] .needle').getAttribute('d')"
    drawn = run(page, needle)
    choose(0)
    assert run(page, needle) != drawn


def test_a_switch_takes_a_structure_out_of_slices_and_scene(page: Any) -> None:
    toggle = "document.querySelector('#layers input[value=liver]').click()"
    visible = "return document.getElementById('scene').data.find((t) => t.meta.layer === 'liver').visible"
    run(page, toggle)
    assert run(page, visible) is False and state(page, "axial")["outlines"][0] == ""
    run(page, toggle)
    assert run(page, visible) is True and state(page, "axial")["outlines"][0] != ""


def test_every_control_has_a_name(page: Any) -> None:
    unnamed = run(
        page,
        "return [...document.querySelectorAll('input, button, img')].filter((e) =>"
        "!(e.getAttribute('aria-label') || e.alt || e.textContent || e.closest('label')?.textContent)).length",
    )
    assert unnamed == 0


def test_nothing_overflows_on_a_phone(file: Path, page: Any) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        wait_for(page, "return window.innerWidth === 360")
        assert run(page, "return document.documentElement.scrollWidth") == 360
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_no_request_leaves_the_file_and_the_console_has_no_error(page: Any, file: Path) -> None:
    """Runs last: it looks at all that the tests before it did."""
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith(("data:", "blob:"))} == {file.as_uri()}
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_without_a_ct_outlines_stand_on_plain_gray(report: HtmlReport, tmp_path: Path, browser: Any) -> None:
    plain = HtmlReport("Liver", "labels.nii.gz", {}, "liver_seg_ros 0", report.meshes)
    write_html_report(tmp_path / "plain.html", plain)
    assert "Synthetic" not in (tmp_path / "plain.html").read_text(encoding="utf-8")[:20_000]
    browser.get((tmp_path / "plain.html").as_uri())
    wait_for(browser, "return document.querySelectorAll('[data-view=axial] path.structure[d^=M]').length > 0")
    assert run(browser, "return document.querySelectorAll('.picture img').length") == 0
    assert run(browser, "return document.querySelector('[data-view=axial] svg').getAttribute('aria-label')")


def test_a_table_whose_rows_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="cells of its head"):
        ReportTable("Lesions", ("lesion", "volume ml"), (("1",),))
    with pytest.raises(ValueError, match="1 places for 2 rows"):
        ReportTable("Lesions", ("lesion",), (("1",), ("2",)), places_mm=((0, 0, 0),))


def test_a_page_is_written_completely_or_not_at_all(report: HtmlReport, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(InputError):
        write_html_report(tmp_path / "blocked" / "report.html", report)
    with pytest.raises(ValueError, match="at least one mesh"):
        write_html_report(tmp_path / "report.html", HtmlReport("Liver", "x", {}, "", ()))
    assert [path.name for path in tmp_path.iterdir()] == ["blocked"]
