"""The HTML surface: pages, forms and the fragments that htmx swaps. Thin: it parses, calls a service, renders."""
