# SPDX-License-Identifier: Apache-2.0
"""From a `LabelVolume` to meshes, a labelled cloud and measurements: pure geometry on numpy arrays."""
