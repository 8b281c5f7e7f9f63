"""The frame around a sealed message is read as it is written, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.server import sealing
from provmode.transport.sealed_body import (
    CREDSSP,
    KERBEROS,
    MOST_PADDING,
    NEGOTIATE,
    PIECE,
    SealError,
    content_type,
    cut,
    is_sealed,
    pack,
    pack_pieces,
    unpack,
    unpack_pieces,
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


# -- CredSSP's pieces ----------------------------------------------------------------------------------------------


def records(*contents: bytes) -> bytes:
    """Return TLS records."""
    return b"".join(b"\x17\x03\x03" + len(content).to_bytes(2, "big") + content for content in contents)


PIECES = [(5, b"", records(b"sealed one")), (PIECE, b"", records(b"sealed", b"two"))]
IN_PIECES = pack_pieces(CREDSSP, PIECES)


TRAILER_AND_RECORDS = st.tuples(st.integers(0, 40), st.lists(st.binary(max_size=80), min_size=1))


@given(st.lists(TRAILER_AND_RECORDS, min_size=1))
def test_pieces_go_there_and_back_wherever_the_trailer_is_cut_off(pieces: list[tuple[int, list[bytes]]]) -> None:
    sealed = [(at, records(*contents)) for at, contents in pieces]

    body = pack_pieces(CREDSSP, [(at, whole[:at], whole[at:]) for at, whole in sealed])

    assert unpack_pieces(body) == sealed


@pytest.mark.parametrize("length", [1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_message_is_cut_into_pieces_that_the_lab_puts_together(length: int) -> None:
    class Opens:
        padding = 0

        def unwrap_winrm(self, header: bytes, data: bytes) -> bytes:
            return bytes([data[5]]) * int.from_bytes(data[6:], "big")

    message = b"".join(bytes([at % 256]) * min(PIECE, length - at * PIECE) for at in range(-(-length // PIECE)))
    pieces = list(cut(message))
    body = pack_pieces(CREDSSP, [(len(each), b"", records(each[:1] + len(each).to_bytes(4, "big"))) for each in pieces])

    _, read = sealing.unseal(Opens(), content_type(CREDSSP, len(pieces)).decode(), body, sealing.CREDSSP)

    assert read == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        IN_PIECES[:40],
        IN_PIECES[:-8],
        IN_PIECES + b"x",
        IN_PIECES + IN_PIECES,
        b" " + IN_PIECES,
        IN_PIECES.replace(b"Length=5", b"Length=16385"),
        IN_PIECES.replace(b"CredSSP", b"SPNEGO", 1),
        IN_PIECES.replace(records(b"sealed one"), b""),
        IN_PIECES.replace(records(b"two"), b"\x17\x03\x03\xff\xfftwo"),
        IN_PIECES.replace(records(b"two"), records(b"two") + b"x"),
        IN_PIECES.replace(records(b"two"), b"\x15\x03\x03\0\3two"),
        b"--Encrypted Boundary--",
    ],
)
def test_what_is_not_a_message_in_pieces_is_refused(body: bytes) -> None:
    with pytest.raises(SealError):
        unpack_pieces(body)


@given(st.binary(max_size=400))
def test_any_bytes_are_pieces_or_refused(body: bytes) -> None:
    with pytest.raises(SealError):
        unpack_pieces(body)


def test_only_credssp_has_a_content_type_of_several_pieces() -> None:
    assert is_sealed(content_type(CREDSSP, 2).decode(), CREDSSP)
    assert is_sealed(content_type(CREDSSP).decode(), CREDSSP)
    assert not is_sealed(content_type(NEGOTIATE, 2).decode(), NEGOTIATE)
