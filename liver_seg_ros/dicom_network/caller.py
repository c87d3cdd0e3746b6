# SPDX-License-Identifier: Apache-2.0
"""Who calls, in words for a log."""

from __future__ import annotations

from typing import Any


def caller_of(event: Any) -> str:
    """`TITLE@address` of an association's requestor; only what can be printed of its title."""
    requestor = event.assoc.requestor
    title = str(getattr(requestor.primitive, "calling_ae_title", None) or "").strip()
    return f"{''.join(c for c in title[:16] if c.isprintable())}@{requestor.address}"
