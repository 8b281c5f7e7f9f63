"""Our own stack against pywinrm's, which is its reference: the same conversation has the same answers and errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from provmode.errors import HostError, UsageError
from provmode.lab.process import Host, LabProcess
from provmode.transport.base import Connection
from provmode.transport.lean import LeanConnection
from provmode.transport.pywinrm import PywinrmConnection
from provmode.transport.session import Session
from provmode.transport.stack import connection
from provmode.transport.target import AUTHENTICATIONS, Counters, Target
from provmode.windows.files import read_file
from provmode.windows.registry import Key, get_value
from provmode.wsman import CommandLine, Enumerate, Get, Identify, Invoke, Operation, Resource

OPERATIONS: list[Operation] = [
    Identify(),
    Get(Resource.cim("root/ccm", "SMS_Client")),
    Get(Resource.cim("root/ccm", "No_Such_Class")),
    Enumerate(Resource.cim("root/cimv2", "Win32_Service")),
    Enumerate.query("root/cimv2", "SELECT Name,ProcessId FROM Win32_Process"),
    Invoke(Resource.cim("root/ccm", "SMS_Client"), "NoSuchMethod"),
    get_value(Key.parse("HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec"), "ProvisioningMode"),
    CommandLine("hostname"),
    CommandLine("sort", stdin=b"b\r\na\r\n"),
    CommandLine("no-such-program"),
]


@pytest.fixture
def stack() -> str:
    """Each test here takes both stacks itself."""
    return "lean"


class Recording:
    """Makes connections of a stack, and keeps the messages that go over them."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, int, bytes]] = []

    def __call__(self, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> Connection:
        made = connection(target, counters=counters, seconds=seconds)
        send = made.exchange

        def exchange(message: bytes) -> tuple[int, bytes]:
            status, answer = send(message)
            self.messages.append((message, status, answer))
            return status, answer

        made.exchange = exchange  # type: ignore[method-assign]
        return made


def conversation(target: Target, stack: Any) -> tuple[list[Any], list[tuple[int, int]]]:
    """Return what each operation came to, and the size of each message with the status of its answer."""
    numbers, recording = itertools.count(), Recording()
    session = Session(
        replace(target, stack=stack),
        read_only=False,
        connect=recording,
        message_id=lambda: f"uuid:{next(numbers):036}",
        pause=lambda seconds: None,
    )
    came_to: list[Any] = []
    with closing(session):
        for operation in OPERATIONS:
            try:
                came_to.append(session.send(operation))
            except HostError as error:
                came_to.append((type(error), str(error)))
        came_to.append(session.converse(read_file("C:\\Windows\\win.ini")))
        came_to.append(session.computer)
    return came_to, [(len(message), status) for message, status, _ in recording.messages]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_conversation_has_the_same_answers_over_both(
    lab: LabProcess, secure_lab: LabProcess, of_persona: Any, make_target: Any, scheme: str
) -> None:
    its_lab = lab if scheme == "http" else secure_lab
    host: Host = of_persona(its_lab, "healthy")
    target = make_target(its_lab, host)

    ours, our_messages = conversation(target, "lean")
    reference, its_messages = conversation(target, "pywinrm")

    assert ours == reference
    assert our_messages == its_messages
    assert len(our_messages) > len(OPERATIONS)


@pytest.mark.parametrize("authentication", AUTHENTICATIONS)
def test_each_authentication_goes_over_its_stack_and_credssp_never_over_pywinrm(
    lab: LabProcess, of_persona: Any, make_target: Any, authentication: Any
) -> None:
    plain = make_target(lab, of_persona(lab, "healthy"))
    user = "auditor@LAB.TEST" if authentication == "kerberos" else "auditor"
    credentials = replace(plain.credentials, authentication=authentication, user=user, basic_over_http=True)
    target = replace(plain, credentials=credentials)
    if authentication == "certificate":
        files = {"certificate": lab.password_file, "certificate_key": lab.password_file}
        target = replace(
            target,
            endpoint=replace(target.endpoint, scheme="https"),
            credentials=replace(credentials, **files),  # type: ignore[arg-type]
        )

    def made(stack: Any) -> type[Any]:
        return type(connection(replace(target, stack=stack), counters=Counters(), seconds=lambda: 0.0))

    ours = authentication in ("ntlm", "kerberos", "credssp")
    assert made("lean") is (LeanConnection if ours else PywinrmConnection)
    if authentication == "credssp":
        with pytest.raises(UsageError, match="winrm_stack pywinrm does not check to whom CredSSP hands the password"):
            made("pywinrm")
    else:
        assert made("pywinrm") is PywinrmConnection
