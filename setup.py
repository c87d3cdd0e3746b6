"""What setup.cfg cannot say: the files beside the code that ROS 2 finds under share/."""

from pathlib import Path

from setuptools import setup

PACKAGE = "liver_seg_ros"
SHARED_FOLDERS = ("launch", "config", "rviz", "models")


def shared_files():
    """Pairs of (folder under the prefix, files of this repository), with subfolders kept."""
    yield "share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]
    yield f"share/{PACKAGE}", ["package.xml"]
    for folder in SHARED_FOLDERS:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and _is_shared(path):
                yield f"share/{PACKAGE}/{path.parent.as_posix()}", [str(path)]


def _is_shared(path):
    return "__pycache__" not in path.parts and not path.name.startswith(".") and path.suffix != ".part"


# python_requires stands here because colcon cannot read back what setuptools makes of it in setup.cfg.
setup(data_files=list(shared_files()), python_requires=">=3.10,<3.13")
