"""What Axolotl 0.19 accepts, covers and means: knowledge as data, with the functions that read it."""
