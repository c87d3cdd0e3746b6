# SPDX-License-Identifier: Apache-2.0
"""Most tests here export."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _exporting(exporter_reads_its_library_once: None) -> None:
    pass
