"""``/styleguide``: every token and every component, with what each is for. For those who build pages."""
