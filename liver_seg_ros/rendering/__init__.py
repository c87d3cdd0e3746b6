# SPDX-License-Identifier: Apache-2.0
"""Pictures for reports and documents: surfaces in 3D, labels over slices. Needs no display."""
