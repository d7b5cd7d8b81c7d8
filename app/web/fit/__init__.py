"""``/fit``: the most that a card takes, and a map of what fits."""
