# SPDX-License-Identifier: Apache-2.0
"""An installation without extras segments and measures; what it cannot do it says in one line, before the work."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.extras import EXTRAS, missing_extra, need

REPOSITORY = Path(__file__).resolve().parents[2]

#: As if the libraries of all extras were not installed.
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder

class Without:
    find_distributions = PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in {sorted(EXTRAS)} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
RUN = f"{WITHOUT}\nfrom liver_seg_ros.cli.main import main\nmain()"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without") / "case"
    done = run("phantom", "-o", folder, "--size", "72,72,48", "--spacing-mm", "5,5,5", "-q")
    assert done.returncode == 0, done.stderr
    return folder


def test_segmenting_measuring_and_scoring_need_no_extra(case: Path, tmp_path: Path) -> None:
    found = tmp_path / "found" / "labels.nii.gz"
    for arguments in (
        ("segment", case / "ct.nii.gz", "-o", tmp_path / "found", "--truth", case / "labels.nii.gz"),
        ("measure", found, "--ct", case / "ct.nii.gz", "-o", tmp_path / "measured"),
        ("evaluate", found, case / "labels.nii.gz"),
        ("territories", case / "labels.nii.gz", "-o", tmp_path / "territories"),
        ("info", case / "ct.nii.gz"),
    ):
        done = run(*arguments)
        assert done.returncode in (0, 1), done.stderr  # 1: nothing was found, at 5 mm
        assert "needs" not in done.stderr and "Error" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("reconstruct", "labels.nii.gz"), "meshes"),
        (("reconstruct", "labels.nii.gz", "--html"), "pages"),
        (("plan", "labels.nii.gz", "--ct", "ct.nii.gz"), "meshes"),
        (("measure", "labels.nii.gz", "--png"), "pages"),
        (("export", "labels.nii.gz", "--ct", "folder"), "dicom"),
        (("register", "--landmarks", "pairs.csv"), "meshes"),
        (("render", "ct.nii.gz", "labels.nii.gz"), "pages"),
    ],
)
def test_what_is_missing_is_one_line_before_the_work(arguments: tuple[str, ...], extra: str, tmp_path: Path) -> None:
    done = run(*arguments, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("liver-seg: ") and done.stderr.count("\n") == 1
    assert f"pip install '.[{extra}]'" in done.stderr  # and not that there is no labels.nii.gz
    assert list(tmp_path.iterdir()) == []


def test_whatever_else_is_missing_names_its_extra_too() -> None:
    error = missing_extra(ModuleNotFoundError("No module named 'vtkmodules'", name="vtkmodules.vtkIOXML"))
    assert error is not None and "[meshes]" in str(error)
    assert missing_extra(ModuleNotFoundError("No module named 'x'", name="x")) is None
    assert missing_extra(ModuleNotFoundError()) is None


def test_nothing_is_needed_where_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    need("pages", "this")
    monkeypatch.setitem(EXTRAS, "no_such_module", "meshes")
    with pytest.raises(InputError, match=r"this needs no_such_module: .*\[pages\]"):  # which includes [meshes]
        need("pages", "this")


@pytest.fixture(scope="module")
def distributions() -> Mapping[str, list[str]]:
    """What brings each module: the files of all that is installed are listed for it, which takes a second."""
    return packages_distributions()


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_the_table_of_extras_is_that_of_setup_cfg(
    module: str, extra: str, distributions: Mapping[str, list[str]]
) -> None:
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    assert module in distributions, f"{module} is not installed: make setup-dev installs every extra"
    text = config["options.extras_require"][extra].lower().replace("_", "-")
    brought = {name.lower().replace("_", "-") for name in distributions[module]}
    assert any(re.search(rf"^{name}[>~]", text, re.MULTILINE) for name in brought)
