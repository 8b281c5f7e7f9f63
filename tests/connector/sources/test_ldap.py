"""LDAP with one server: the frames, the bind, the search by pages, and servers that are hostile."""

from __future__ import annotations

import pytest
import sansldap
from hypothesis import given
from hypothesis import strategies as st

from provmode.connector.sources import ldap
from provmode.connector.sources.ldap import Entry, NotLdap, Refused, Wire

OK = sansldap.LDAPResultCode.SUCCESS


class Server:
    """A server's side, by sansldap."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.side = sansldap.LDAPServer()

    def drive(self, talk: ldap.Talk[ldap.T], *answers: object) -> ldap.T:
        """Carry a conversation out: each of *answers* is a function that answers one request."""
        left = list(answers)
        try:
            send = next(talk)
            waiting: list[ldap.Message] = []
            while True:
                if send:
                    for request in self.side.receive(send):
                        left.pop(0)(request)  # type: ignore[operator]
                    waiting += self.wire.feed(self.side.data_to_send())
                send = talk.send(None if send else waiting.pop(0))
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]

    def entries(self, request: sansldap.LDAPMessage, *names: str, cookie: bytes = b"") -> None:
        for name in names:
            attribute = sansldap.PartialAttribute("dNSHostName", [name.encode()])
            self.side.search_result_entry(request.message_id, f"CN={name}", [attribute])
        controls: list[sansldap.LDAPControl] = [sansldap.PagedResultControl(False, 0, cookie)]
        self.side.search_result_done(request.message_id, OK, controls=controls)


@pytest.fixture
def server() -> Server:
    return Server()


def search(server: Server) -> ldap.Talk[list[Entry]]:
    return ldap.search(server.wire, "DC=x", ldap.SUBTREE, ldap.equal("a", "b"), ["dNSHostName"])


def test_a_search_goes_on_to_its_last_page(server: Server) -> None:
    cookies = []

    def page(*names: str, cookie: bytes) -> object:
        def answer(request: sansldap.LDAPMessage) -> None:
            (control,) = request.controls
            assert isinstance(control, sansldap.PagedResultControl)
            cookies.append((control.size, control.cookie))
            server.entries(request, *names, cookie=cookie)

        return answer

    found = server.drive(search(server), page("a", "b", cookie=b"1"), page(cookie=b"2"), page("ü", cookie=b""))

    assert [entry.text("DNSHOSTNAME") for entry in found] == ["a", "b", "ü"]
    assert cookies == [(1000, b""), (1000, b"1"), (1000, b"2")]


def test_referrals_to_other_servers_are_ignored(server: Server) -> None:
    def answer(request: sansldap.LDAPMessage) -> None:
        server.side.search_result_reference(request.message_id, ["ldap://evil.example/DC=x"])
        server.entries(request, "a")

    assert len(server.drive(search(server), answer)) == 1


def test_an_error_keeps_its_number_and_text(server: Server) -> None:
    def answer(request: sansldap.LDAPMessage) -> None:
        code = sansldap.LDAPResultCode.NO_SUCH_OBJECT
        server.side.search_result_done(request.message_id, code, diagnostics_message="0000208D: NameErr")

    with pytest.raises(Refused) as refused:
        server.drive(search(server), answer)

    assert (refused.value.code, refused.value.text) == (32, "0000208D: NameErr")


def test_pages_without_an_end_are_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap, "MOST_PAGES", 20)

    with pytest.raises(NotLdap, match="over 20 pages"):
        server.drive(search(server), *([lambda request: server.entries(request, cookie=b"again")] * 25))


def test_entries_without_an_end_are_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap, "MOST_ENTRIES", 3)

    with pytest.raises(NotLdap, match="over 3 objects"):
        server.drive(search(server), lambda request: server.entries(request, *"abcdef"))


def test_everything_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap, "MOST_BYTES", 1000)
    wire = Wire()
    wire.feed(b"\x30\x83\x00\xff\xff" + bytes(900))

    with pytest.raises(NotLdap, match="it sent over"):
        wire.feed(bytes(200))


def test_the_handshake_goes_on_while_the_server_says_so(server: Server) -> None:
    tokens = []

    def step(token: bytes | None) -> bytes:
        tokens.append(token)
        return b"mine"

    def answer(code: sansldap.LDAPResultCode, token: bytes | None) -> object:
        def bound(request: sansldap.LDAPMessage) -> None:
            assert isinstance(request, sansldap.BindRequest)
            assert isinstance(request.authentication, sansldap.SaslCredential)
            assert request.authentication.mechanism == "GSS-SPNEGO"
            server.side.bind_response(request.message_id, result_code=code, sasl_creds=token)

        return bound

    more = answer(sansldap.LDAPResultCode.SASL_BIND_IN_PROGRESS, b"more")
    server.drive(ldap.bind(server.wire, step), more, answer(OK, b"last"))

    assert tokens == [None, b"more", b"last"]


def test_a_refused_bind_and_one_without_an_end(server: Server) -> None:
    def answer(code: sansldap.LDAPResultCode) -> object:
        return lambda request: server.side.bind_response(request.message_id, result_code=code, sasl_creds=b"x")

    with pytest.raises(Refused):
        server.drive(ldap.bind(server.wire, lambda _: b"t"), answer(sansldap.LDAPResultCode.INVALID_CREDENTIALS))
    other = Server()

    def again(request: sansldap.LDAPMessage) -> None:
        code = sansldap.LDAPResultCode.SASL_BIND_IN_PROGRESS
        other.side.bind_response(request.message_id, result_code=code, sasl_creds=b"x")

    with pytest.raises(NotLdap, match="does not end"):
        other.drive(ldap.bind(other.wire, lambda _: b"t"), *([again] * 20))


# -- frames ---------------------------------------------------------------------------------------------------------


def reversed_bytes(data: bytes) -> bytes:
    return data[::-1]


def sealed_wire() -> Wire:
    wire = Wire()
    wire.sealed(reversed_bytes, reversed_bytes)
    return wire


@given(st.data())
def test_sealed_frames_are_read_in_pieces_of_any_size(data: st.DataObject) -> None:
    wire, side = sealed_wire(), sansldap.LDAPServer()
    wire.client.search_request("DC=x")
    sent = wire.to_send()
    assert int.from_bytes(sent[:4], "big") == len(sent) - 4
    (request,) = side.receive(sent[4:][::-1])
    side.search_result_entry(request.message_id, "CN=a", [sansldap.PartialAttribute("a", [b"1" * 300])])
    side.search_result_done(request.message_id, OK)
    plain = side.data_to_send()
    cut = data.draw(st.integers(0, len(plain)))  # the seal need not end where a message does
    stream = b"".join(len(part).to_bytes(4, "big") + part[::-1] for part in (plain[:cut], plain[cut:]))

    messages = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        messages += wire.feed(stream[:size])
        stream = stream[size:]

    assert [type(message).__name__ for message in messages] == ["Unread", "SearchResultDone"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"HTTP/1.1 400", "not LDAP"),
        (b"\x30\x84\x7f\xff\xff\xff", "too large"),
        (b"\x30\x88" + b"\xff" * 8, "unknown length"),
        (b"\x30\x80\0\0", "unknown length"),
    ],
)
def test_what_is_not_ldap_is_refused_before_it_is_waited_for(sent: bytes, said: str) -> None:
    with pytest.raises(NotLdap, match=said):
        Wire().feed(sent)


def test_a_sealed_frame_that_is_too_large_is_refused_at_once() -> None:
    with pytest.raises(NotLdap, match="too large"):
        sealed_wire().feed(b"\x7f\xff\xff\xff")


def test_what_was_sent_unsealed_before_the_seal_is_not_taken() -> None:
    wire = Wire()
    wire.feed(b"\x30\x05\x02")

    with pytest.raises(NotLdap, match="unsealed"):
        wire.sealed(reversed_bytes, reversed_bytes)


def test_a_notice_of_disconnection_ends_it(server: Server) -> None:
    with pytest.raises(sansldap.ProtocolError) as broken:
        server.side.receive(b"\x30\x05\x02\x01\x01\x04\x00")
    assert broken.value.response is not None

    with pytest.raises(NotLdap, match="NoticeOfDisconnect"):
        server.wire.feed(broken.value.response)


def said_of(wire: Wire, data: bytes) -> str:
    """Return what is wrong with *data*; empty if it is LDAP, or its beginning."""
    try:
        wire.feed(data)
    except NotLdap as error:
        return str(error)
    return ""


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_raise_anything_else(data: bytes, framed: bool) -> None:
    wire = Wire()
    wire.client.search_request("DC=x")
    wire.to_send()
    assert "\n" not in said_of(wire, b"\x30" + bytes([len(data)]) + data if framed and len(data) < 128 else data)


@given(st.binary(max_size=20), st.integers(0, 400))
def test_a_damaged_answer_raises_nothing_else(damage: bytes, place: int) -> None:
    server = Server()
    server.wire.client.search_request("DC=x")
    (request,) = server.side.receive(server.wire.to_send())
    server.entries(request, "a", "b", cookie=b"c")
    answer = bytearray(server.side.data_to_send())
    answer[place : place + len(damage)] = damage
    assert "\n" not in said_of(server.wire, bytes(answer))


@given(st.binary(max_size=20), st.integers(0, 400))
def test_a_damaged_object_raises_nothing_else(damage: bytes, place: int) -> None:
    """An object is read later than it comes."""
    server = Server()

    def answer(request: sansldap.LDAPMessage) -> None:
        server.entries(request, "a", "b", cookie=b"")

    feed = server.wire.feed

    def damaged(data: bytes) -> list[ldap.Message]:
        sent = bytearray(data)
        sent[place : place + len(damage)] = damage
        return feed(bytes(sent[: len(data)]))

    server.wire.feed = damaged  # type: ignore[method-assign]
    try:
        found = server.drive(search(server), answer)
    except (NotLdap, Refused, IndexError):
        pass  # it is no LDAP, says so, or its end is missing, for which one waits
    else:
        assert len(found) <= 2


def test_a_page_is_read_after_the_next_one_was_asked_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the server finds the next objects meanwhile: both take about as long."""
    order: list[str] = []
    read = ldap._read
    monkeypatch.setattr(ldap, "_read", lambda one, number: order.append("read") or read(one, number))

    def page(name: str, cookie: bytes) -> object:
        return lambda request: order.append("asked") or server.entries(request, name, cookie=cookie)

    found = server.drive(search(server), page("a", b"1"), page("b", b"2"), page("c", b""))

    assert [entry.name for entry in found] == ["CN=a", "CN=b", "CN=c"]
    assert order == ["asked", "asked", "read", "asked", "read", "read"]


