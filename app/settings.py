"""Settings: the only reader of the environment. Every variable is documented in ``docs/configuration.md``."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this instance runs."""

    root_path: str = ""
    """Path prefix behind a reverse proxy (``AXOPLAN_ROOT_PATH``)."""
    cors_origins: tuple[str, ...] = ()
    """Origins that may call the API from a browser (``AXOPLAN_CORS_ORIGINS``, comma separated)."""
    max_body_bytes: int = 1 << 20
    """Largest accepted request body (``AXOPLAN_MAX_BODY_BYTES``)."""
    access_log: bool = True
    """Whether each request is logged as a line of JSON (``AXOPLAN_ACCESS_LOG``)."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read ``AXOPLAN_*``.

        Raises:
            ValueError: a variable holds something it cannot mean; the message names it.
        """
        origins = environment.get("AXOPLAN_CORS_ORIGINS", "")
        limit = environment.get("AXOPLAN_MAX_BODY_BYTES", str(1 << 20))
        if not limit.isdigit() or int(limit) < 1024:
            raise ValueError(f"AXOPLAN_MAX_BODY_BYTES must be a whole number of at least 1024, not {limit!r}")
        prefix = environment.get("AXOPLAN_ROOT_PATH", "").rstrip("/")
        if prefix and not prefix.startswith("/"):
            raise ValueError(f"AXOPLAN_ROOT_PATH must start with a slash, not {prefix!r}")
        access_log = environment.get("AXOPLAN_ACCESS_LOG", "1").lower()
        if access_log not in ("0", "1", "true", "false"):
            raise ValueError(f"AXOPLAN_ACCESS_LOG must be 1 or 0, not {access_log!r}")
        return cls(
            root_path=prefix,
            cors_origins=tuple(origin.strip() for origin in origins.split(",") if origin.strip()),
            max_body_bytes=int(limit),
            access_log=access_log in ("1", "true"),
        )
