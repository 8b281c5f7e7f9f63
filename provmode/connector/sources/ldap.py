"""LDAP with one server, without a socket: bytes in, bytes out. Pure.

The messages are sansldap's. Here are their frames, the sealed ones of SASL included (RFC 4422 section 3.7), the bind
and the search by pages (RFC 2696). A server is believed no size: frames, entries, pages and everything together are
bounded, and what is not LDAP ends the conversation.

To read an object takes as long as the server needs to find it. So the objects of a page are read after the next page
was asked for, while the server works.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sansldap
from sansldap import LDAPFilter, LDAPMessage, SearchScope
from sansldap._messages import PackingOptions, unpack_ldap_message
from sansldap.asn1 import ASN1Reader

T = TypeVar("T")


@dataclass(frozen=True)
class Unread:
    """An object that a search found, as it came."""

    data: bytes


Message = LDAPMessage | Unread
Talk = Generator[bytes, Message | None, T]
"""A conversation: yields what to send, or nothing to wait for the next message of the server, which it is sent then."""

PAGE = 1_000
"""Entries of a page: Active Directory's MaxPageSize, above which it cuts off."""
LARGEST_FRAME = 16 * 1024 * 1024
MOST_BYTES = 512 * 1024 * 1024
MOST_ENTRIES = 300_000
MOST_PAGES = 3_000
"""Pages of a search, which could all be empty."""
MOST_STEPS = 6
"""Messages of a handshake."""
SPNEGO = "GSS-SPNEGO"

SUCCESS, BIND_IN_PROGRESS = 0, 14
SUBTREE, ONE_LEVEL, BASE = SearchScope.SUBTREE, SearchScope.ONE_LEVEL, SearchScope.BASE


class NotLdap(Exception):
    """The server's answer is not LDAP as specified, or larger than anybody needs."""


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass(frozen=True)
class Entry:
    """An object of the directory; the attributes by their names in lower case."""

    name: str
    values: Mapping[str, tuple[bytes, ...]]

    def text(self, attribute: str) -> str:
        """Return the first value as text; empty without a value, or if it is not UTF-8."""
        values = self.values.get(attribute.lower(), ())
        try:
            return values[0].decode() if values else ""
        except UnicodeDecodeError:
            return ""

    def has(self, attribute: str) -> bool:
        """Return whether there is a value."""
        return bool(self.values.get(attribute.lower()))

    def number(self, attribute: str) -> int | None:
        """Return the first value as a whole number; ``None`` without a value, or if it is not a number."""
        text = self.text(attribute)
        return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20 else None


