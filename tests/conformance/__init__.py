"""Holds the files that Axoplan writes to Axolotl's own validator."""
