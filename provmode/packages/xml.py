"""XML of a package, read as hostile input: `provmode.wsman.xml` has the limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from provmode.packages.errors import damaged
from provmode.wsman.errors import MalformedAnswer
from provmode.wsman.xml import local_name, parse

_OF_MESSAGES = re.compile(r"(?:, which |; ).*$")
"""What the parser says besides of messages from a PC."""


def read_xml(data: bytes | str, what: str) -> Element:
    """Return the root element of a document; *what* it is stands in errors.

    Raises:
        PackageUnreadable: it is not well-formed, has a document type, or is too large or deep.
    """
    try:
        if isinstance(data, str):
            data = data.lstrip("\ufeff").encode()
        return parse(data)
    except (MalformedAnswer, UnicodeEncodeError) as error:
        why = _OF_MESSAGES.sub("", str(error)) if isinstance(error, MalformedAnswer) else "it is not Unicode"
        raise damaged(f"{what} cannot be read as XML: {why}") from None


def text_of(element: Element | None, name: str) -> str:
    """Return the text of a child, whatever its namespace; empty if there is none."""
    found = first(element, name)
    return (found.text or "").strip() if found is not None else ""


def first(element: Element | None, name: str) -> Element | None:
    """Return the first child of a name, whatever its namespace."""
    return next(children(element, name), None)


def children(element: Element | None, name: str) -> Iterator[Element]:
    """Yield the children of a name, whatever their namespace."""
    if element is not None:
        yield from (each for each in element if local_name(each) == name)
