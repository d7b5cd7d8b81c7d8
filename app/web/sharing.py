"""A file on its way through an address, compressed; and what a form posts, a chosen file included.

Files of a few kilobytes, which is what people have, fit into an address, so that a checked file can be shared and Back
works; longer ones are answered where they are posted (``docs/decisions/0006-share-a-check-by-its-address.md``).
"""

import base64
import binascii
import zlib
from collections.abc import Mapping
from email import policy
from email.parser import BytesParser
from urllib.parse import parse_qsl

from app.services.reading import LONGEST, read

LONGEST_PACKED = 6_000
"""Characters of an address that servers and chats still take."""
MOST_FIELDS = 40


def pack(text: str) -> str | None:
    """``text`` as it may stand in an address, None where it is too long for one."""
    raw = zlib.compress(text.encode("utf-8", "surrogatepass"), 9)
    packed = base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
    return packed if len(packed) <= LONGEST_PACKED else None


def unpack(packed: str) -> str | None:
    """What ``pack`` packed, None where the address is damaged. Decompression stops at the longest file."""
    try:
        if len(packed) > LONGEST_PACKED:
            return None
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        engine = zlib.decompressobj()
        plain = engine.decompress(raw, 4 * LONGEST)
        return plain.decode() if engine.eof else None
    except (ValueError, zlib.error, binascii.Error):
        return None


def posted(body: bytes, media_type: str) -> Mapping[str, str | bytes]:
    """The fields of a posted form; a file's bytes as they came. What is no form has no fields."""
    if media_type.lower().startswith("multipart/form-data"):
        head = f"Content-Type: {media_type}\r\n\r\n".encode("latin-1", "replace")
        message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
        fields: dict[str, str | bytes] = {}
        for part in (list(message.iter_parts()) if message.is_multipart() else [])[:MOST_FIELDS]:
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(content, bytes):
                fields[name] = content if part.get_filename() is not None else content.decode("utf-8", "replace")
        return fields
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}
    return dict(pairs)


def text_of(fields: Mapping[str, str | bytes]) -> str | bytes:
    """The YAML of a posted form. A chosen file wins over the text box."""
    file, text = fields.get("file"), fields.get("yaml", "")
    given = file if isinstance(file, bytes) and file.strip() else text
    if isinstance(given, bytes):
        # Shown and shared as text, so that what the page holds is what was looked at.
        given = read(given).text or given
    return given.replace("\r\n", "\n") if isinstance(given, str) else given
