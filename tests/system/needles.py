"""Values that must not be somewhere, in each of the forms in which they could be there."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

_LONGEST = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_TEXT_CODECS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "gb18030")


def forms(value: str) -> frozenset[bytes]:
    """The value's bytes, in lower case: by character set, escaped as JSON, XML and URL do, in hexadecimal digits."""
    cases = {value, value.upper(), value.lower(), value.title()}
    found = {one.encode(codec) for one in cases for codec in _TEXT_CODECS}
    found |= {json.dumps(one)[1:-1].encode() for one in cases}
    found |= {quote(one.encode(codec)).encode() for one in cases for codec in ("utf-8", "latin-1")}
    found |= {re.sub(r"[^\x00-\x7f]", lambda one: f"&#{ord(one[0])};", case).encode() for case in cases}
    found |= {one.encode(codec).hex().encode() for one in cases for codec in ("utf-8", "latin-1")}
    found |= {repr(one.encode(codec))[2:-1].encode() for one in cases for codec in ("utf-8", "latin-1")}
    return frozenset(one.lower() for one in found)


def leaks(value: str, text: bytes) -> bool:
    """Whether the value is in the bytes in any form; also in what is base64 in them, and base64 in that."""
    wanted = forms(value)
    return any(one in layer.lower() for layer in _layers(text) for one in wanted)


def _layers(text: bytes, depth: int = 3) -> Iterator[bytes]:
    yield text
    for match in _LONGEST.finditer(text) if depth else ():
        encoded = match[0].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        for start in range(4):  # what stands before it may look like base64, too
            whole = encoded[start : start + (len(encoded) - start) // 4 * 4 or None]
            rest = encoded[start + len(whole) :]
            decoded = base64.b64decode(whole + (rest + b"===")[:4] if len(rest) > 1 else whole[: len(whole) // 4 * 4])
            yield from _layers(decoded, depth - 1) if start == 0 else (decoded,)
