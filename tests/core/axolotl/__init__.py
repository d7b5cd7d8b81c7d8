"""What is known of Axolotl, against Axolotl."""
