"""The data files, loaded and checked once, and looked up by name."""
