"""NTLM with gss-ntlmssp on the other side: our client against its acceptor, its client against the lab's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import AuthenticationFailed
from provmode.lab.process import Host, LabProcess
from provmode.transport.session import Session
from provmode.transport.target import Credentials, Deadlines, Endpoint, Target
from provmode.wsman import Identify

pytestmark = pytest.mark.gss_ntlmssp
PROGRAM = Path(__file__).with_name("gss_ntlmssp.py")
PASSWORD = "Grüße, 5 €"
USER = "CORP\\auditor"


@pytest.fixture
def environment(tmp_path: Path, library_of: Any) -> dict[str, str]:
    """The environment of a process whose GSS-API has NTLM, with one account."""
    mechanisms = tmp_path / "mech"
    mechanisms.write_text(f"gssntlmssp_v1 1.3.6.1.4.1.311.2.2.10 {library_of('gss_ntlmssp')}\n")
    accounts = tmp_path / "accounts"
    accounts.write_text(f"CORP:auditor:{PASSWORD}\n", encoding="utf-8")
    return {**os.environ, "GSS_MECH_CONFIG": str(mechanisms), "NTLM_USER_FILE": str(accounts)}


# -- its client on the lab's server --------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["ntlm", "spnego"])
def test_its_client_reads_the_identity_of_a_pc_of_the_lab_sealed(
    lab: LabProcess, healthy: Host, environment: dict[str, str], mechanism: str
) -> None:
    said = client(environment, mechanism, lab.user, lab.password, healthy)

    assert said["status"] == 200
    assert "IdentifyResponse" in said["identity"]


@pytest.mark.parametrize("mechanism", ["ntlm", "spnego"])
def test_its_client_is_refused_with_a_wrong_password(
    lab: LabProcess, healthy: Host, environment: dict[str, str], mechanism: str
) -> None:
    before = lab.counters(healthy.name)["refused_logins"]

    assert client(environment, mechanism, lab.user, "wrong", healthy) == {"status": 401, "identity": ""}
    assert lab.counters(healthy.name)["refused_logins"] == before + 1


def client(environment: dict[str, str], mechanism: str, user: str, password: str, pc: Host) -> dict[str, Any]:
    """Return what the client says."""
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), "client", mechanism, user, pc.address, str(pc.port)],
        input=password + "\n",
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=60,
    )
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


# -- our client on its server --------------------------------------------------------------------------------------


@contextmanager
def server(environment: dict[str, str]) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run the server; yield its port and its process."""
    program = subprocess.Popen(
        [sys.executable, str(PROGRAM), "server"], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert program.stdout is not None
    try:
        yield json.loads(program.stdout.readline())["port"], program
    finally:
        program.kill()
        program.wait()
        program.stdout.close()


def session(port: int, stack: Any, user: str = USER, password: str = PASSWORD) -> Session:
    """Return a session to the server."""
    target = Target(
        Endpoint("PC-1", "127.0.0.1", port),
        Credentials("ntlm", user, password),
        deadlines=Deadlines(connect=5, read=20, host=60),
        stack=stack,
    )
    return Session(target, read_only=True, pause=lambda seconds: None)


def test_our_client_logs_on_to_its_server_and_the_messages_are_sealed(environment: dict[str, str], stack: str) -> None:
    with server(environment) as (port, program), closing(session(port, stack)) as ours:
        first, second = ours.send(Identify()), ours.send(Identify())
        assert program.stdout is not None
        logged_on = json.loads(program.stdout.readline())

    assert first == second
    assert (first.vendor, first.version) == ("gss-ntlmssp", "1")
    assert logged_on["user"].rstrip("\0") == USER
    assert ours.counters.connections == 1


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("CORP\\nobody", PASSWORD)])
def test_its_server_refuses_a_wrong_password_and_an_unknown_user(
    environment: dict[str, str], stack: str, user: str, password: str
) -> None:
    with server(environment) as (port, program), closing(session(port, stack, user, password)) as ours:
        with pytest.raises(AuthenticationFailed, match=r"refused CORP\\\w+ \(ntlm\)"):
            ours.send(Identify())
        assert program.stdout is not None
        assert list(json.loads(program.stdout.readline())) == ["refused"]
