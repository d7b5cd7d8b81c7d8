"""What happens around every request: security headers, a limit on bodies, one line of log.

Plain ASGI, since each costs a few microseconds on every request.
"""

import sys
import time
from collections.abc import Mapping
from functools import lru_cache

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
SECURITY_HEADERS: Mapping[str, str] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class BodyTooLarge(HTTPException):
    """The body exceeds the limit, as announced or as counted on the way in."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(413)
        self.most_bytes = most_bytes


class RootPath:
    """Tells the application the path prefix that a reverse proxy adds, whether or not it strips it again."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its prefix, in the path as well: that is how ASGI has it."""
        if scope["type"] in ("http", "websocket"):
            path: str = scope["path"]
            if path == self.root_path:
                path = self.root_path + "/"  # the start page, without the slash that people leave out
            elif not path.startswith(self.root_path + "/"):
                path = self.root_path + path
            scope = {**scope, "root_path": self.root_path, "path": path}
        await self.app(scope, receive, send)


class SecurityHeaders:
    """Adds ``SECURITY_HEADERS`` to every response that does not set its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._raw = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, dress the response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                present = {name.lower() for name, _ in headers}
                headers.extend(pair for pair in self._raw if pair[0] not in present)
            await send(message)

        await self.app(scope, receive, dressed)


class BodyLimit:
    """Refuses bodies over ``most_bytes``: by Content-Length before reading, by counting where there is none.

    The error is raised where the body is read, so that the surface concerned words the answer.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self.app = app
        self.most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a ``receive`` that counts."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        left = self.most_bytes

        async def counted() -> Message:
            nonlocal left
            if announced.isdigit() and int(announced[:20]) > self.most_bytes:
                raise BodyTooLarge(self.most_bytes)
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise BodyTooLarge(self.most_bytes)
            return message

        await self.app(scope, counted, send)


class AccessLog:
    """Writes one line of JSON per request to standard output: what was asked, how it went, how long it took.

    The query is left out: it can hold a pasted configuration. Written without the logging package, which would take
    longer than the rest of this.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note what came of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status, sent = 500, 0

        async def noted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            client = scope.get("client")
            line = {
                "time": _now(int(time.time())),
                "client": client[0] if client else None,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "bytes": sent,
                "milliseconds": round((time.perf_counter() - started) * 1000, 2),
            }
            sys.stdout.write(to_json(line).decode() + "\n")
            sys.stdout.flush()


@lru_cache(maxsize=2)
def _now(second: int) -> str:
    """A second since 1970 as people and machines read it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
