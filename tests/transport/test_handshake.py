"""Somebody between the controller and a PC: what he edits is noticed, before he learns or changes anything.

He is a TCP proxy in front of the lab's real server. He knows no password, and edits the bytes that pass.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import AnswerLost, AuthenticationFailed, Cause, HostError, ProtocolError
from provmode.lab.process import Host, LabProcess
from provmode.lab.server.certificates import CertificateAuthority
from provmode.transport.ntlm_checks import (
    REQUIRED,
    Handshake,
    missing_from_authenticate,
    missing_from_challenge,
)
from provmode.transport.session import Session
from provmode.transport.target import Trust
from provmode.wsman import CommandLine, Get, Invoke, Resource, text

Edit = Callable[[int, bytes], "bytes | list[bytes]"]
Connect = Callable[..., Session]

CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))
BETWEEN = "somebody stands in between, or the PC is set to weaker security"
NEGOTIATE, CHALLENGE, AUTHENTICATE = 1, 2, 3
FLAGS_AT = {NEGOTIATE: 12, CHALLENGE: 20, AUTHENTICATE: 60}
TOKEN = re.compile(rb"((?:Negotiate|NTLM) )([A-Za-z0-9+/=]+)")


def handshake(stack: str) -> int:
    """Return how many requests make the handshake; the number of the first sealed message is the same."""
    return 3 if stack == "pywinrm" else 2  # pywinrm asks without a token first


# -- how he edits --------------------------------------------------------------------------------------------------


def tokens_sent(proxy: Any) -> list[bytes]:
    """Return the NTLM messages that the client has sent."""
    return [token for request in proxy.requests for token in tokens_of(request)]


def tokens_of(message: bytes) -> list[bytes]:
    """Return the NTLM messages in the head of an HTTP message."""
    return [base64.b64decode(found[2]) for found in TOKEN.finditer(message.partition(b"\r\n\r\n")[0])]


def edit_token(kind: int, edit: Callable[[bytes], bytes]) -> Edit:
    """Edit every NTLM message of a kind."""

    def edited(found: re.Match[bytes]) -> bytes:
        token = base64.b64decode(found[2])
        return found[1] + base64.b64encode(edit(token) if token[8] == kind else token)

    def whole(number: int, message: bytes) -> bytes:
        head, _, body = message.partition(b"\r\n\r\n")
        return TOKEN.sub(edited, head) + b"\r\n\r\n" + body

    return whole


def clear(kind: int, flags: int) -> Callable[[bytes], bytes]:
    """Clear flags in an NTLM message of a kind."""
    at = FLAGS_AT[kind]
    return lambda token: (
        token[:at] + struct.pack("<I", struct.unpack_from("<I", token, at)[0] & ~flags) + token[at + 4 :]
    )


def drop_timestamp(challenge: bytes) -> bytes:
    """Drop MsvAvTimestamp from a CHALLENGE whose AV pairs stand at its end."""
    length, start = struct.unpack_from("<H2xI", challenge, 40)
    kept, at = b"", start
    while at < start + length:
        kind, size = struct.unpack_from("<HH", challenge, at)
        kept += challenge[at : at + 4 + size] if kind != 7 else b""
        at += 4 + size
    assert at == len(challenge)
    assert len(kept) == length - 12
    return challenge[:40] + struct.pack("<HHI", len(kept), len(kept), start) + challenge[48:start] + kept


def flip(part: str, place: float) -> Callable[[bytes], bytes]:
    """Flip a bit of a sealed message: in its signature or its body, at a fraction of the way."""

    def edit(message: bytes) -> bytes:
        signature = message.index(b"application/octet-stream\r\n") + len(b"application/octet-stream\r\n") + 4
        end = message.rindex(b"--Encrypted Boundary--")
        first, last = (signature, signature + 15) if part == "signature" else (signature + 16, end - 1)
        at = first + round((last - first) * place)
        return message[:at] + bytes([message[at] ^ 0x10]) + message[at + 1 :]

    return edit


def sealed(edit: Callable[[bytes], bytes]) -> Edit:
    """Edit the sealed messages and pass on the handshake."""
    return lambda number, message: edit(message) if b"multipart/encrypted" in message else message


ALL = sum(REQUIRED)
CLEARED = {**{name: flag for flag, name in REQUIRED.items()}, "all of them": ALL}
FLIPS = [(part, place) for part in ("signature", "body") for place in (0, 0.03, 0.3, 0.55, 0.97, 1)]


def untouched(lab: LabProcess, host: Host) -> tuple[Any, Any, Any]:
    """Return what a PC was made to do: its changes, the processes that were started, the operations."""
    counters = lab.counters(host.name)
    return lab.mutations(host.name), counters["commands"], counters["actions"]


# -- the handshake -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timestamp", ["kept", "dropped"])
@pytest.mark.parametrize("cleared", CLEARED)
def test_a_challenge_without_a_required_flag_ends_the_handshake(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, cleared: str, timestamp: str, stack: str
) -> None:
    weaken = clear(CHALLENGE, CLEARED[cleared])
    proxy = between(
        healthy,
        answer=edit_token(CHALLENGE, weaken if timestamp == "kept" else lambda token: drop_timestamp(weaken(token))),
    )
    before = untouched(lab, healthy)

    with pytest.raises(ProtocolError, match=BETWEEN) as refused:
        connect(lab, proxy.host).send(CLIENT)

    missing = list(REQUIRED.values()) if cleared == "all of them" else [cleared]
    assert f"lacks {', '.join(missing + ['the time stamp'] * (timestamp == 'dropped'))}: " in str(refused.value)
    assert refused.value.cause is Cause.PROTOCOL
    assert [token[8] for token in tokens_sent(proxy)] == [NEGOTIATE]  # no response to guess a password from
    assert len(proxy.requests) == handshake(stack) - 1
    assert untouched(lab, healthy) == before


def test_a_challenge_without_a_time_stamp_ends_the_handshake(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect
) -> None:
    proxy = between(healthy, answer=edit_token(CHALLENGE, drop_timestamp))

    with pytest.raises(ProtocolError, match=f"lacks the time stamp: {BETWEEN}"):
        connect(lab, proxy.host).send(CLIENT)

    assert [token[8] for token in tokens_sent(proxy)] == [NEGOTIATE]


@pytest.mark.parametrize("cleared", CLEARED)
def test_a_flag_taken_out_of_the_clients_offer_ends_the_handshake(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, cleared: str
) -> None:
    proxy = between(healthy, request=edit_token(NEGOTIATE, clear(NEGOTIATE, CLEARED[cleared])))
    before = untouched(lab, healthy)

    with pytest.raises(ProtocolError, match=BETWEEN):
        connect(lab, proxy.host).send(CLIENT)

    assert [token[8] for token in tokens_sent(proxy)] == [NEGOTIATE]
    assert untouched(lab, healthy) == before


@pytest.mark.parametrize("cleared", CLEARED)
def test_an_edited_answer_to_the_challenge_is_refused_by_the_pc(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, cleared: str, stack: str
) -> None:
    proxy = between(healthy, request=edit_token(AUTHENTICATE, clear(AUTHENTICATE, CLEARED[cleared])))
    before = untouched(lab, healthy)

    with pytest.raises(AuthenticationFailed):  # the PC finds the MIC wrong, and says what it says of a wrong password
        connect(lab, proxy.host).send(CLIENT)

    assert len(proxy.requests) == handshake(stack)
    assert untouched(lab, healthy) == before


def test_an_offer_weakened_on_the_way_and_mended_on_the_way_back_is_refused_by_the_pc(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect
) -> None:
    def mend(token: bytes) -> bytes:
        return token[:20] + struct.pack("<I", struct.unpack_from("<I", token, 20)[0] | ALL) + token[24:]

    proxy = between(
        healthy,
        request=edit_token(NEGOTIATE, clear(NEGOTIATE, ALL)),
        answer=edit_token(CHALLENGE, mend),
    )
    before = untouched(lab, healthy)

    with pytest.raises(AuthenticationFailed):
        connect(lab, proxy.host).send(CLIENT)

    assert untouched(lab, healthy) == before


@pytest.mark.parametrize("first", ["weak", "sound"])
def test_of_two_challenges_both_are_checked(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, first: str
) -> None:
    def double(number: int, message: bytes) -> bytes:
        for token in tokens_of(message):
            pair = [clear(CHALLENGE, 0x10)(token), token]
            pair = pair if first == "weak" else pair[::-1]
            offers = b"".join(b"WWW-Authenticate: Negotiate " + base64.b64encode(one) + b"\r\n" for one in pair)
            message = re.sub(rb"WWW-Authenticate: [^\r]*\r\n", b"", message).replace(b"\r\n", b"\r\n" + offers, 1)
        return message

    proxy = between(healthy, answer=double)

    with pytest.raises(ProtocolError, match=f"lacks signing: {BETWEEN}"):
        connect(lab, proxy.host).send(CLIENT)

    assert [token[8] for token in tokens_sent(proxy)] == [NEGOTIATE]


def test_a_handshake_for_a_proxy_is_not_begun(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, stack: str
) -> None:
    def as_proxy(number: int, message: bytes) -> bytes:
        return message.replace(b" 401 ", b" 407 ").replace(b"WWW-Authenticate", b"Proxy-Authenticate")

    proxy = between(healthy, answer=as_proxy)

    with pytest.raises(ProtocolError, match="a proxy's account"):
        connect(lab, proxy.host).send(CLIENT)

    assert [token[8] for token in tokens_sent(proxy)] == ([] if stack == "pywinrm" else [NEGOTIATE])
    assert len(proxy.requests) == 1


def test_a_recorded_handshake_cannot_be_used_again(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect
) -> None:
    recorded = between(healthy)
    connect(lab, recorded.host).send(CLIENT)
    proxy = between(healthy, request=lambda number, message: recorded.requests[number])
    before = untouched(lab, healthy)

    with pytest.raises(AuthenticationFailed):
        connect(lab, proxy.host).send(CLIENT)

    assert untouched(lab, healthy) == before


def test_who_only_passes_on_changes_nothing(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, stack: str
) -> None:
    proxy = between(healthy)
    session = connect(lab, proxy.host)

    assert text(session.send(CLIENT), "ClientVersion")
    assert [token[8] for token in tokens_sent(proxy)] == [NEGOTIATE, AUTHENTICATE]
    assert session.counters.requests == len(proxy.requests) == handshake(stack) + 1


# -- sealed messages -----------------------------------------------------------------------------------------------

MAKE_FOLDER = CommandLine('mkdir "C:\\Between"')


@pytest.mark.parametrize(("part", "place"), FLIPS)
def test_a_sealed_request_with_one_bit_flipped_does_nothing(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, part: str, place: float, stack: str
) -> None:
    proxy = between(healthy, request=sealed(flip(part, place)))
    before = untouched(lab, healthy)

    with pytest.raises(HostError):
        connect(lab, proxy.host).send(MAKE_FOLDER)

    assert len(proxy.requests) == handshake(stack) + 1
    assert untouched(lab, healthy) == before


@pytest.mark.parametrize(("part", "place"), FLIPS)
def test_a_sealed_answer_with_one_bit_flipped_is_not_believed(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, part: str, place: float, stack: str
) -> None:
    proxy = between(healthy, answer=sealed(flip(part, place)))

    with pytest.raises(ProtocolError):
        connect(lab, proxy.host).send(CLIENT)

    assert len(proxy.requests) == handshake(stack) + 1


def test_a_command_that_is_sent_twice_runs_once(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, stack: str
) -> None:
    def twice(number: int, message: bytes) -> list[bytes]:
        return [message, message] if number == handshake(stack) + 1 else [message]  # the shell, then its command

    session = connect(lab, between(healthy, request=twice).host)
    before = lab.counters(healthy.name)["commands"]

    with pytest.raises(HostError, match="may have happened"):
        session.send(CommandLine("hostname> C:\\Windows\\CCM\\once.txt"))

    assert len(lab.counters(healthy.name)["commands"]) == len(before) + 1


@pytest.mark.parametrize("replayed", ["answer", "own request"])
def test_a_replayed_message_is_not_taken_for_an_answer(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, replayed: str, stack: str
) -> None:
    def replay(number: int, message: bytes) -> bytes:
        if number <= handshake(stack):
            return message
        if replayed == "answer":
            return bytes(proxy.answers[handshake(stack)])
        head, _, body = bytes(proxy.requests[number]).partition(b"\r\n\r\n")
        return b"HTTP/1.1 200 OK\r\n" + head.partition(b"\r\n")[2] + b"\r\n\r\n" + body

    proxy = between(healthy, answer=replay)
    session = connect(lab, proxy.host)
    session.send(CLIENT)

    with pytest.raises(ProtocolError):
        session.send(CLIENT)


def test_a_change_that_somebody_answers_with_a_refusal_is_not_repeated(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect
) -> None:
    refusal = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n"
    schedule = (("sScheduleID", "{00000000-0000-0000-0000-000000000021}"),)
    trigger = Invoke(Resource.cim("root/ccm", "SMS_Client"), "TriggerSchedule", schedule)
    proxy = between(healthy, answer=sealed(lambda message: refusal))
    before = len(lab.mutations(healthy.name))

    with pytest.raises(AnswerLost, match="may have happened"):
        connect(lab, proxy.host).send(trigger)

    assert len(lab.mutations(healthy.name)) == before + 1


# -- a whole audit -------------------------------------------------------------------------------------------------


def test_an_audit_through_somebody_who_edits_has_no_verdict_and_does_nothing(
    lab: LabProcess, between: Any, provmode: Any, of_persona: Any, tmp_path: Path, stack: str
) -> None:
    pc = of_persona(lab, "overdue")
    weaken: dict[str, dict[str, Edit]] = {
        f"CHALLENGE-{flag:x}-{'dropped' if drop else 'kept'}": {
            "answer": edit_token(
                CHALLENGE,
                lambda token, flag=flag, drop=drop: (  # type: ignore[misc]
                    drop_timestamp(clear(CHALLENGE, flag)(token)) if drop else clear(CHALLENGE, flag)(token)
                ),
            )
        }
        for flag in (0, ALL, *REQUIRED)
        for drop in (False, True)
        if flag or drop
    }
    break_seal: dict[str, dict[str, Edit]] = {
        f"{side}-{part}-{place}": {side: sealed(flip(part, place))}
        for side in ("request", "answer")
        for part, place in FLIPS
    }
    forge: dict[str, dict[str, Edit]] = {
        f"AUTHENTICATE-{flag:x}": {"request": edit_token(AUTHENTICATE, clear(AUTHENTICATE, flag))}
        for flag in (ALL, *REQUIRED)
    }
    proxies = {name: between(pc, **edits) for name, edits in {**weaken, **break_seal, **forge, "honest": {}}.items()}
    pcs = [
        (f"@winrm/{name}", {"winrm_address": proxy.host.address, "winrm_port": proxy.host.port})
        for name, proxy in proxies.items()
    ]
    data = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file), "winrm_stack": stack}
    (tmp_path / "fleet.py").write_text(f"pcs = ({pcs!r}, {data!r})\n")
    changed = lab.mutations(pc.name)

    # refusals in a row keep the password from other PCs: the forged ones come in a run of their own
    chosen = [["--exclude", "AUTHENTICATE-*"], ["--limit", "AUTHENTICATE-*"]]
    ran = [provmode("audit", "fleet.py", "--format", "json", *names) for names in chosen]

    hosts = {host["host"]: host for each in ran for host in json.loads(each.stdout)["hosts"]}
    honest = hosts.pop("honest")
    assert honest["verdict"] == "overdue"
    assert {host["verdict"] for host in hosts.values()} == {"unassessed"}
    assert {hosts[name]["cause"] for name in weaken} == {"protocol"}
    assert {hosts[name]["requests"] for name in weaken} == {handshake(stack) - 1}
    assert all(BETWEEN in hosts[name]["reason"] for name in weaken)
    assert {hosts[name]["cause"] for name in break_seal} == {"protocol"}
    assert {hosts[name]["cause"] for name in forge} == {"auth"}
    assert not any(host["facts"] for host in hosts.values())
    assert lab.mutations(pc.name) == changed


# -- HTTPS ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def impostor(tmp_path: Path) -> ssl.SSLContext:
    """A TLS server with a certificate that no CA vouches for."""
    return CertificateAuthority(tmp_path).self_signed("127.0.0.1").context


def test_over_https_the_handshake_is_bound_to_the_certificate(
    secure_lab: LabProcess, between: Any, impostor: ssl.SSLContext, connect: Connect, of_persona: Any
) -> None:
    pc = of_persona(secure_lab, "healthy")
    proxy = between(pc, tls=impostor)
    before = untouched(secure_lab, pc)

    with pytest.raises(AuthenticationFailed):  # the PC finds the binding wrong, though validation is turned off here
        connect(secure_lab, proxy.host, trust=Trust(validate=False)).connect()

    assert missing_from_authenticate(tokens_sent(proxy)[-1], tls=True) == []
    assert untouched(secure_lab, pc) == before


@pytest.mark.parametrize("cleared", CLEARED)
def test_over_https_the_same_flags_are_required(
    secure_lab: LabProcess, between: Any, impostor: ssl.SSLContext, connect: Connect, of_persona: Any, cleared: str
) -> None:
    pc = of_persona(secure_lab, "healthy")
    proxy = between(pc, tls=impostor, answer=edit_token(CHALLENGE, clear(CHALLENGE, CLEARED[cleared])))

    with pytest.raises(ProtocolError, match=BETWEEN):
        connect(secure_lab, proxy.host, trust=Trust(validate=False)).connect()

    assert [token[8] for token in tokens_sent(proxy)] == [NEGOTIATE]


# -- this machine's own settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["0", "1", "2", "5", "none"])
def test_the_environment_cannot_weaken_the_handshake(
    lab: LabProcess, healthy: Host, between: Any, provmode: Any, data_of: Any, tmp_path: Path, level: str, stack: str
) -> None:
    proxy = between(healthy)
    other = tmp_path / "accounts"
    other.write_text("OTHER:stranger:another password\n")
    data = {"winrm_address": proxy.host.address, "winrm_port": proxy.host.port}
    account = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file), "winrm_stack": stack}
    (tmp_path / "fleet.py").write_text(f"pcs = ([('@winrm/PC', {data!r})], {account!r})\n")

    ran = provmode(
        "audit", "fleet.py", "--format", "json", environment={"LM_COMPAT_LEVEL": level, "NTLM_USER_FILE": str(other)}
    )

    [host] = json.loads(ran.stdout)["hosts"]
    assert (host["verdict"], host["requests"]) == ("healthy", handshake(stack) + 8)
    _, authenticate = tokens_sent(proxy)
    assert missing_from_authenticate(authenticate, tls=False) == []
    length, start = struct.unpack_from("<H2xI", authenticate, 12)
    assert authenticate[start : start + length].strip(b"\0") == b""  # no LM response
    assert "stranger".encode("utf-16-le") not in authenticate


@pytest.mark.parametrize("level", ["1", "2"])
def test_an_answer_that_was_weakened_here_is_not_sent(
    lab: LabProcess, healthy: Host, between: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)  # by a program, after it has imported provmode
    proxy = between(healthy)

    with pytest.raises(ProtocolError, match=r"this machine's NTLM answer to .* lacks NTLMv2; it was not sent"):
        connect(lab, proxy.host).send(CLIENT)

    assert [token[8] for token in tokens_sent(proxy)] == [NEGOTIATE]


# -- the checks themselves -----------------------------------------------------------------------------------------


@pytest.fixture
def messages(lab: LabProcess, healthy: Host, between: Any, connect: Connect) -> dict[int, bytes]:
    """The messages of an honest handshake."""
    proxy = between(healthy)
    connect(lab, proxy.host).connect()
    tokens = [token for message in (*proxy.requests, *proxy.answers) for token in tokens_of(message)]
    return {token[8]: token for token in tokens}


def test_an_honest_handshake_lacks_nothing(messages: dict[int, bytes]) -> None:
    assert missing_from_challenge(messages[CHALLENGE]) == []
    assert missing_from_authenticate(messages[AUTHENTICATE], tls=False) == []
    assert missing_from_authenticate(messages[AUTHENTICATE], tls=True) == ["the channel binding"]


@pytest.mark.parametrize("cleared", CLEARED)
def test_what_an_answer_to_the_challenge_lacks_is_named(messages: dict[int, bytes], cleared: str) -> None:
    weak = clear(AUTHENTICATE, CLEARED[cleared])(messages[AUTHENTICATE])

    expected = list(REQUIRED.values()) if cleared == "all of them" else [cleared]
    assert missing_from_authenticate(weak, tls=False) == expected


def test_an_answer_that_announces_no_mic_lacks_it(messages: dict[int, bytes]) -> None:
    announced = struct.pack("<HHI", 6, 4, 2)
    weak = messages[AUTHENTICATE].replace(announced, struct.pack("<HHI", 6, 4, 0))

    assert weak != messages[AUTHENTICATE]
    assert missing_from_authenticate(weak, tls=False) == ["the MIC"]


def test_a_message_that_is_cut_off_never_passes(messages: dict[int, bytes]) -> None:
    challenge, authenticate = messages[CHALLENGE], messages[AUTHENTICATE]
    length, start = struct.unpack_from("<H2xI", authenticate, 20)  # the NT response; what follows is not read

    for end in range(len(challenge)):
        with pytest.raises(ValueError, match=r"cut off|not an NTLM message"):
            missing_from_challenge(challenge[:end])
    for end in range(start + length):
        with pytest.raises(ValueError, match=r"cut off|not an NTLM message"):
            missing_from_authenticate(authenticate[:end], tls=False)


def test_an_answer_without_a_checked_challenge_before_it_is_not_sent(messages: dict[int, bytes]) -> None:
    checks = Handshake("PC", tls=False)

    with pytest.raises(ProtocolError, match="was not sent"):
        checks.sending(f"Negotiate {base64.b64encode(messages[AUTHENTICATE]).decode()}")

    assert not checks.sound
