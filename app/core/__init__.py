"""What the product knows and computes, in the standard library alone."""
