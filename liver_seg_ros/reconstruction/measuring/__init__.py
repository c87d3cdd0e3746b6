# SPDX-License-Identifier: Apache-2.0
"""Volumes, diameters and gaps of structures, from labels."""
