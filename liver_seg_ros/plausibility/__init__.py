# SPDX-License-Identifier: Apache-2.0
"""When to doubt a result: what is seen of it, which rules it breaks, and the warnings that come of it."""
