# SPDX-License-Identifier: Apache-2.0
"""Vessel trees: centerlines, radii and branches, from labels."""
