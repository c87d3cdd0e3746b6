# SPDX-License-Identifier: Apache-2.0
"""OpenIGTLink: what 3D Slicer, PLUS and trackers speak over TCP. Axes are RAS, lengths millimetres."""
