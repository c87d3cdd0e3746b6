# SPDX-License-Identifier: Apache-2.0
"""The small CT series of the tests (test/dicom_network/dicom_series.py), for `_dicom_fault_cases.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test" / "dicom_network"))

from dicom_series import slices

__all__ = ["slices"]
