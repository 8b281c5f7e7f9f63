"""What a capture of an audit over port 5985 shows: every byte that passes between controller and PC, both ways.

The words to look for are those of the messages themselves, taken before they are sealed: of WS-Management, of WMI, of
the registry, names and values. None of them may be on the wire behind the HTTP heads, in UTF-8 or in UTF-16.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.client import READING_LINES, client_state
from provmode.errors import HostError
from provmode.lab.process import Host, LabProcess
from provmode.transport.base import Connection
from provmode.transport.lean import LeanConnection
from provmode.transport.session import Session
from provmode.transport.stack import connection
from provmode.transport.target import Counters, Credentials, Deadlines, Endpoint, Target
from provmode.transport.tickets import PROCESS

pytestmark = pytest.mark.kdc
FRAME_END = b"Content-Type: application/octet-stream\r\n"
TRANSPORTS = ["kerberos", "ntlm", "credssp", "credssp with kerberos"]


@dataclass
class Wiretap:
    """A TCP relay in front of a PC that keeps every byte, by direction."""

    pc: Host
    sent: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
        self.host = replace(self.pc, address="127.0.0.1", port=self._listener.getsockname()[1])
        self._begin(self._serve)

    def _begin(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._pumps.append(thread)
        thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            pc = socket.create_connection((self.pc.address, self.pc.port))
            self._open += [client, pc]
            self._begin(self._pass_on, client, pc, self.sent)
            self._begin(self._pass_on, pc, client, self.answered)

    def _pass_on(self, come: socket.socket, go: socket.socket, kept: bytearray) -> None:
        try:
            while data := come.recv(65536):
                kept += data
                go.sendall(data)
            go.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one side has closed the connection

    def close(self) -> None:
        """Close the port and every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            each.close()


@pytest.fixture
def wiretap(pc: Host) -> Iterator[Wiretap]:
    """A relay in front of the PC."""
    with closing(Wiretap(pc)) as relay:
        yield relay


@pytest.fixture(autouse=True)
def _new_process() -> Iterator[None]:
    PROCESS.forget()
    yield
    PROCESS.forget()


