"""A lab for the engine's tests: one process, a few PCs, given back healed after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provmode.files import READING_LINES
from provmode.lab.process import Host, LabProcess
from provmode.session import Session, Target
from provmode.target import Credentials, Deadlines, Endpoint, Trust

MIX = {"healthy": 3, "armed": 1, "refused": 1, "black-hole": 1, "wrong-password": 1, "unresolvable-name": 1}


@pytest.fixture(scope="session")
def lab() -> Iterator[LabProcess]:
    """A small lab over sealed HTTP."""
    with LabProcess(10, 5, mix=MIX) as running:
        yield running


@pytest.fixture(scope="session")
def secure_lab() -> Iterator[LabProcess]:
    """A small lab over HTTPS, with Basic offered."""
    with LabProcess(3, 5, mix={"healthy": 1, "bad-certificate": 1}, https=1.0, basic=True) as running:
        yield running


@pytest.fixture
def healthy(lab: LabProcess) -> Iterator[Host]:
    """A PC that answers; whatever was injected is taken back."""
    host = next(host for host in lab.hosts if host.persona == "healthy")
    yield host
    lab.heal(host.name)


def persona(lab: LabProcess, name: str) -> Host:
    """Return a PC of a persona."""
    return next(host for host in lab.hosts if host.persona == name)


@pytest.fixture
def of_persona() -> Callable[[LabProcess, str], Host]:
    """Find a PC of a persona."""
    return persona


@pytest.fixture
def connect() -> Iterator[Callable[..., Session]]:
    """Open sessions to PCs of a lab, and close them."""
    opened: list[Session] = []

    def opener(lab: LabProcess, host: Host, *, read_only: bool = False, **changes: Any) -> Session:
        session = Session(target(lab, host, **changes), read_only=read_only, pause=lambda seconds: None)
        opened.append(session)
        return session

    yield opener
    for session in opened:
        session.close()


def target(
    lab: LabProcess,
    host: Host,
    *,
    authentication: Any = "ntlm",
    password: str | None = None,
    trust: Trust | None = None,
    deadlines: Deadlines | None = None,
    **credentials: Any,
) -> Target:
    """Return the target of a PC of a lab."""
    return Target(
        Endpoint(host.name, host.address, host.port, host.scheme),  # type: ignore[arg-type]
        Credentials(authentication, lab.user, lab.password if password is None else password, **credentials),
        trust=trust or Trust(ca=lab.ca_file),
        deadlines=deadlines or Deadlines(connect=5, read=20, host=60),
        reading_lines=READING_LINES,
    )


@pytest.fixture
def make_target() -> Callable[..., Target]:
    """Make the target of a PC."""
    return target
