# SPDX-License-Identifier: Apache-2.0
"""What package.xml, setup.cfg, setup.py and the code say about this package is the same everywhere.

Versions: `test_versions.py`. Imports: `test_imports.py`. What an installation without extras can do: `test_extras.py`.
"""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import liver_seg_ros

REPOSITORY = Path(__file__).resolve().parents[2]
MANIFESTS = [REPOSITORY / "package.xml", REPOSITORY / "liver_seg_interfaces" / "package.xml"]
SHARED_FOLDERS = ("launch", "config", "rviz", "models", "examples")
NODES = (
    "ct_source",
    "segmentation",
    "reconstruction",
    "planner",
    "needle_guard",
    "slice_viewer",
    "planning_scene",
    "registration",
    "igtl_bridge",
    "dicom_receiver",
    "liver_seg",
)


def run_setup(*arguments: str) -> str:
    """Output of `setup.py`, run as colcon runs it."""
    command = [sys.executable, "-W", "ignore", "setup.py", "--quiet", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    return parser


def function_names(module: str) -> set[str]:
    return functions_of((REPOSITORY / Path(*module.split("."))).with_suffix(".py"))


def functions_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_name_and_version_are_the_same_everywhere() -> None:
    name, version = run_setup("--name", "--version").split()
    assert (name, version) == ("liver_seg_ros", liver_seg_ros.__version__)
    for manifest in MANIFESTS:
        assert ElementTree.parse(manifest).findtext("version") == version, manifest


def test_manifests_are_format_3_with_the_licence_of_the_file() -> None:
    for manifest, build_type in zip(MANIFESTS, ("ament_python", "ament_cmake"), strict=True):
        root = ElementTree.parse(manifest).getroot()
        assert root.get("format") == "3"
        assert root.findtext("license") == "Apache-2.0"
        assert root.findtext("export/build_type") == build_type
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")


def test_every_shared_file_is_installed_and_no_candidate_of_a_model(tmp_path: Path) -> None:
    candidates = REPOSITORY / "models" / "candidates"
    assert any(candidates.rglob("model.onnx")), "without one nothing is tested here"
    run_setup("install_data", "--install-dir", str(tmp_path))
    share = tmp_path / "share" / "liver_seg_ros"
    expected = {
        path.relative_to(REPOSITORY)
        for folder in SHARED_FOLDERS
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".part" and path.name[0] != "."
        if candidates not in path.parents
    }
    assert expected, "no launch, config, rviz or model file was found"
    installed = {path.relative_to(share) for path in share.rglob("*") if path.is_file()}
    assert installed == expected | {Path("package.xml")}
    assert sum((share / path).stat().st_size for path in installed if path.parts[0] == "models") < 25e6
    assert (tmp_path / "share/ament_index/resource_index/packages/liver_seg_ros").is_file()


def test_entry_points_name_functions_that_exist() -> None:
    for line in setup_cfg()["options.entry_points"]["console_scripts"].split("\n")[1:]:
        module, function = line.split(" = ")[1].split(":")
        assert function in function_names(module), f"{line}: {module} has no function {function}"


def test_pip_installs_one_command_and_colcon_the_nodes(tmp_path: Path) -> None:
    """As colcon calls it; pip's way is in the entry points, which name the one command."""
    lines = setup_cfg()["options.entry_points"]["console_scripts"].split("\n")[1:]
    assert [line.split(" = ")[0] for line in lines] == ["liver-seg"]
    build = ("build", "--build-base", str(tmp_path / "build"))
    install = ("install", "--prefix", str(tmp_path), "--single-version-externally-managed", "--record")
    run_setup("egg_info", "--egg-base", str(tmp_path), *build, *install, str(tmp_path / "record"))
    executables = tmp_path / "lib" / "liver_seg_ros"
    assert {path.name for path in executables.iterdir()} == {"liver-seg", *NODES}
    for name in NODES:
        lines = (executables / name).read_text(encoding="utf-8").splitlines()
        assert lines[0] == f"#!{sys.executable}" and os.access(executables / name, os.X_OK)
        assert lines[1:] == ["from liver_seg_ros.nodes.start import start", "", f'start("{name}")']
        assert function_names("liver_seg_ros.nodes.start") >= {"start"}
        assert function_names(f"liver_seg_ros.nodes.{name}") >= {"main"}, name


def test_every_node_has_its_executable() -> None:
    with_main = {
        path.stem for path in (REPOSITORY / "liver_seg_ros/nodes").glob("*.py") if "main" in functions_of(path)
    }
    assert with_main == set(NODES)


@pytest.mark.skipif(not (REPOSITORY / ".venv/bin/python").exists(), reason="make setup has not run: no .venv")
def test_the_command_runs_with_nothing_sourced() -> None:
    command = REPOSITORY / ".venv/bin/liver-seg"
    result = subprocess.run(
        [command, "--version"], env={"HOME": os.environ.get("HOME", "/")}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert liver_seg_ros.__version__ in result.stdout
