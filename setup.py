# SPDX-License-Identifier: Apache-2.0
"""What setup.cfg cannot say: the files beside the code that ROS 2 finds under share/, and the nodes' executables."""

import sys
from pathlib import Path

from setuptools import setup

PACKAGE = "liver_seg_ros"
SHARED_FOLDERS = ("launch", "config", "rviz", "models", "examples")
#: Networks to train on from, which no robot runs.
NOT_SHARED = Path("models/candidates")
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


def shared_files():
    """Pairs of (folder under the prefix, files of this repository), with subfolders kept."""
    yield "share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]
    yield f"share/{PACKAGE}", ["package.xml"]
    for folder in SHARED_FOLDERS:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and _is_shared(path):
                yield f"share/{PACKAGE}/{path.parent.as_posix()}", [str(path)]


def _is_shared(path):
    if NOT_SHARED in path.parents:
        return False
    return "__pycache__" not in path.parts and not path.name.startswith(".") and path.suffix != ".part"


def node_executables():
    """The nodes for colcon alone, in lib/liver_seg_ros, where `ros2 run` and launch find them.

    pip would put them on PATH, where `segmentation` is anybody's name; `python -m liver_seg_ros.nodes.segmentation` is
    what runs the node there. colcon calls this file with "install", or with "develop" for links; pip calls it with
    neither. They are no entry points, which are looked up where pip installed this package, if it did.
    """
    if not {"install", "develop"} & set(sys.argv):
        return
    folder = Path("build/nodes")
    folder.mkdir(parents=True, exist_ok=True)
    for name in NODES:
        file = folder / name
        file.write_text(f'#!{sys.executable}\nfrom {PACKAGE}.nodes.start import start\n\nstart("{name}")\n')
        file.chmod(0o755)
        yield f"lib/{PACKAGE}", [str(file)]


# python_requires stands here because colcon cannot read back what setuptools makes of it in setup.cfg.
setup(
    data_files=[*shared_files(), *node_executables()],
    python_requires=">=3.10,<3.13",
)
