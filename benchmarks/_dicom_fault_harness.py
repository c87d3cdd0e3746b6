# SPDX-License-Identifier: Apache-2.0
"""The small CT series of the tests (test/dicom_network/conftest.py), for `_dicom_fault_cases.py`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PATH = Path(__file__).resolve().parents[1] / "test" / "dicom_network" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("dicom_network_conftest", _PATH)
_CONFTEST = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _CONFTEST
_SPEC.loader.exec_module(_CONFTEST)

#: Makes a series of so many slices; with `announce` each says how many there are.
slices: Callable[..., list[Any]] = _CONFTEST.slices
