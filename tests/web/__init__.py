"""The HTML surface."""
