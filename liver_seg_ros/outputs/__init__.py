# SPDX-License-Identifier: Apache-2.0
"""Folders of results: what may be replaced there, and how many files appear at once."""
