"""The pages to look things up in: methods, models, GPUs, accuracy, and what this is."""
