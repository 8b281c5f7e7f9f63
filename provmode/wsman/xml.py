"""XML from a PC, read as hostile input; XML to a PC, written with everything escaped.

Before the parser sees a document, `parse` refuses any encoding but UTF-8 and UTF-16, any document type (so there are
no custom entities, no external references, no expansion), more than `MAX_BYTES`, more than `MAX_ELEMENTS`, and a longer
namespace than `MAX_NAMESPACE`. After parsing, it refuses more than `MAX_DEPTH` levels. The parser is the C one: a fleet
run cannot afford a slower one.
"""

from __future__ import annotations

import functools
import re
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from provmode.wsman.errors import MalformedAnswer

MAX_BYTES = 2 * 1024 * 1024
"""Every request asks for at most 150 KB. Windows' largest default envelope is 500 KB (MaxEnvelopeSizekb, MS-WSMV
2.2.4.10). The parser cannot be interrupted, and more bytes would hold up the other PCs and Ctrl-C."""
MAX_DEPTH = 64
"""A fault with a provider's extended error nests 12 deep. Each embedded object adds one level."""
MAX_ELEMENTS = 100_000
MAX_NAMESPACE = 1024
"""Characters of a namespace. The parser writes it out anew for every element in it."""

_DOCTYPE = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_DECLARATION = re.compile(r"\A<\?xml[^>]*\?>")
_ENCODING = re.compile(r"""encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ENCODINGS = ("utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii")
_LONG_NAMESPACE = re.compile(
    # every part but the blanks is bounded: the time to search grows with the text, not with its square
    rf"""xmlns(?::[^\s=<>]{{0,256}})?\s*=\s*(?:"[^"]{{{MAX_NAMESPACE + 1}}}|'[^']{{{MAX_NAMESPACE + 1}}})"""
    r"|xmlns:[^\s=<>]{257}"
)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile('[&<>"\t\n\r]')
_ESCAPES = str.maketrans(
    # unescaped, a carriage return would be read as a line feed, and in an attribute a tab, line feed or carriage
    # return as a blank: XML 1.0 sections 2.11 and 3.3.3
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def parse(data: bytes) -> Element:
    """Return the root element of the document in *data*.

    Raises:
        MalformedAnswer: *data* is not well-formed, not UTF-8 or UTF-16, has a document type, or is too large or deep.
    """
    if len(data) > MAX_BYTES:
        raise MalformedAnswer(f"{len(data):,} bytes, over the limit of {MAX_BYTES:,}")
    text = _decode(data)
    if "\0" in text:
        # not only forbidden: expat would read text that begins with a NUL as UTF-16 and find a document type in it
        raise MalformedAnswer("not well-formed XML (a NUL character)")
    if _DOCTYPE.search(text):
        raise MalformedAnswer("it has a document type or entity declaration, which SOAP 1.2 part 1 section 5 forbids")
    tags = text.count("<")
    if tags > 2 * MAX_ELEMENTS:
        raise MalformedAnswer(f"over {MAX_ELEMENTS:,} elements")
    if _LONG_NAMESPACE.search(text):
        raise MalformedAnswer(f"a namespace of over {MAX_NAMESPACE:,} characters, or a prefix of over 256")
    parser = XMLParser(target=TreeBuilder())  # noqa: S314 - texts with a document type are refused above
    try:
        parser.feed(text)
        root = parser.close()
    except (ParseError, ValueError, RecursionError) as error:
        raise MalformedAnswer(f"not well-formed XML ({error})") from None
    if not isinstance(root, Element):
        raise MalformedAnswer("no element")
    if tags > MAX_DEPTH:
        _check_depth(root)
    return root


def _decode(data: bytes) -> str:
    """Return *data* as text, without byte order mark and XML declaration."""
    encoding = "utf-8-sig"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif data[:2] == b"<\0":
        encoding = "utf-16-le"
    elif data[:2] == b"\0<":
        encoding = "utf-16-be"
    try:
        text = data.decode(encoding).lstrip()
    except UnicodeDecodeError as error:
        raise MalformedAnswer(f"not {encoding.upper()} text at byte {error.start}") from None
    declaration = _DECLARATION.match(text)
    if declaration is None:
        return text
    declared = _ENCODING.search(declaration.group())
    if declared and declared.group(1).lower() not in _ENCODINGS:
        raise MalformedAnswer(f"declared as {declared.group(1)}; WS-Management is UTF-8 or UTF-16 (DSP0226 section 13)")
    return text[declaration.end() :]


def _check_depth(root: Element) -> None:
    """Walk the tree level by level, without recursion."""
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise MalformedAnswer(f"nested more than {MAX_DEPTH} deep")
        level = [item for element in level for item in element]


def escape(text: str) -> str:
    """Return *text* for element content or a double-quoted attribute.

    Raises:
        ValueError: *text* contains a character that XML 1.0 cannot represent (a control character, a lone surrogate).
    """
    bad = _NOT_XML.search(text)
    if bad is not None:
        raise ValueError(f"character U+{ord(bad.group()):04X} cannot be written in XML")
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text


def local_name(element: Element) -> str:
    """Return the tag without its namespace."""
    return _without_namespace(element.tag)


@functools.lru_cache(maxsize=512)
def _without_namespace(tag: str) -> str:
    return tag.rpartition("}")[2]


def namespace(element: Element) -> str:
    """Return the tag's namespace; empty if it has none."""
    return element.tag[1:].partition("}")[0] if element.tag.startswith("{") else ""


def child(element: Element, name: str) -> Element | None:
    """Return the first child called *name*, whatever its namespace and prefix.

    Windows versions and other WS-Management services differ in namespaces more than in names.
    """
    for item in element:
        if _without_namespace(item.tag) == name:
            return item
    return None


def descendants(element: Element, name: str) -> list[Element]:
    """Return every element called *name* below *element*, in document order."""
    return [item for item in element.iter() if item is not element and local_name(item) == name]
