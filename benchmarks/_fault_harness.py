# SPDX-License-Identifier: Apache-2.0
"""The tests' own harness, for benchmarks/faults.py: processes, an observer, small volumes and a needle."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).resolve().parents[1] / "test" / "ros"


def _load(name: str) -> ModuleType:
    spec = spec_from_file_location(f"faults_{name}", TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


conftest = _load("conftest")
needle = _load("test_ros_needle_guard")
