"""What an NTLM handshake has to agree on, checked on its messages, before the next one is sent.

The flags of the CHALLENGE come from the network, and pyspnego takes them as they are. So somebody in between could
clear one and get messages without a signature, or with a key of 40 bits. pywinrm and requests-ntlm check nothing of
it. Here a connection looks at each message of the handshake (MS-NLMP 2.2.1) as it passes:

* The **CHALLENGE** must have every flag of `REQUIRED`, or nothing more is sent: no response from which a password could
  be guessed, and no operation.
* It must have the time stamp (MsvAvTimestamp) too. Only then the client makes a MIC over the three messages, and the PC
  notices whatever was edited in between. Windows sends it since Vista (MS-NLMP 2.2.2.1).
* The **AUTHENTICATE**, just before it is sent, must say the same, be NTLMv2, announce the MIC, and over HTTPS be bound
  to the certificate (channel binding). Its flags are those by which pyspnego seals and signs.

The same holds over HTTPS, sealing included. TLS protects the messages there, and they are not sealed once more; but a
PC agrees to whatever the client offers, so a missing flag shows somebody who ends TLS in between (a broken-into CA,
``winrm_validate = False``). The MIC and the channel binding let the PC notice him.

`provmode.transport.handshakes` checks Kerberos by what its context says. NTLM inside of CredSSP is checked in the same
way as NTLM by itself (`provmode.transport.credssp`).
"""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Iterator

from provmode.errors import HostError, ProtocolError

REQUIRED = {
    0x00000010: "signing",
    0x00000020: "sealing",
    0x00080000: "extended session security",
    0x20000000: "128-bit keys",
    0x40000000: "key exchange",
}
"""The flags that both sides have to agree on (MS-NLMP 2.2.2.5), by what errors call them."""

ENVIRONMENT = ("LM_COMPAT_LEVEL", "NTLM_USER_FILE")
"""The environment variables by which pyspnego would answer with LM or NTLMv1, or take an account from a file.

Two more do neither: ``NETBIOS_COMPUTER_NAME`` is the name under which this machine calls itself, and
``PYSPNEGO_LOG_CFG`` sets up logging.
"""

_SIGNATURE = b"NTLMSSP\0"
_NEGOTIATE, _CHALLENGE, _AUTHENTICATE = 1, 2, 3
_AV_END, _AV_FLAGS, _AV_TIMESTAMP, _AV_CHANNEL_BINDINGS = 0, 6, 7, 10  # MS-NLMP 2.2.2.1
_MIC_PROVIDED = 0x2
_SCHEMES = ("ntlm", "negotiate")


def ignore_environment() -> None:
    """Take the variables of `ENVIRONMENT` out of this process, for good.

    For good, and not around each handshake: the environment belongs to all greenlets and threads of the process.
    """
    for name in ENVIRONMENT:
        os.environ.pop(name, None)


def missing_from_challenge(message: bytes) -> list[str]:
    """Return what a CHALLENGE lacks, as errors call it.

    Raises:
        ValueError: it is not a CHALLENGE.
    """
    _expect(message, _CHALLENGE)
    pairs = dict(_av_pairs(_field(message, 40)))
    return _missing_flags(_number(message, 20)) + ([] if _AV_TIMESTAMP in pairs else ["the time stamp"])


def missing_from_authenticate(message: bytes, *, tls: bool) -> list[str]:
    """Return what an AUTHENTICATE lacks, as errors call it; *tls*: whether it goes over HTTPS.

    Raises:
        ValueError: it is not an AUTHENTICATE.
    """
    _expect(message, _AUTHENTICATE)
    missing = _missing_flags(_number(message, 60))
    response = _field(message, 20)
    if len(response) <= 24:  # MS-NLMP 2.2.2.6: an NTLMv1 response has 24 bytes
        return [*missing, "NTLMv2"]
    pairs = dict(
        _av_pairs(response[16 + 28 :])
    )  # after NTProofStr and the fixed part of the client challenge (2.2.2.7)
    if not int.from_bytes(pairs.get(_AV_FLAGS, b""), "little") & _MIC_PROVIDED:
        missing.append("the MIC")
    if tls and not any(pairs.get(_AV_CHANNEL_BINDINGS, b"")):
        missing.append("the channel binding")
    return missing


