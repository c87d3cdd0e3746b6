# SPDX-License-Identifier: Apache-2.0
"""Text from strangers, made fit to be shown: names, encodings and uids come in messages of anybody."""

from __future__ import annotations

#: Characters of one text.
MOST_CHARACTERS = 2000


def shown(text: str) -> str:
    """`text` on one line, without characters that a terminal obeys, and not endless.

    Control characters, unpaired surrogates and the like are escaped as Python writes them.
    """
    cut = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} and {len(text) - MOST_CHARACTERS} more"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
