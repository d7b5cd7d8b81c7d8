"""``/check``: anybody's file looked through, mended, and sized."""
