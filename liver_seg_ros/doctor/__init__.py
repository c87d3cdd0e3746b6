# SPDX-License-Identifier: Apache-2.0
"""What of this machine keeps the package from working well, and what to do about it."""
