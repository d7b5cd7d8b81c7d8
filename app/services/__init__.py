"""Use cases, shared by the HTML and the JSON surface. Keyword-only, framework-free."""
