# SPDX-License-Identifier: Apache-2.0
"""Imports, setup.cfg and package.xml agree: what is imported is declared, where it is needed, by the name it has there.

A robot installs what package.xml and setup.cfg name: an import of anything else fails only there.
"""

from __future__ import annotations

import ast
import configparser
import re
import sys
import xml.etree.ElementTree as ElementTree
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from liver_seg_ros.deploy.tool_environment import MODELOPT, NNCF

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "liver_seg_ros"
MANIFEST = ElementTree.parse(REPOSITORY / "package.xml")

#: Which extras a room may import besides what every installation has, the longest path first.
ROOMS = {
    "cohort": ("cohort", "pages"),
    "deploy/quantizers": ("deploy", "tools"),
    "deploy": ("deploy",),
    "dicom_network": ("dicom",),
    "dicom_out": ("dicom", "meshes"),
    "igtl": ("igtl",),
    "inference/runtimes/tensorrt/cuda.py": ("tensorrt",),
    "inference/runtimes/openvino.py": ("openvino",),
    "networks": ("train",),
    "training": ("train", "deploy"),
    "cli/plan_drawing.py": ("meshes", "pages"),
    "rendering": ("meshes", "pages"),
    "reconstruction": ("meshes",),
    "planning": ("meshes",),
    "files/bags.py": ("bags",),
    "files/meshes.py": ("meshes",),
    "files/open3d_clouds.py": ("meshes",),
    "files/surfaces.py": ("meshes",),
    "files/vessel_tree.py": ("meshes",),
    "nodes/bags": ("bags",),
    "nodes/igtl_bridge.py": ("igtl",),
}
#: Extras that a robot has.
ON_A_ROBOT = ("bags", "igtl", "meshes", "pages", "openvino")

#: The key of each distribution in rosdep's python.yaml, as of August 2026.
KEYS = {
    "numpy": "python3-numpy",
    "onnxruntime": "python3-onnxruntime-pip",
    "open3d": "python3-open3d-pip",
    "pillow": "python3-pil",
    "pydantic": "python3-pydantic",
    "pyvista": "python3-pyvista-pip",
    "pyyaml": "python3-yaml",
    "rich": "python3-rich",
    "scipy": "python3-scipy",
    "trimesh": "python3-trimesh-pip",
    "typer": "python3-typer",
}
#: Those that have none: `libvtk` is C++, `python-vtk` Python 2.
WITHOUT_KEY = {
    "connected-components-3d", "edt", "fast-simplification", "fill-voids", "isal", "nibabel", "openvino", "plotly",
    "pydicom", "pyigtl", "rosbags", "simpleitk", "threadpoolctl", "vtk",
}  # fmt: skip

#: Modules of ROS packages that are called otherwise.
PACKAGES = {"tf2_ros": "tf2_ros_py"}

DISTRIBUTIONS = {
    module: {re.sub(r"[-_.]+", "-", n).lower() for n in ns} for module, ns in packages_distributions().items()
}


def declared(extra: str | None = None) -> set[str]:
    """Names of the distributions in install_requires, or in one extra and those that it includes."""
    if extra == "tools":
        return {_name(line) for tool in (MODELOPT, NNCF) for line in tool.packages}
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    text = config["options.extras_require"][extra] if extra else config["options"]["install_requires"]
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return {_name(line) for line in lines} - {"liver-seg-ros"}


def imported_modules(path: Path) -> set[str]:
    """Top-level names of all modules that the file imports, inside functions too, standard library aside."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.split(".")[0])
    return modules - set(sys.stdlib_module_names) - {"liver_seg_ros"}


def exec_depends() -> set[str]:
    return {element.text or "" for element in MANIFEST.iter("exec_depend")}


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_a_file_imports_what_its_room_may(path: Path) -> None:
    relative = str(path.relative_to(PACKAGE))
    extras = next((extras for room, extras in ROOMS.items() if relative == room or relative.startswith(f"{room}/")), ())
    allowed = declared().union(*map(declared, extras))
    undeclared = []
    for module in imported_modules(path) - exec_depends() - {m for m, p in PACKAGES.items() if p in exec_depends()}:
        of_tool = {module, f"nvidia-{module}"} & allowed if "tools" in extras else set()  # they are not installed here
        if not of_tool and not DISTRIBUTIONS.get(module, set()) & allowed:
            undeclared.append(module)
    assert undeclared == []


def test_package_xml_names_every_library_that_rosdep_knows() -> None:
    libraries = declared().union(*map(declared, ON_A_ROBOT)) - {"open3d-cpu"}  # the same as open3d
    assert libraries == KEYS.keys() | WITHOUT_KEY, "look the new one up in rosdep's python.yaml"
    assert {name for name in exec_depends() if name.startswith("python3-")} == set(KEYS.values())
    comments = re.findall(r"<!--(.*?)-->", (REPOSITORY / "package.xml").read_text(encoding="utf-8"), re.DOTALL)
    said = " ".join(comments).lower()
    assert [name for name in WITHOUT_KEY if name not in said] == []


def test_package_xml_names_the_ros_packages_that_are_imported_and_no_other() -> None:
    ours = [*(PACKAGE / "nodes").rglob("*.py"), *(REPOSITORY / "launch").glob("*.py")]
    libraries = {module for module in DISTRIBUTIONS if DISTRIBUTIONS[module] & (KEYS.keys() | WITHOUT_KEY)}
    imported = {PACKAGES.get(module, module) for module in set().union(*map(imported_modules, ours)) - libraries}
    assert imported == {name for name in exec_depends() if not name.startswith("python3-")}


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=~!;\s\[]", requirement)[0]).lower()
