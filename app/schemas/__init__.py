"""The JSON surface's shapes: what requests are parsed with and what the OpenAPI document promises of answers."""
