"""``/tree``: the decision tree, drawn whole and walked."""
