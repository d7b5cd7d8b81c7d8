"""Sweeps over the catalogue: every plan held to what it says of itself."""
