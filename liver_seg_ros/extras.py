# SPDX-License-Identifier: Apache-2.0
"""Which extra of this package brings a library that not every installation has.

`pip install .` brings what segmenting needs. Whoever needs more says so before the work (`need`), or is told by the
command line in the same words when an import fails.
"""

from __future__ import annotations

from importlib.util import find_spec

from liver_seg_ros.errors import InputError

#: Module to extra, as `setup.cfg` has it. An extra that includes another one is named for its own modules only.
EXTRAS = {
    "fast_simplification": "meshes",
    "open3d": "meshes",
    "trimesh": "meshes",
    "vtkmodules": "meshes",
    "PIL": "pages",
    "plotly": "pages",
    "pyvista": "pages",
    "openvino": "openvino",
    "distributed": "cohort",
    "pyarrow": "cohort",
    "pyigtl": "igtl",
    "rosbags": "bags",
    "highdicom": "dicom",
    "pynetdicom": "dicom",
    "cuda": "tensorrt",
    "lightning": "train",
    "monai": "train",
    "tensorboard": "train",
    "torch": "train",
    "onnx": "deploy",
    "onnxscript": "deploy",
}

_INCLUDED = {"pages": ("meshes",)}


def need(extra: str, what: str) -> None:
    """Raise `InputError` naming the extra where a module of it is missing.

    Args:
        extra: e.g. "pages"; those that it includes count too.
        what: is to be done, as the subject of a sentence.
    """
    extras = (extra, *_INCLUDED.get(extra, ()))
    missing = [module for module, brought_by in EXTRAS.items() if brought_by in extras and find_spec(module) is None]
    if missing:
        raise InputError(f"{what} needs {', '.join(missing)}: {install(extra)}")


def missing_extra(error: ModuleNotFoundError) -> InputError | None:
    """What an import failed for, where it is a library of an extra; None for any other."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(module)
    return None if extra is None else InputError(f"this needs {module}: {install(extra)}")


def install(extra: str) -> str:
    """What to do about it, in words."""
    return f"install this package with its extra [{extra}], in its folder: pip install '.[{extra}]'"
