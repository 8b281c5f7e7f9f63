"""Parsing of hostile XML, and escaping of XML that is written.

A request with a document type is refused: no entity is ever expanded and nothing external is fetched. SOAP 1.2
forbids both document types and processing instructions (W3C SOAP 1.2 part 1, section 5).
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError, XMLParser
from xml.sax.saxutils import escape as _escape

DEPTH_LIMIT = 100
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class MalformedXml(ValueError):
    """Not XML, or XML that is not allowed in a SOAP message."""


def parse(data: bytes, charset: str) -> Element:
    """Parse a message in *charset* (``UTF-8`` or ``UTF-16``); names come as ``{namespace}local``.

    NULs behind the message are ignored: Windows takes the messages of a client that sends some (omicli).

    Raises:
        MalformedXml: it is not well-formed, has a document type, or nests deeper than `DEPTH_LIMIT`.
    """
    try:
        text = data.decode({"utf-16": "utf-16", "utf-8": "utf-8-sig"}[charset.lower()])
    except (KeyError, UnicodeDecodeError) as error:
        raise MalformedXml(f"cannot decode the message as {charset}") from error
    text = text.rstrip("\0")
    if "\0" in text:  # with NULs expat guesses another encoding and would evade the check below
        raise MalformedXml("a NUL character")
    if "<!" in text and ("<!DOCTYPE" in text or "<!ENTITY" in text):
        raise MalformedXml("a document type declaration")
    if "<?xml" in text:
        text = _DECLARATION.sub("", text, count=1)  # the text is decoded: its encoding no longer applies
    parser = XMLParser()  # noqa: S314 - no document type, so no entity to expand
    try:
        parser.feed(text)
        root = parser.close()
    except ParseError as error:
        raise MalformedXml(str(error)) from error
    if text.count("<") > DEPTH_LIMIT and _deeper_than(root, DEPTH_LIMIT):
        raise MalformedXml("nested too deeply")
    assert isinstance(root, Element)
    return root


def _deeper_than(root: Element, limit: int) -> bool:
    """Return whether elements nest deeper than *limit*, without recursion."""
    level = [root]
    for _ in range(limit):
        level = [child for element in level for child in element]
        if not level:
            return False
    return True


def local(element: Element) -> str:
    """Return the element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def escape(text: str) -> str:
    """Return *text* for element content. Characters that XML forbids become ``?``, as in Windows."""
    return _escape(_NOT_XML.sub("?", text), {"\r": "&#13;"})  # parsers read a bare one as a line feed


def quote(text: str) -> str:
    """Return *text* for an attribute in double quotes."""
    return escape(text).replace('"', "&quot;")
