# SPDX-License-Identifier: Apache-2.0
"""What a network was trained on, and those that it began with, as a list that a person can read."""

from __future__ import annotations

from liver_seg_ros.inference.lineage import lineage, told_once


def test_networks_that_others_began_with_are_listed_below_them_and_once() -> None:
    first = "4 phantoms (seeds 0 to 3). Began with the weights of net 1.0.0 (300 phantoms (seeds 7 to 9), 6 steps)"
    text = f"The mean of two. 50% new 2.0.0 (Few (8 (or 9)), 5 steps). 50% old 1.1.0 ({first}). 9% net 0.9 ({first})."
    assert lineage(text, set()) == [
        "- The mean of two. 50% new 2.0.0:",
        "  - Few (8 (or 9)), 5 steps",
        "- 50% old 1.1.0:",
        "  - 4 phantoms (seeds 0 to 3). Began with the weights of net 1.0.0:",
        "    - 300 phantoms (seeds 7 to 9), 6 steps",
        "- 9% net 0.9 (as above)",
    ]
    assert lineage("What was at hand (two scans) in 2020.", set()) == ["- What was at hand (two scans) in 2020"]
    assert lineage("half 1.0 (that nobody closed", set()) == ["- half 1.0:", "  - that nobody closed"]


def test_a_history_that_tells_each_network_once_reads_the_same_and_does_not_double_with_each_blend() -> None:
    text, sizes = "40 phantoms (seeds 0 to 39), 10 steps", []
    for version in range(1, 6):
        began = f"9 phantoms (seed {version}). Began with the weights of net {version}.0 ({text})"
        text = f"The mean of two. 50% new {version}.0 ({began}). 50% net {version}.0 ({text})."
        short = told_once(text)
        assert lineage(short, set()) == lineage(text, set())
        assert told_once(short) == short
        text = short
        sizes.append(len(short))
    assert sizes[-1] - sizes[-2] == sizes[-2] - sizes[-3]
