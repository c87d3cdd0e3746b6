# SPDX-License-Identifier: Apache-2.0
"""What the sources on a disk are called: apart from the table, so that `liver-seg --help` need not load that."""

ON_DISK = (
    "pairs", "lits17", "msd03", "msd08", "ircadb01", "totalsegmentator", "ltbv_portal", "ltbv_arterial", "ltvs",
    "kvasir_seg",
)  # fmt: skip
