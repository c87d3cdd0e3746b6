"""What of this machine keeps the package from working well, and what to do about it."""
