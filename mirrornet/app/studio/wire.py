"""The format of binary answers: a JSON head and arrays, in one body.

4 bytes, the length of the head in bytes (little-endian); the head, UTF-8 JSON, padded with blanks
to a multiple of 4 bytes in all; then the arrays one after another. The entry `arrays` of the head
lists them: name, type ("f4" or "u1") and shape. `mirrornet/page/api.js` reads it.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def packed(head: Mapping[str, Any], **arrays: np.ndarray) -> bytes:
    """A head and arrays, float32 or uint8, as bytes. The sizes of all but the last are multiples of
    4 bytes."""
    listed = [[name, array.dtype.str[1:], array.shape] for name, array in arrays.items()]
    text = json.dumps({**head, "arrays": listed}, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    bodies = [np.ascontiguousarray(array).tobytes() for array in arrays.values()]
    return b"".join([len(text).to_bytes(4, "little"), text, *bodies])


def unpacked(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The inverse of `packed`."""
    at = 4 + int.from_bytes(data[:4], "little")
    head = json.loads(data[4:at])
    arrays = {}
    for name, kind, shape in head.pop("arrays"):
        count = int(np.prod(shape, dtype=int))
        arrays[name] = np.frombuffer(data, kind, count, at).reshape(shape)
        at += arrays[name].nbytes
    return head, arrays