def http_messages(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the head and the body of each HTTP message."""
    while stream:
        head, blank, rest = stream.partition(b"\r\n\r\n")
        assert blank, "the capture ends in the middle of a head"
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        assert length is not None
        end = int(length[1])
        assert len(rest) >= end, "the capture ends in the middle of a body"
        yield head, rest[:end]
        stream = rest[end:]


def behind_the_heads(wire: Wiretap) -> bytes:
    """Return everything behind the HTTP heads; of a sealed body what is behind its frame's head, too."""
    bodies = [body for stream in (wire.sent, wire.answered) for _, body in http_messages(bytes(stream))]
    return b"".join(body.partition(FRAME_END)[2] if FRAME_END in body else body for body in bodies)


def tokens(wire: Wiretap) -> bytes:
    """Return the tokens of the handshake, which stand in the heads in base64."""
    heads = [head for stream in (wire.sent, wire.answered) for head, _ in http_messages(bytes(stream))]
    found = [re.findall(rb"(?:Negotiate|Kerberos|CredSSP) ([A-Za-z0-9+/]+=*)", head) for head in heads]
    return b"".join(base64.b64decode(token) for each in found for token in each)


def readable(where: bytes, words: set[str]) -> set[str]:
    """Return the words that can be read, in UTF-8 or UTF-16."""
    return {word for word in words if word.encode() in where or word.encode("utf-16-le") in where}


def words_of(messages: list[bytes]) -> set[str]:
    """Return the words of messages: whatever has five characters or more. Chance makes shorter ones in any bytes."""
    text = b"\n".join(messages).decode()
    return {word for word in re.split(r"[^\w.\-]+", text) if len(word) >= 5}


@dataclass
class Overheard:
    """Makes connections, and keeps the messages before they are sealed and after they are opened."""

    messages: list[bytes] = field(default_factory=list)

    def __call__(self, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> Connection:
        made = connection(target, counters=counters, seconds=seconds)
        send = made.exchange

        def exchange(message: bytes) -> tuple[int, bytes]:
            self.messages.append(message)
            status, answer = send(message)
            self.messages.append(answer)
            return status, answer

        made.exchange = exchange  # type: ignore[method-assign]
        return made


def now() -> datetime:
    return datetime.now(timezone.utc)


def asked(lab: LabProcess, pc: Host) -> set[str]:
    """Return every word of the messages of an audit of this PC."""
    overheard = Overheard()
    target = Target(
        Endpoint(pc.name, pc.address, pc.port),
        Credentials("ntlm", lab.user, lab.password),
        deadlines=Deadlines(connect=5, read=20, host=60),
        read_only_lines=READING_LINES,
    )
    with closing(Session(target, read_only=True, connect=overheard, pause=lambda seconds: None)) as session:
        session.converse(client_state(now))
    return words_of(overheard.messages)


def inventory(lab: LabProcess, wire: Wiretap, realm: Any, name: str, transport: str) -> str:
    """Return an inventory of the PC behind the relay."""
    place = {"winrm_address": wire.host.address, "winrm_port": wire.host.port, "winrm_kerberos_host": name}
    data: dict[str, Any] = {"winrm_transport": transport.partition(" ")[0]}
    if transport.endswith("kerberos"):
        data |= {"winrm_user": f"provmode@{realm.name}", "winrm_credssp_mechanism": "kerberos"}
    else:
        data |= {"winrm_user": lab.user}
    return f"pcs = ([('@winrm/{wire.pc.name}', {place!r})], {data!r})\n"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_capture_of_an_audit_shows_no_word_of_it(
    domain_lab: LabProcess,
    pc: Host,
    wiretap: Wiretap,
    realm: Any,
    no_ticket: Path,
    name_of: Any,
    provmode: Any,
    tmp_path: Path,
    transport: str,
) -> None:
    words = asked(domain_lab, pc)
    assert {"Envelope", "SMS_Client", "StdRegProv", "ProvisioningMode", "Win32_Service", "CcmExec"} <= words
    assert len(words) > 100
    domain_lab.logon(pc.name, credssp=True)
    password = realm.password if transport.endswith("kerberos") else domain_lab.password
    (tmp_path / "fleet.py").write_text(inventory(domain_lab, wiretap, realm, name_of(pc), transport))

    ran = provmode("audit", "fleet.py", "--format", "json", environment={"PROVMODE_PASSWORD": password})

    [host] = json.loads(ran.stdout)["hosts"]
    assert host["verdict"] == "healthy", host
    values = {str(value) for value in host["facts"].values() if len(str(value)) >= 5}
    sealed = behind_the_heads(wiretap)
    assert len(sealed) > 10_000
    assert readable(sealed, words | values | {password}) == set()
    assert readable(tokens(wiretap), {password, "SMS_Client", "Envelope", "Win32_Service"}) == set()
    assert password.encode() not in wiretap.sent + wiretap.answered


@pytest.mark.parametrize("authentication", ["kerberos", "ntlm"])
def test_what_was_not_sealed_would_be_seen(
    domain_lab: LabProcess,
    pc: Host,
    wiretap: Wiretap,
    ticket: Path,
    name_of: Any,
    monkeypatch: pytest.MonkeyPatch,
    authentication: Any,
) -> None:
    words = asked(domain_lab, pc)
    monkeypatch.setattr(
        LeanConnection,
        "_sealed",
        lambda self, message, context: (self._head_of(b"application/soap+xml;charset=UTF-8"), message),
    )
    user = {} if authentication == "kerberos" else {"user": domain_lab.user, "password": domain_lab.password}
    target = Target(
        Endpoint(pc.name, wiretap.host.address, wiretap.host.port),
        Credentials(authentication, **user, kerberos_host=name_of(pc)),
        deadlines=Deadlines(connect=5, read=20, host=60),
    )
    with (
        closing(Session(target, read_only=True, pause=lambda seconds: None)) as session,
        pytest.raises(HostError),  # the PC takes only what is sealed
    ):
        session.converse(client_state(now))

    assert {"Envelope", "SMS_Client"} & readable(behind_the_heads(wiretap), words)
