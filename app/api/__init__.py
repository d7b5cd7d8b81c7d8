"""The JSON surface: thin routes over the services, and problem+json."""
