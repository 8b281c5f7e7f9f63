"""A session over another connection than pywinrm's: recorded answers are enough."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provmode.errors import OtherComputer, ProtocolError
from provmode.transport.base import Connection, ConnectionLost
from provmode.transport.session import Session
from provmode.transport.target import Counters, Credentials, Endpoint, Target
from provmode.wsman import Enumerate, Identify, uris

RECORDED = Path(__file__).parents[1] / "recordings" / "opennms-wsman" / "identify-response.xml"
PC = Target(Endpoint("PC-1", "PC-1"), Credentials("ntlm", "user", "password"))
BASIC = Credentials("basic", "user", "password")


class Replay:
    """A connection that answers each message with the next recorded answer."""

    computer = None

    def __init__(self, *answers: bytes) -> None:
        self.answers, self.sent, self.closed = list(answers), list[bytes](), 0

    def __call__(self, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> Connection:
        return self

    def dial(self) -> None:
        pass

    def authenticate(self) -> None:
        pass

    def exchange(self, message: bytes) -> tuple[int, bytes]:
        if not self.answers:
            raise ConnectionLost("nothing was recorded", sent=False)
        self.sent.append(message)
        return 200, self.answers.pop(0)

    def close(self) -> None:
        self.closed += 1


def test_a_session_over_recorded_answers() -> None:
    replay = Replay(RECORDED.read_bytes())
    session = Session(PC, read_only=True, connect=replay, pause=lambda seconds: None)

    identity = session.send(Identify())

    assert identity.vendor == "Openwsman Project"
    assert re.search(rb"<\w+:Identify\b", replay.sent[0])


PAGE = (
    f'<s:Envelope xmlns:s="{uris.SOAP}" xmlns:n="{uris.ENUMERATION}" xmlns:w="{uris.WSMAN}"><s:Body>%s</s:Body>'
    "</s:Envelope>"
)
FIRST = PAGE % (
    "<n:EnumerateResponse><n:EnumerationContext>1</n:EnumerationContext>"
    "<w:Items><w:XmlFragment><Name>a</Name></w:XmlFragment></w:Items></n:EnumerateResponse>"
)
LAST = PAGE % (
    "<n:PullResponse><n:Items><w:XmlFragment><Name>b</Name></w:XmlFragment></n:Items><n:EndOfSequence/></n:PullResponse>"
)


class Closing(Replay):
    """A connection that is found closed the given number of times before each message after the first."""

    def __init__(self, times: int, *answers: str, sent: bool = False) -> None:
        super().__init__(*(answer.encode() for answer in answers))
        self.times, self.left, self.lost_after_sending = times, 0, sent

    def exchange(self, message: bytes) -> tuple[int, bytes]:
        if self.left:
            self.left -= 1
            raise ConnectionLost("closed", sent=self.lost_after_sending)
        self.left = self.times
        return super().exchange(message)


QUERY = Enumerate.query("root/cimv2", "SELECT Name FROM Win32_Process")


def actions(replay: Replay) -> list[str]:
    return [re.findall(rb"<a:Action [^>]*>[^<]*/(\w+)<", message)[0].decode() for message in replay.sent]


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_page_that_was_not_asked_for_is_asked_for_over_a_new_connection(times: int) -> None:
    replay = Closing(times, FIRST, LAST)
    session = Session(PC, read_only=True, connect=replay, pause=lambda seconds: None)

    found = session.send(QUERY)

    assert [item.properties["Name"] for item in found] == ["a", "b"]
    assert actions(replay) == ["Enumerate", "Pull"]
    assert (replay.closed, session.counters.retries) == (times, times)


def test_a_page_whose_answer_was_lost_begins_the_enumeration_anew() -> None:
    replay = Closing(1, FIRST, FIRST, LAST, sent=True)
    session = Session(PC, read_only=True, connect=replay, pause=lambda seconds: setattr(replay, "times", 0))

    assert [item.properties["Name"] for item in session.send(QUERY)] == ["a", "b"]
    assert actions(replay) == ["Enumerate", "Enumerate", "Pull"]


def test_a_connection_that_is_always_closed_before_the_next_page_is_an_error_after_four_attempts() -> None:
    replay = Closing(99, FIRST)
    session = Session(PC, read_only=True, connect=replay, pause=lambda seconds: None)

    with pytest.raises(ProtocolError, match=r"closed \(4 attempts\)"):
        session.send(QUERY)

    assert (actions(replay), replay.closed) == (["Enumerate"], 4)


def test_a_lost_connection_is_dialled_again_and_is_an_error_after_four_attempts() -> None:
    replay = Replay()
    session = Session(PC, read_only=True, connect=replay, pause=lambda seconds: None)

    with pytest.raises(ProtocolError, match="nothing was recorded"):
        session.send(Identify())
    assert replay.closed == 4


def named(name: str) -> bytes:
    """Return the answer of a PC that calls itself *name*."""
    system = f"<p:A xmlns:p='u'><p:CSName>{name}</p:CSName><p:LocalDateTime>2026-08-20T09:10:00Z</p:LocalDateTime>"
    body = f"<n:EnumerateResponse><w:Items>{system}<p:CurrentTimeZone>0</p:CurrentTimeZone></p:A></w:Items>"
    return (PAGE % (body + "<w:EndOfSequence/></n:EnumerateResponse>")).encode()


def test_each_connect_asks_which_pc_answers_if_authentication_does_not_tell() -> None:
    identity = RECORDED.read_bytes()
    replay = Replay(identity, named("PC-1"), identity, named("PC-2"))
    meant = replace(PC, endpoint=Endpoint("PC-1", "PC-1", scheme="https", computer="PC-1"), credentials=BASIC)
    session = Session(meant, read_only=True, connect=replay, pause=lambda seconds: None)
    session.connect()
    session.close()

    with pytest.raises(OtherComputer, match="PC-1 leads to another PC, which calls itself PC-2"):
        session.connect()
