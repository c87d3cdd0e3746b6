# SPDX-License-Identifier: Apache-2.0
"""The services that are offered or asked for, by their SOP classes (DICOM PS3.6 A)."""

from __future__ import annotations

from pydicom.uid import UID

VERIFICATION = UID("1.2.840.10008.1.1")
STUDY_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")
PERFORMED_STEP = UID("1.2.840.10008.3.1.2.3.3")
STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
#: The one object that the service is about (PS3.4 J.3.5).
STORAGE_COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1.1")
STUDY_GET = UID("1.2.840.10008.5.1.4.1.2.2.3")
