# SPDX-License-Identifier: Apache-2.0
"""Many CTs on many processes or machines: one row for each, whatever becomes of it."""
