"""From a CT of the liver to what a surgical robot can plan with."""

__version__ = "0.1.0"
