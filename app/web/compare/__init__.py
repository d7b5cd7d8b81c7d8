"""``/compare``: methods or variants side by side."""
