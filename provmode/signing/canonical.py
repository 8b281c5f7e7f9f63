"""The bytes of a JSON document that are signed: the same, however the file was indented."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON with sorted keys, without blanks, in UTF-8."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


class KeyTwice(ValueError):
    """A key stands in an object twice, so that two readers could take it for different documents."""


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; for the reader of a file, as ``object_pairs_hook``.

    Raises:
        KeyTwice: a key stands there twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyTwice("a key stands in it twice")
    return found
