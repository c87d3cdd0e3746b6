# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of others: tensors, numbers and text, and nothing that runs code when it is read."""

from __future__ import annotations

import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar

from liver_seg_ros.errors import InputError

#: What nnU-Net's checkpoints hold beside tensors, by the names of NumPy 1 and 2: losses and scores as NumPy's numbers.
_NUMBERS = [
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")),
]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `torch.save` wrote into a file, on the CPU.

    Raises:
        InputError: it cannot be read, is none, or would run code.
    """
    try:
        with torch.serialization.safe_globals(_NUMBERS):  # type: ignore[arg-type]  # pairs are allowed
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no checkpoint {path}") from error
    except UnpicklingError as error:
        named = re.search(r"(?:Unsupported global: GLOBAL|Unsupported class|GLOBAL) ([\w.]+)", str(error))
        what = f"asks for {named[1]} when it is read" if named else "is no checkpoint of PyTorch, or more than weights"
        raise InputError(
            f"{path} {what}; only weights, numbers and text are read, as anything else may run code"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:  # a damaged zip is a RuntimeError
        raise InputError(f"cannot read the checkpoint {path}: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__} and not the entries of a checkpoint")
    return content
