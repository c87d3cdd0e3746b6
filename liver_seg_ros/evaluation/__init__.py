# SPDX-License-Identifier: Apache-2.0
"""How good a result is: overlap, surface, lesion, centerline and tree scores, on numpy."""
