# SPDX-License-Identifier: Apache-2.0
"""The command line `liver-seg`: one thin file per command, `main.py` puts them together."""