def test_an_object_that_answers_another_search_is_not_taken(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sansldap.SearchResultEntry(message_id=5, controls=[], object_name="CN=other", attributes=[])
    feed = server.wire.feed
    monkeypatch.setattr(server.wire, "feed", lambda data: feed(other.pack(ldap._PACKING) + data))

    with pytest.raises(NotLdap, match="it mixed up its answers"):
        server.drive(search(server), lambda request: server.entries(request, "a"))


# -- values ---------------------------------------------------------------------------------------------------------


def test_values_that_are_none_are_absent() -> None:
    entry = Entry("CN=a", {"a": (b"\xff",), "b": (b"12x",), "c": (b"-5",), "d": (b"9" * 30,), "e": ()})

    assert [entry.text(name) for name in "ae?"] == ["", "", ""]
    assert [entry.number(name) for name in "abcde"] == [None, None, -5, None, None]


@given(st.text())
def test_a_value_of_a_filter_stays_a_value(value: str) -> None:
    """Whatever stands in the name of an OU or a group, it is compared and never read as a filter."""
    value = value.encode("utf-8", "replace").decode()

    wanted = sansldap.LDAPFilter.from_string(str(ldap.equal("name", value)))

    assert isinstance(wanted, sansldap.FilterEquality | sansldap.FilterPresent)
    if isinstance(wanted, sansldap.FilterEquality):
        assert (wanted.attribute, wanted.value) == ("name", value.encode())
    else:
        assert value == ""


@given(st.text(max_size=60))
def test_no_filter_of_a_person_breaks_it(text: str) -> None:
    try:
        ldap.read_filter(text)
    except ValueError:
        pass  # it is none


def test_a_filter_of_any_depth_is_read_or_refused() -> None:
    with pytest.raises(ValueError):
        ldap.read_filter("(!" * 1900 + "(a=b)" + ")" * 1900 + ")")
