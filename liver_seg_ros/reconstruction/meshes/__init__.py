# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes and point clouds of structures: made, reduced, grown into collision meshes, checked and asked."""
