# SPDX-License-Identifier: Apache-2.0
"""Who calls, in words for a log."""

from __future__ import annotations

from typing import Any

from liver_seg_ros.dicom_network.audit import Party


def caller_of(event: Any) -> str:
    """`TITLE@address` of an association's requestor; only what can be printed of its title."""
    return f"{_title(event)}@{event.assoc.requestor.address}"


def party_of(event: Any, proven: bool = True) -> Party:
    """The requestor as a party of an audit message; with the user that it named where it was granted an association."""
    requestor = event.assoc.requestor
    named = requestor.user_identity if proven else None
    user = "" if named is None else bytes(named.primary_field or b"").decode("utf-8", "replace")
    return Party(_title(event), str(requestor.address), user)


def _title(event: Any) -> str:
    title = str(getattr(event.assoc.requestor.primitive, "calling_ae_title", None) or "").strip()
    return "".join(c for c in title[:16] if c.isprintable())
