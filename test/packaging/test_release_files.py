# SPDX-License-Identifier: Apache-2.0
"""What ROS's release tools and linters read: CHANGELOG.rst, license lines, ament_flake8's configuration."""

from __future__ import annotations

import configparser
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def tool(name: str) -> ModuleType:
    spec = spec_from_file_location(f"tool_{name}", REPOSITORY / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bloom_s_reader_finds_every_version_and_entry_of_the_changelog() -> None:
    changelog = pytest.importorskip("catkin_pkg.changelog", reason="catkin_pkg is not installed (colcon brings it)")
    markdown = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    markdown += "\n## [0.0.1] - 2026-01-02\n\n### Added\n\n- The file `a_b*`s, ends_ and *one* [link](x.md).\n"
    read = changelog.populate_changelog_from_rst(
        changelog.Changelog("liver_seg_ros"), tool("changelog_rst").to_rst(markdown)
    )
    versions = [version for version, _, _ in read.foreach_version()]
    assert versions == [*re.findall(r"^## \[(\d+\.\d+\.\d+)\]", markdown, re.MULTILINE)]
    [added] = map(str, read.get_content_of_version("0.0.1"))
    assert added.split("\n")[0] == "* Added"
    assert added.split("\n")[2].strip() == "* The file ``a_b*``s, ends_ and *one* link."
    assert read.get_date_of_version("0.0.1").strftime("%Y-%m-%d") == "2026-01-02"


def test_the_changelog_of_the_interfaces_has_the_entries_that_name_one() -> None:
    changelog = pytest.importorskip("catkin_pkg.changelog", reason="catkin_pkg is not installed (colcon brings it)")
    markdown = """# Changelog

## [0.2.0] - 2026-02-03

### Added

- A button that shows progress.
- `Volume.uid` is `volume_uid`.

### Fixed

- A volume that was lost.

## [0.1.0] - 2026-01-02

### Added

- Action `segment` (SegmentVolume).
"""
    text = tool("changelog_rst").to_rst(markdown, "liver_seg_interfaces")
    read = changelog.populate_changelog_from_rst(changelog.Changelog("liver_seg_interfaces"), text)
    assert {version for version, _, _ in read.foreach_version()} == {"0.2.0", "0.1.0"}
    [newer], [older] = ([str(part) for part in read.get_content_of_version(v)] for v in ("0.2.0", "0.1.0"))
    assert newer.split() == ["*", "Added", "*", "``Volume.uid``", "is", "``volume_uid``."]
    assert "SegmentVolume" in older
    assert (REPOSITORY / "liver_seg_interfaces" / "CHANGELOG.rst").is_file()


@pytest.mark.parametrize("folder", [".", "liver_seg_interfaces"])
def test_package_files_are_what_their_format_says(folder: str) -> None:
    package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg is not installed (colcon brings it)")
    warnings: list[str] = []
    package.parse_package(str(REPOSITORY / folder / "package.xml"), warnings=warnings).validate(warnings=warnings)
    assert warnings == []


def test_ament_xmllint_has_nothing_to_say() -> None:
    xmllint = pytest.importorskip("ament_xmllint.main", reason="ament_lint is not installed (it comes with ROS 2 only)")
    files = [str(REPOSITORY / folder / "package.xml") for folder in (".", "liver_seg_interfaces")]
    assert xmllint.main(argv=files) == 0


def test_the_changelog_is_clean_rst() -> None:
    core = pytest.importorskip("docutils.core", reason="docutils is not installed (make test installs it)")
    text = tool("changelog_rst").to_rst((REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"))
    tree = core.publish_doctree(text, settings_overrides={"report_level": 1, "halt_level": 1, "warning_stream": False})
    entries = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8").count("\n- ")
    items = [node for node in tree.findall() if node.tagname == "list_item"]
    kinds = [node for node in items if any(child.tagname == "bullet_list" for child in node.children)]
    assert len(items) - len(kinds) == entries > 50


def test_the_license_line_comes_first_and_once(tmp_path: Path) -> None:
    headers = tool("license_headers")
    assert headers.with_header('"""A module."""\n') == f'{headers.LINE}"""A module."""\n'
    assert headers.with_header("#!/bin/python\nx = 1\n") == f"#!/bin/python\n{headers.LINE}x = 1\n"
    assert "Apache-2.0" in headers.LINE and (REPOSITORY / "LICENSE").is_file()


def test_linters_agree_on_the_length_of_a_line() -> None:
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    pyproject = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r"^line-length = (\d+)$", pyproject, re.MULTILINE)[1] == config["flake8"]["max-line-length"]


def test_ament_flake8_has_nothing_to_say() -> None:
    flake8 = pytest.importorskip("ament_flake8.main", reason="ament_lint is not installed (it comes with ROS 2 only)")
    folders = ("liver_seg_ros", "launch", "examples", "setup.py")
    code, errors = flake8.main_with_errors(
        argv=["--config", str(REPOSITORY / "setup.cfg"), *(str(REPOSITORY / folder) for folder in folders)]
    )
    assert (code, errors) == (0, [])


def test_colcon_runs_pytest() -> None:
    """It looks for pytest in the extra `test`, and falls back to unittest, which finds nothing, without a word."""
    python = pytest.importorskip(
        "colcon_core.task.python.test", reason="colcon is not installed (make setup installs it)"
    )
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    required = config["options.extras_require"]["test"].split()
    assert python.has_test_dependency({"extras_require": {"test": required}}, "pytest")