class Handshake:
    """The NTLM handshake of one connection: shown each message, it stops the handshake before a weak one goes on.

    *where* names the PC in errors.
    """

    def __init__(self, where: str, *, tls: bool) -> None:
        self._where = where
        self._tls = tls
        self._challenged = False
        self.sound = False
        """Whether a CHALLENGE and an AUTHENTICATE have passed, both with everything that is required."""

    def sending(self, authorization: str | None) -> None:
        """Look at a request that is about to be sent: at its header ``Authorization``.

        Raises:
            ProtocolError: it has an AUTHENTICATE that lacks something, or that follows no CHALLENGE.
        """
        for token in _tokens(authorization):
            self.send(token)

    def send(self, token: bytes) -> None:
        """Look at a message of ours that is about to be sent; the errors are those of `sending`."""
        if _kind(token) != _AUTHENTICATE:
            self._challenged = self.sound = False
            return
        missing = missing_from_authenticate(token, tls=self._tls)
        if missing or not self._challenged:
            raise _weak_here(self._where, missing or ["a CHALLENGE before it"])
        self.sound = True

    def received(self, authorization: str | None, offers: str | None) -> None:
        """Look at the answer to a request, if that began a handshake: at every challenge in it, used or not.

        *authorization* is the header of the request, *offers* the header ``WWW-Authenticate`` of the answer.

        Raises:
            ProtocolError: a CHALLENGE lacks something, or cannot be read.
        """
        if _NEGOTIATE not in map(_kind, _tokens(authorization)):
            return
        try:
            challenges = _tokens(offers)
        except ValueError:
            raise self._no_ntlm() from None
        self.receive(challenges)

    def receive(self, challenges: list[bytes]) -> None:
        """Look at what answers our NEGOTIATE; the errors are those of `received`."""
        try:
            lacking = [missing_from_challenge(challenge) for challenge in challenges]
        except ValueError:
            raise self._no_ntlm() from None
        for missing in lacking:
            if missing:
                raise weak(self._where, missing)
        self._challenged = bool(lacking)

    def _no_ntlm(self) -> HostError:
        return ProtocolError(
            f"{self._where} answered the handshake with something that is not NTLM",
            next_step="find out what answers on that port",
        )


def weak(where: str, missing: list[str], kind: str = "NTLM") -> HostError:
    """Return the error for a handshake that was weakened on the way, or by the PC; *kind* is what was spoken.

    Its cause is `protocol`, as for an answer in plain text: account and password are as they should be, what answers is
    not. Those who look for ``auth`` would set a new password, and try it on the same line.
    """
    return ProtocolError(
        f"the {kind} handshake with {where} lacks {', '.join(missing)}: "
        "somebody stands in between, or the PC is set to weaker security; nothing more was sent",
        next_step=f"do not go on; find out who, or compare the PC's {kind} settings with those of a PC that works",
    )


def _weak_here(where: str, missing: list[str]) -> HostError:
    """Return the error for an AUTHENTICATE that was weakened on this machine, since the CHALLENGE was in order."""
    return ProtocolError(
        f"this machine's NTLM answer to {where} lacks {', '.join(missing)}; it was not sent",
        next_step=f"look for what sets {' or '.join(ENVIRONMENT)} here, and at the certificate's signature algorithm",
    )


def _tokens(header: str | None) -> list[bytes]:
    """Return the NTLM tokens in a header, decoded as requests-ntlm does.

    Raises:
        ValueError: one cannot be decoded.
    """
    tokens = []
    for part in (header or "").split(","):
        scheme, _, token = part.strip().partition(" ")
        if token and scheme.lower() in _SCHEMES:
            tokens.append(base64.b64decode(token.encode()))
    return tokens


def _kind(token: bytes) -> int | None:
    """Return the number of an NTLM message: 1 to 3; ``None`` if it is not an NTLM message."""
    return _number(token, 8) if token.startswith(_SIGNATURE) and len(token) >= 12 else None


def _expect(message: bytes, kind: int) -> None:
    if _kind(message) != kind:
        raise ValueError(f"not an NTLM message of type {kind}")


def _missing_flags(flags: int) -> list[str]:
    return [name for flag, name in REQUIRED.items() if not flags & flag]


def _number(message: bytes, at: int) -> int:
    if len(message) < at + 4:
        raise ValueError("cut off")
    return int.from_bytes(message[at : at + 4], "little")


def _field(message: bytes, at: int) -> bytes:
    """Return the bytes that the length and offset at *at* point to (MS-NLMP 2.2.1)."""
    start, length = _number(message, at + 4), _number(message, at) & 0xFFFF
    if len(message) < start + length:
        raise ValueError("cut off")
    return message[start : start + length]


def _av_pairs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the AV pairs before the end mark (MS-NLMP 2.2.2.1)."""
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, at)
        if kind == _AV_END:
            return
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length
