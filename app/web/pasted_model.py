"""A pasted ``config.json`` on its way through an address: read, reduced to what counts, compressed.

text -> read_json -> reduce -> pack -> ``m=eJyr...`` -> unpack -> the same architecture
"""

import base64
import binascii
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.architecture import Architecture
from app.core.architectures import describe
from app.core.errors import FieldError, InvalidInput
from app.core.messages import message

LONGEST_TEXT = 24_000
"""Characters of a pasted file; the largest config.json of a catalogue model has a third of that."""
LONGEST_PACKED = 6_000
LARGEST_UNPACKED_BYTES = 64 * 1024
DEEPEST = 6
_NAME = "_name_or_path"


def read_json(text: str) -> dict[str, Any]:
    """The JSON object that was pasted.

    Raises:
        InvalidInput: it is too long, no JSON, or no object.
    """
    if len(text) > LONGEST_TEXT:
        raise _fault("web.error.model_json.long", given=len(text), most=LONGEST_TEXT)
    try:
        values = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise _fault("web.error.model_json.syntax", line=error.lineno, column=error.colno) from error
    except (ValueError, RecursionError) as error:
        raise _fault("web.error.model_json.value") from error
    if not isinstance(values, dict):
        raise _fault("web.error.model_json.object")
    if not values:
        raise _fault("web.error.model_json.empty")
    return values


def reduce(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only the fields that describing this model reads, and its own name.

    Some descriptions look at everything; tables and lists that change nothing are left out all the same.

    Raises:
        InvalidInput: the file does not describe a model.
    """
    noted = _Noted(values)
    described = describe(noted)
    reduced = noted.read()
    for key in [key for key, value in reduced.items() if isinstance(value, dict | list)]:
        without = {name: value for name, value in reduced.items() if name != key}
        if _describes(without, described):
            reduced = without
    if isinstance(values.get(_NAME), str):
        reduced[_NAME] = values[_NAME][:200]
    return reduced if _describes(reduced, described) else dict(values)


def pack(values: Mapping[str, Any]) -> str:
    """``values`` as a short text that is safe in an address.

    Raises:
        InvalidInput: even compressed it is too long for an address.
    """
    raw = json.dumps(values, separators=(",", ":"), sort_keys=True).encode()
    packed = base64.urlsafe_b64encode(zlib.compress(raw, 9)).rstrip(b"=").decode("ascii")
    if len(packed) > LONGEST_PACKED:
        raise _fault("web.error.model_json.long", given=len(raw), most=LONGEST_TEXT)
    return packed


def unpack(packed: str) -> dict[str, Any]:
    """What ``pack`` packed. Decompression stops at ``LARGEST_UNPACKED_BYTES``.

    Raises:
        InvalidInput: the text is damaged or too large.
    """
    try:
        if len(packed) > LONGEST_PACKED:
            raise ValueError(len(packed))
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        engine = zlib.decompressobj()
        plain = engine.decompress(raw, LARGEST_UNPACKED_BYTES)
        if not engine.eof:
            raise ValueError("truncated or too large")
        values = json.loads(plain, parse_constant=_refuse)
    except (ValueError, RecursionError, zlib.error, binascii.Error) as error:
        raise _fault("web.error.model_json.link") from error
    if not isinstance(values, dict):
        raise _fault("web.error.model_json.link")
    return values


def _describes(values: Mapping[str, Any], described: Architecture) -> bool:
    try:
        return describe(values) == described
    except InvalidInput:
        return False


class _Noted(Mapping[str, Any]):
    """A mapping that notes which of its keys are read, at any depth."""

    def __init__(self, values: Mapping[str, Any], depth: int = 0) -> None:
        self._values = values
        self._depth = depth
        self._read: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        if key not in self._read:
            nested = isinstance(value, dict) and self._depth < DEEPEST
            self._read[key] = _Noted(value, self._depth + 1) if nested else value
        return self._read[key]

    def __iter__(self) -> Iterator[str]:
        for key in self._values:
            self[key]
            yield key

    def __len__(self) -> int:
        return len(self._values)

    def read(self) -> dict[str, Any]:
        """The keys that were read, with their values; null can mean something else than nothing, so it stays."""
        return {key: value.read() if isinstance(value, _Noted) else value for key, value in self._read.items()}


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _fault(code: str, **params: str | int) -> InvalidInput:
    return InvalidInput(FieldError("/model", message(code, **params)))
