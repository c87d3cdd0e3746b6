# SPDX-License-Identifier: Apache-2.0
"""The page that `reconstruct`, `measure` and `plan` write with --html, opened in a browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from liver_seg_ros.cli import main

COMMANDS = {
    "reconstruct": [],
    "measure": [],
    "plan": ["--ablation", "20,15", "--resection=-10,0,0,-1,0,0"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_a_command_shows_its_answer(command: str, small_ct: Path, tmp_path: Path, browser: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    for name in ("ct.nii.gz", "labels.nii.gz"):
        shutil.copy(small_ct / name, tmp_path)
    (tmp_path / "vessels.json").write_text('{"ct": "ct.nii.gz", "labels": "labels.nii.gz"}')  # as `phantom` says
    arguments = [command, tmp_path / "labels.nii.gz", "--ct", tmp_path / "ct.nii.gz", "-o", tmp_path / "out", "--html"]
    assert main.run([*map(str, arguments), *COMMANDS[command]]) == 0

    browser.get_log("browser")
    page = tmp_path / "out" / "report.html"
    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(
        lambda driver: driver.execute_script("return document.querySelectorAll('#scene canvas').length > 0")
    )
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    text = browser.execute_script("return document.body.innerText")
    assert "Synthetic: a phantom, no patient" in text and str(tmp_path / "labels.nii.gz") in text
    assert "Lesions" in text and "±" in text
    if command == "reconstruct":
        assert "/ 3.0" in text and "Collision: how far outside" in text  # of each structure's collision mesh
    assert browser.execute_script("return document.querySelector('[data-view=axial] img').naturalWidth") > 100
    if command == "plan":
        assert "Ranked trajectories" in text and "ablation zone" in text and "resection plane" in text
        chosen = browser.execute_script("return document.querySelector('tr.place:has(:checked)').dataset.trajectory")
        assert chosen == "0"
    assert page.stat().st_size < 12e6
