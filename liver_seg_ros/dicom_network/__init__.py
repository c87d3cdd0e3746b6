# SPDX-License-Identifier: Apache-2.0
"""DICOM over a network: CTs received and spooled, asked for and fetched, results sent. All that listens is here."""
