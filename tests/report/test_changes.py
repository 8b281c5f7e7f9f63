"""How an apply is printed: identical cases are folded."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone

import pytest
from rich.console import Console

from provmode.fleet.apply import ApplyResult
from provmode.fleet.apply_host import HostResult
from provmode.fleet.results import HostOutcome
from provmode.remediation.lease import LeaseTaken, Token, take
from provmode.report.changes import print_apply
from provmode.wsman import Completed, Instance

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)


def refused_by(token: Token) -> str:
    """Return the message of a controller that finds *token*."""
    talk = take("0" * 16)
    next(talk)
    talk.send([Instance("XmlFragment", {"LocalDateTime": START.isoformat(), "CurrentTimeZone": "0"})])
    talk.send(Completed(1))
    with pytest.raises(LeaseTaken) as raised:
        talk.send(Completed(0, f"provmode-claim\r\n{token}\r\n".encode()))
    return raised.value.what


def test_hosts_that_another_controller_works_on_are_folded() -> None:
    results = [
        HostResult(f"PC-{number}", HostOutcome.STALE, refused_by(Token(START + timedelta(seconds=number), run * 16)))
        for number, run in enumerate("abc")  # each host has another holder
    ]
    file = io.StringIO()

    print_apply(ApplyResult(results), Console(file=file, width=100, highlight=False))

    printed = file.getvalue()
    assert "another controller is at work on it" in printed
    assert printed.count("another controller") == 1
    assert "PC-0, PC-1, PC-2" in printed
