"""XML from a PC may be hostile: any bytes give an element or `MalformedAnswer`, nothing else."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.wsman import MalformedAnswer, xml
from provmode.wsman.xml import escape, parse

XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
"""Text that XML 1.0 can represent, without the three control characters that it allows."""
NOT_IN_XML = st.sampled_from([*map(chr, range(0x00, 0x09)), "\x0b", "\x0c", *map(chr, range(0x0E, 0x20))])
MARKUP = st.sampled_from(["\t", "\n", "\r", "\r\n", "]]>", "<", ">", "&", "'", '"', " ", "&amp;", "%s"])
WORDS = st.sampled_from(
    [
        *("<", ">", "</", "/>", "<a>", "</a>", "<p:a", "<?", "?>", "<!--", "-->", "<![CDATA[", "]]>", "<!DOCTYPE a>"),
        *("&", "&#0;", "&#xD800;", "&lt;", "&b;", "'", "=", "x='", "xmlns:p='u'", "a", "é", "😀", " "),
        *('<!ENTITY b "c">', '<?xml version="1.0" encoding="utf-7"?>', '<?xml version="1.0" encoding=">"?>'),
        *("\0", "\x1f", "\ufffe"),
    ]
)


# -- refused: documents with a document type ---------------------------------------------------------------------


def test_entities_that_multiply_are_refused_before_they_are_expanded() -> None:
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "lol">{lol}]><a>&l9;</a>'

    with pytest.raises(MalformedAnswer, match="document type"):
        parse(bomb.encode())


def test_an_external_entity_is_never_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret", encoding="ascii")
    document = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>&x;</a>'

    with pytest.raises(MalformedAnswer, match="document type") as caught:
        parse(document.encode())

    assert "the secret" not in str(caught.value)


@pytest.mark.parametrize(
    "prolog",
    [
        "<!DOCTYPE a>",
        "<!doctype a>",
        '<!DOCTYPE a SYSTEM "http://example.invalid/a.dtd">',
        '<!DOCTYPE a PUBLIC "-//X//Y" "file:///etc/passwd">',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://example.invalid/p"> %p;]>',
        "<!-- before --><!DOCTYPE a>",
        "\n\n<!DOCTYPE a>",
        '<!ENTITY x "y">',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_document_type_is_refused_however_it_is_written(prolog: str, encoding: str) -> None:
    with pytest.raises(MalformedAnswer):
        parse(f"{prolog}<a/>".encode(encoding))


@pytest.mark.parametrize(
    "before", [b"", b" ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\0\n", b"\n\0", b"\0", b"<?xml version='1.0'?>"]
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_a_document_type_is_not_smuggled_in_under_another_encoding(before: bytes, encoding: str) -> None:
    # expat detects UTF-16 in its own way, which must not bypass our check
    with pytest.raises(MalformedAnswer):
        parse(before + '<!DOCTYPE a [<!ENTITY x "expanded">]><a>&x;</a>'.encode(encoding))


def test_an_undeclared_entity_is_refused() -> None:
    with pytest.raises(MalformedAnswer, match="not well-formed"):
        parse(b"<a>&nbsp;</a>")


def test_the_five_entities_of_xml_and_numbers_are_read() -> None:
    assert parse(b"<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;</a>").text == "<>&\"'AB"


def test_text_that_only_mentions_a_document_type_is_read() -> None:
    assert parse(b"<a>&lt;!DOCTYPE html&gt;</a>").text == "<!DOCTYPE html>"


def test_an_include_is_read_as_an_ordinary_element() -> None:
    root = parse(b'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd"/></a>')

    assert [item.tag for item in root] == ["{http://www.w3.org/2001/XInclude}include"]
    assert root[0].text is None


# -- refused: size and depth -------------------------------------------------------------------------------------


def test_more_bytes_than_the_limit_are_refused_unread() -> None:
    with pytest.raises(MalformedAnswer, match="over the limit"):
        parse(b"<a>" + b" " * xml.MAX_BYTES + b"</a>")


def test_as_many_bytes_as_the_limit_are_read() -> None:
    text = "x" * (xml.MAX_BYTES - len("<a></a>"))

    assert parse(f"<a>{text}</a>".encode()).text == text


@pytest.mark.parametrize("quote", "\"'")
@pytest.mark.parametrize("name", ["xmlns", "xmlns:p", f"xmlns:{'p' * 256}", "xmlns ", "xmlns:p\n"])
def test_a_namespace_is_read_up_to_the_limit_and_a_longer_one_refused(quote: str, name: str) -> None:
    for length in (xml.MAX_NAMESPACE, xml.MAX_NAMESPACE + 1):
        document = f"<a b='>'  {name}={quote}{'>' * length}{quote}/>".encode()
        if length == xml.MAX_NAMESPACE:
            assert parse(document).tag in ("a", f"{{{'>' * length}}}a")
        else:
            with pytest.raises(MalformedAnswer, match="namespace of over"):
                parse(document)


def test_a_prefix_without_an_end_is_refused() -> None:
    with pytest.raises(MalformedAnswer, match="prefix of over"):
        parse(f"<a xmlns:{'p' * 257}='u'/>".encode())


def test_more_elements_than_the_limit_are_refused() -> None:
    with pytest.raises(MalformedAnswer, match="elements"):
        parse(b"<a>" + b"<b/>" * (2 * xml.MAX_ELEMENTS) + b"</a>")


def test_as_deep_as_the_limit_is_read_and_one_deeper_refused() -> None:
    deep = b"<a>" * xml.MAX_DEPTH + b"</a>" * xml.MAX_DEPTH

    assert parse(deep).tag == "a"
    with pytest.raises(MalformedAnswer, match="deep"):
        parse(b"<a>" + deep + b"</a>")


def test_very_deep_nesting_is_refused_without_running_out_of_stack() -> None:
    height = xml.MAX_ELEMENTS
    with pytest.raises(MalformedAnswer, match="deep"):
        parse(b"<a>" * height + b"</a>" * height)


def test_very_deep_nesting_without_an_end_is_refused() -> None:
    with pytest.raises(MalformedAnswer, match="not well-formed"):
        parse(b"<a>" * xml.MAX_ELEMENTS)


def test_a_broad_document_is_not_taken_for_a_deep_one() -> None:
    assert len(parse(b"<a>" + b"<b/>" * 1000 + b"</a>")) == 1000


# -- encodings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0"?>', "<?xml version='1.0' encoding='{}' ?>\r\n"])
def test_utf8_and_utf16_are_read_with_and_without_mark_and_declaration(encoding: str, declaration: str) -> None:
    declared = "UTF-8" if encoding.startswith("utf-8") else encoding.replace("-le", "LE").replace("-be", "BE")

    assert parse(f"{declaration.format(declared)}<a>größer 😀</a>".encode(encoding)).text == "größer 😀"


@pytest.mark.parametrize("encoding", ["windows-1252", "iso-8859-1", "utf-7", "utf-32", "ibm037", "shift_jis", "x-none"])
def test_the_error_for_another_encoding_names_it(encoding: str) -> None:
    with pytest.raises(MalformedAnswer, match=f"declared as {encoding}"):
        parse(f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode())


@pytest.mark.parametrize(
    "data",
    [
        "<a>größer</a>".encode("cp1252"),
        b"<a>\xc0\xaf</a>",  # an overlong slash
        b"<a>\xed\xa0\x80</a>",  # a surrogate in UTF-8
        b"\xff\xfe<\0a\0>\0\x00\xd8",  # half a surrogate pair in UTF-16
        b"\xff\xfe<",  # an odd number of bytes
        "<a/>".encode("utf-32"),
        b"\xff\xff\xff",
    ],
)
def test_bytes_that_are_not_text_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse(data)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@given(bad=NOT_IN_XML, written=st.booleans())
def test_a_nul_or_another_control_character_is_refused(encoding: str, bad: str, written: bool) -> None:
    text = f"&#{ord(bad)};" if written else bad

    with pytest.raises(MalformedAnswer, match="not well-formed"):
        parse(f"<a>{text}</a>".encode(encoding))


# -- broken documents --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \r\n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b'<?xml version="1.0"?>',
        b"plain text",
        b"<a>",
        b"<a></b>",
        b"<a/><a/>",
        b"<a/>rest",
        b"<a b=c/>",
        b'<a b="1" b="2"/>',
        b"<p:a/>",  # a prefix without a namespace
        b"<a><![CDATA[</a>",
        b"<a><!-- </a>",
        b"<a>\x1f</a>",
        b'{"json": 1}',
        b"HTTP/1.1 200 OK\r\n\r\n<a/>",
    ],
)
def test_bytes_that_are_not_a_document_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse(data)


@given(st.binary(max_size=300))
def test_any_bytes_give_an_element_or_are_malformed(data: bytes) -> None:
    try:
        root = parse(data)
    except MalformedAnswer:
        return
    assert root.tag


@given(
    st.lists(st.one_of(WORDS, XML_TEXT), max_size=25).map("".join), st.sampled_from(["utf-8", "utf-16", "utf-16-be"])
)
def test_any_pieces_of_xml_give_an_element_or_are_malformed(text: str, encoding: str) -> None:
    try:
        root = parse(text.encode(encoding))
    except MalformedAnswer:
        return
    assert root.tag


@given(st.data())
def test_a_document_cut_anywhere_is_refused(data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    whole = '<?xml version="1.0"?><a xmlns:p="u"><p:b c="d">é &amp; 😀</p:b></a>'.encode(encoding)
    end = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(MalformedAnswer):
        parse(whole[:end])


@given(st.binary(min_size=1, max_size=6), st.integers(0, 10_000))
def test_a_document_with_foreign_bytes_in_it_gives_an_element_or_is_malformed(foreign: bytes, position: int) -> None:
    whole = '<?xml version="1.0"?><a xmlns:p="u"><p:b c="d">é &amp; 😀</p:b></a>'.encode()
    at = position % len(whole)
    try:
        root = parse(whole[:at] + foreign + whole[at:])
    except MalformedAnswer:
        return
    assert root.tag


# -- writing -----------------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(XML_TEXT, MARKUP)).map("".join))
def test_escaped_text_is_read_back_by_another_parser(text: str) -> None:
    root = ET.fromstring(f'<a b="{escape(text)}">{escape(text)}</a>')

    assert (root.text or "") == text
    assert root.get("b") == text


@given(XML_TEXT, NOT_IN_XML | st.sampled_from(["\ud800", "\udfff", "\ufffe", "\uffff"]), XML_TEXT)
def test_text_that_xml_cannot_represent_is_refused_and_never_changed(before: str, bad: str, after: str) -> None:
    with pytest.raises(ValueError, match=f"U\\+{ord(bad):04X}"):
        escape(before + bad + after)
