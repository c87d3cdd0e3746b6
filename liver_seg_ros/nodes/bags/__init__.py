"""Topics recorded into bags and played from them; the bags themselves are `files/bags.py`."""
