"""What package.xml, setup.cfg, setup.py and the code say about this package is the same everywhere."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import liver_seg_ros
from liver_seg_ros.deploy.tool_environment import MODELOPT, NNCF

REPOSITORY = Path(__file__).resolve().parents[2]
MANIFESTS = [REPOSITORY / "package.xml", REPOSITORY / "liver_seg_interfaces" / "package.xml"]
SHARED_FOLDERS = ("launch", "config", "rviz", "models")
# Rooms that no running robot needs; their dependencies are extras.
WORKSHOPS = {"networks": "train", "training": "train", "deploy": "deploy"}
# What runs in the environments of tools, made when needed, may import these too.
TOOLS = "liver_seg_ros/deploy/quantizers"
# And what only those need who have a GPU.
RUNTIMES = {"liver_seg_ros/inference/runtimes/cuda.py": "tensorrt"}


def run_setup(*arguments: str) -> str:
    """Output of `setup.py`, run as colcon runs it."""
    command = [sys.executable, "-W", "ignore", "setup.py", "--quiet", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    return parser


def requirements(extra: str | None = None) -> list[str]:
    """The lines of setup.cfg's install_requires, or of one extra."""
    config = setup_cfg()
    text = config["options.extras_require"][extra] if extra else config["options"]["install_requires"]
    return text.split("\n")[1:]


def normalized(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[=;\s]", requirement)[0]).lower()


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


def test_every_shared_file_is_installed(tmp_path: Path) -> None:
    run_setup("install_data", "--install-dir", str(tmp_path))
    share = tmp_path / "share" / "liver_seg_ros"
    expected = {
        path.relative_to(REPOSITORY)
        for folder in SHARED_FOLDERS
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".part" and path.name[0] != "."
    }
    assert expected, "no launch, config, rviz or model file was found"
    installed = {path.relative_to(share) for path in share.rglob("*") if path.is_file()}
    assert installed == expected | {Path("package.xml")}
    assert (tmp_path / "share/ament_index/resource_index/packages/liver_seg_ros").is_file()


def test_entry_points_name_functions_that_exist() -> None:
    lines = setup_cfg()["options.entry_points"]["console_scripts"].split("\n")[1:]
    assert "liver-seg" in [line.split(" = ")[0] for line in lines]
    for line in lines:
        module, function = line.split(" = ")[1].split(":")
        tree = ast.parse((REPOSITORY / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert function in names, f"{line}: {module} has no function {function}"


def test_every_version_is_pinned() -> None:
    extras = list(setup_cfg()["options.extras_require"])
    loose = [
        line for extra in [None, *extras] for line in requirements(extra) if not re.search(r"^[\w-]+==\d[\w.]*", line)
    ]
    assert loose == []


def test_every_import_is_declared() -> None:
    """A robot installs what package.xml and setup.cfg name: an import of anything else fails only there."""
    distributions = {module: {normalized(name) for name in names} for module, names in packages_distributions().items()}
    manifest = ElementTree.parse(MANIFESTS[0]).getroot()
    ros_packages = {element.text for element in manifest.iter("exec_depend")}
    runtime = {normalized(line) for line in requirements()}
    undeclared = []
    for path in sorted((REPOSITORY / "liver_seg_ros").rglob("*.py")):
        relative = path.relative_to(REPOSITORY)
        extra = RUNTIMES.get(str(relative)) or WORKSHOPS.get(relative.parts[1])
        allowed = runtime | ({normalized(line) for line in requirements(extra)} if extra else set())
        tools = (
            {normalized(line) for tool in (MODELOPT, NNCF) for line in tool.packages} if is_tool(relative) else set()
        )
        for module in sorted(imported_modules(path) - set(sys.stdlib_module_names) - {"liver_seg_ros"}):
            of_tool = {module, f"nvidia-{module}"} & tools  # they are not installed here
            if module not in ros_packages and not of_tool and not distributions.get(module, set()) & allowed:
                undeclared.append(f"{relative}: {module}")
    assert undeclared == []


def is_tool(relative: Path) -> bool:
    return str(relative.parent) == TOOLS


def imported_modules(path: Path) -> set[str]:
    """Top-level names of all modules that the file imports, inside functions too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.split(".")[0])
    return modules


@pytest.mark.skipif(not (REPOSITORY / ".venv/bin/python").exists(), reason="make setup has not run: no .venv")
def test_the_command_runs_with_nothing_sourced() -> None:
    command = REPOSITORY / ".venv/bin/liver-seg"
    result = subprocess.run(
        [command, "--version"], env={"HOME": os.environ.get("HOME", "/")}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert liver_seg_ros.__version__ in result.stdout
