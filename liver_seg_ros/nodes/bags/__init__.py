# SPDX-License-Identifier: Apache-2.0
"""Topics recorded into bags and played from them; the bags themselves are `files/bags.py`."""