class Wire:
    """The frames of one connection. After `sealed` was called, each is sealed."""

    def __init__(self) -> None:
        self._client = sansldap.LDAPClient()
        self._left = bytearray()
        self._received = 0
        self._seal: Callable[[bytes], bytes] | None = None
        self._open: Callable[[bytes], bytes] | None = None
        self._plain = bytearray()

    @property
    def client(self) -> sansldap.LDAPClient:
        """Makes the requests."""
        return self._client

    def to_send(self) -> bytes:
        """Return the requests that were made, as they are sent."""
        data = self._client.data_to_send()
        if self._seal is None or not data:
            return data
        sealed = self._seal(data)
        return len(sealed).to_bytes(4, "big") + sealed

    def sealed(self, seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes]) -> None:
        """Seal everything from now on.

        Raises:
            NotLdap: the server has sent something that is not sealed.
        """
        if self._left:
            raise NotLdap("it sent something unsealed after the handshake")
        self._seal, self._open = seal, unseal

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with *data*.

        Raises:
            NotLdap: they are not messages of LDAP, or too large.
            Exception: what unsealing raised: the seal is broken.
        """
        self._received += len(data)
        if self._received > MOST_BYTES:
            raise NotLdap(f"it sent over {MOST_BYTES // 1024 // 1024} MiB")
        if self._open is None:
            return self._messages(self._left, data)
        self._left += data
        messages: list[Message] = []
        place = 0
        while len(self._left) >= place + 4:
            length = int.from_bytes(self._left[place : place + 4], "big")
            if length > LARGEST_FRAME:
                raise NotLdap("it announced a sealed message that is too large")
            if len(self._left) < place + 4 + length:
                break
            messages += self._messages(self._plain, self._open(bytes(self._left[place + 4 : place + 4 + length])))
            place += 4 + length
        del self._left[:place]
        return messages

    def _messages(self, left: bytearray, data: bytes) -> list[Message]:
        left += data
        messages: list[Message] = []
        place = 0
        while (length := _length_at(left, place)) is not None and place + length <= len(left):
            one = bytes(left[place : place + length])
            place += length
            if _is_object(one):
                messages.append(Unread(one))
                continue
            try:
                messages += self._client.receive(one)
            except Exception as error:  # noqa: BLE001 - the parser's errors on hostile bytes are of many types
                raise NotLdap(_first_line(error)) from None
        del left[:place]
        return messages


def _length_at(data: bytearray, place: int) -> int | None:
    """Return the length of the message that begins at *place*, its head included; ``None`` if more has to come.

    Raises:
        NotLdap: no message begins there, or too large a one.
    """
    if len(data) > place and data[place] != 0x30:
        raise NotLdap("it sent something that is not LDAP")
    if len(data) < place + 2:
        return None
    first = data[place + 1]
    if first < 0x80:
        return 2 + first
    size = first & 0x7F
    if not 1 <= size <= 4:
        raise NotLdap("it sent a message of unknown length")
    if len(data) < place + 2 + size:
        return None
    length = int.from_bytes(data[place + 2 : place + 2 + size], "big")
    if length > LARGEST_FRAME:
        raise NotLdap("it announced a message that is too large")
    return 2 + size + length


def _is_object(message: bytes) -> bool:
    """Return whether a whole message is a SearchResultEntry, as far as its beginning tells."""
    number = 2 + (message[1] & 0x7F if message[1] > 0x7F else 0)  # after the head of the message
    kind = number + 2 + message[number + 1] if len(message) > number + 1 else len(message)
    return kind < len(message) and message[kind] == _OBJECT


_OBJECT = 0x64
"""[APPLICATION 4], constructed (RFC 4511 section 4.5.2)."""
_PACKING = PackingOptions()


def _read(message: Unread, number: int) -> Entry:
    """Return the object in a message, which answers the search *number*.

    Raises:
        NotLdap: it is not an object of LDAP, or answers something else.
    """
    try:
        read = unpack_ldap_message(ASN1Reader(message.data), _PACKING)
    except Exception as error:  # noqa: BLE001 - the parser's errors on hostile bytes are of many types
        raise NotLdap(_first_line(error)) from None
    if not isinstance(read, sansldap.SearchResultEntry) or read.message_id != number:
        raise NotLdap("it mixed up its answers")
    return Entry(read.object_name, {one.name.lower(): tuple(one.values) for one in read.attributes})


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def bind(wire: Wire, step: Callable[[bytes | None], bytes]) -> Talk[None]:
    """Log on with the tokens that *step* makes of the server's.

    Raises:
        Refused: the server refused them.
        NotLdap: the server answered something else.
    """
    token = step(None)
    for _ in range(MOST_STEPS):
        wire.client.bind_sasl(SPNEGO, cred=token)
        yield wire.to_send()
        answer = yield b""
        if not isinstance(answer, sansldap.BindResponse):
            raise NotLdap("it answered a bind with something else")
        code = int(answer.result.result_code)
        if code not in (SUCCESS, BIND_IN_PROGRESS):
            raise Refused(code, answer.result.diagnostics_message)
        token = step(answer.server_sasl_creds) if answer.server_sasl_creds else b""
        if code == SUCCESS:
            return
    raise NotLdap("its handshake does not end")


def search(
    wire: Wire, base: str, scope: SearchScope, wanted: LDAPFilter, attributes: Sequence[str], *, page: int = PAGE
) -> Talk[list[Entry]]:
    """Return the entries below *base* that *wanted* fits, asked for by pages. Referrals to other servers are ignored.

    Raises:
        Refused: the server answered with an error.
        NotLdap: the server answered something else, or more than anybody needs.
    """
    entries: list[Entry] = []
    unread: list[Unread] = []
    cookie, number = b"", 0
    for _ in range(MOST_PAGES):
        control = sansldap.PagedResultControl(critical=True, size=page, cookie=cookie)
        before, number = (
            number,
            wire.client.search_request(
                base, scope=scope, filter=wanted, attributes=list(attributes), controls=[control]
            ),
        )
        yield wire.to_send()
        entries += [_read(one, before) for one in unread]
        unread = []
        while not isinstance(answer := (yield b""), sansldap.SearchResultDone):
            if isinstance(answer, Unread):
                unread.append(answer)
                if len(entries) + len(unread) > MOST_ENTRIES:
                    raise NotLdap(f"it sent over {MOST_ENTRIES:,} objects")
            elif not isinstance(answer, sansldap.SearchResultReference):
                raise NotLdap("it answered a search with something else")
        if answer.message_id != number:
            raise NotLdap("it mixed up its answers")
        if int(answer.result.result_code) != SUCCESS:
            raise Refused(int(answer.result.result_code), answer.result.diagnostics_message)
        pages = [one for one in answer.controls if isinstance(one, sansldap.PagedResultControl)]
        cookie = pages[0].cookie if pages else b""
        if not cookie:
            return entries + [_read(one, number) for one in unread]
    raise NotLdap(f"it sent over {MOST_PAGES:,} pages")


# -- filters: their values are bytes of their own, so that nothing in them has to be escaped -----------------------


def equal(attribute: str, value: str) -> LDAPFilter:
    """Return the filter for *attribute* having *value*."""
    return sansldap.FilterEquality(attribute, value.encode())


def all_of(*filters: LDAPFilter) -> LDAPFilter:
    """Return the filter for all *filters*."""
    return sansldap.FilterAnd(list(filters))


def any_of(*filters: LDAPFilter) -> LDAPFilter:
    """Return the filter for at least one of *filters*."""
    return sansldap.FilterOr(list(filters))


def nested_member_of(group: str) -> LDAPFilter:
    """Return the filter for members of *group*, a distinguished name, and of groups in it (MS-ADTS 3.1.1.3.4.4.3)."""
    return sansldap.FilterExtensibleMatch("1.2.840.113556.1.4.1941", "memberOf", group.encode(), False)


def read_filter(text: str) -> LDAPFilter:
    """Return the filter that a person wrote.

    Raises:
        ValueError: *text* is not a filter; the message says why.
    """
    try:
        return LDAPFilter.from_string(text if text.startswith("(") else f"({text})")
    except RecursionError:
        raise ValueError("too deeply nested") from None
    except (IndexError, TypeError, NotImplementedError) as error:  # sansldap's on some broken ones
        raise ValueError(f"no filter ({type(error).__name__})") from None
