"""The frame around a sealed message is read as it is written, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.server import sealing
from provmode.transport.sealed_body import (
    KERBEROS,
    MOST_PADDING,
    NEGOTIATE,
    SealError,
    content_type,
    is_sealed,
    pack,
    unpack,
)

BODY = pack(NEGOTIATE, 5, b"s" * 16, b"hello")


@given(st.sampled_from([NEGOTIATE, KERBEROS]), st.binary(max_size=80), st.binary(max_size=300))
def test_a_frame_goes_there_and_back(protocol: bytes, signature: bytes, sealed: bytes) -> None:
    assert unpack(protocol, pack(protocol, len(sealed), signature, sealed)) == (len(sealed), signature, sealed)


@given(st.binary(max_size=80), st.binary(max_size=300))
def test_the_lab_which_shares_no_code_reads_it(signature: bytes, sealed: bytes) -> None:
    original, length, its_signature, data = sealing.split(pack(NEGOTIATE, len(sealed), signature, sealed))

    assert (original.split(";")[0], length, its_signature, data) == (
        "application/soap+xml",
        len(sealed),
        signature,
        sealed,
    )


@pytest.mark.parametrize("tail", [b"", b"\r\n", b"\r\n\r\n", b" \t\r\n", b"\n"])
def test_white_space_may_follow_the_frame(tail: bytes) -> None:
    assert unpack(NEGOTIATE, BODY.removesuffix(b"\r\n") + tail)[2] == b"hello"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        BODY[:40],
        BODY[:-8],
        BODY + b"x",
        BODY + BODY,
        b" " + BODY,
        BODY.replace(b"Length=5", b"Length=x"),
        BODY.replace(b"Length=5", b"Length=6"),
        BODY.replace(b"Length=5", b"Length=-5"),
        BODY.replace(b"hello", b"hello" + b"x" * (MOST_PADDING + 1)),
        BODY.replace(b"octet-stream", b"json"),
        BODY.replace(b"SPNEGO", b"Kerberos"),
        BODY.replace(b"\x10\0\0\0", b"\xff\xff\xff\x7f"),
        BODY.replace(b"\x10\0\0\0", b"\x11\0\0\0"),
        BODY.replace(b"--Encrypted Boundary--", b"--Encrypted Boundary"),
    ],
)
def test_any_other_body_is_refused(body: bytes) -> None:
    with pytest.raises(SealError):
        unpack(NEGOTIATE, body)


def test_padding_may_follow_the_message() -> None:
    assert unpack(KERBEROS, pack(KERBEROS, 5, b"s", b"hello\1"))[2] == b"hello\1"


@given(st.binary(max_size=400))
def test_any_bytes_are_a_frame_or_refused(body: bytes) -> None:
    with pytest.raises(SealError):
        unpack(NEGOTIATE, body)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (content_type(NEGOTIATE).decode(), True),
        (
            'Multipart/Encrypted; boundary="Encrypted Boundary"; protocol="application/http-spnego-session-encrypted"',
            True,
        ),
        (content_type(KERBEROS).decode(), False),
        ("application/HTTP-SPNEGO-session-encrypted", False),
        ("multipart/encrypted;protocol=application/HTTP-SPNEGO-session-encrypted", False),
        ('text/xml;protocol="application/HTTP-SPNEGO-session-encrypted"', False),
        ("", False),
    ],
)
def test_what_calls_itself_sealed_is_told_by_media_type_and_protocol(declared: str, expected: bool) -> None:
    assert is_sealed(declared, NEGOTIATE) is expected
