"""A session over another connection than pywinrm's: recorded answers are enough."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from provmode.errors import ProtocolError
from provmode.transport.base import Connection, ConnectionLost
from provmode.transport.session import Session
from provmode.transport.target import Counters, Credentials, Endpoint, Target
from provmode.wsman import Identify

RECORDED = Path(__file__).parents[1] / "recordings" / "opennms-wsman" / "identify-response.xml"
PC = Target(Endpoint("PC-1", "PC-1"), Credentials("ntlm", "user", "password"))


class Replay:
    """A connection that answers each message with the next recorded answer."""

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


def test_a_lost_connection_is_dialled_again_and_is_an_error_after_four_attempts() -> None:
    replay = Replay()
    session = Session(PC, read_only=True, connect=replay, pause=lambda seconds: None)

    with pytest.raises(ProtocolError, match="nothing was recorded"):
        session.send(Identify())
    assert replay.closed == 4
