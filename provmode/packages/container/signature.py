"""The signature of a package: by whom, whether the package is as it was signed, and when.

It is Authenticode in a place of its own: the header names the size, kind and place of a SignedData at the end of the
file. That holds the digest of all bytes before it, in which bytes 180 to 187 of the header, its own size and kind, are
zeros. Measured on packages that Microsoft signed; Microsoft does not document it.

Nothing here says whom to believe. `trusted` compares with the certificates that one PC has been told to trust.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from provmode.packages.container import certificates, signed_data
from provmode.packages.container.certificates import Certificate, Unsupported
from provmode.packages.container.der import OCTETS, SEQUENCE, Malformed, Value, count_of, filling
from provmode.packages.container.header import HEADER_SIZE, Header
from provmode.packages.container.signed_data import NoCertificate, Signed, read_signed_data
from provmode.packages.container.source import Source, exactly
from provmode.reading import Absent, Known, Reading, Unknown

KIND = 0x00010001
MAX_SIGNATURE = 1 << 20
"""Bytes of a signature; real ones have some 10 KB."""
PIECE = 1 << 20
"""Bytes of the package that are in memory at once while its digest is worked out."""

INDIRECT_DATA, IMAGE_INFO = "1.3.6.1.4.1.311.2.1.4", "1.3.6.1.4.1.311.2.1.30"
IMAGES = bytes.fromhex("c553309f9d43f74b8a7704f0450a1d9f")
"""{9F3053C5-439D-4BF7-8A77-04F0450A1D9F}: what Windows signs images with."""
TIME_STAMP, OLD_TIME_STAMP = "1.3.6.1.4.1.311.3.3.1", "1.2.840.113549.1.9.6"
STAMP_INFO = "1.2.840.113549.1.9.16.1.4"

_UNSIGNED: Absent = Absent()


@dataclass(frozen=True)
class Stamp:
    """A time that somebody else vouches for."""

    when: datetime
    by: str
    """The subject of their certificate; nobody has looked whether they are to be believed."""


@dataclass(frozen=True)
class Remark:
    """Something about a signature that a careful reader wants to know."""

    code: str
    text: str


@dataclass(frozen=True)
class Signature:
    """The signature of a package. Each of the first three is absent if the package is not signed."""

    signer: Reading[Certificate]
    """By whom; that this key signed is proved only if `intact` is known to be true. Anybody can make a certificate with
    any name in it: `trusted` compares the whole of it."""
    intact: Reading[bool]
    """Whether the package is, byte for byte, what the signer signed; ``False`` if either was changed since."""
    stamped: Reading[Stamp]
    """When, by a time stamp over this signature; absent if there is none."""
    claimed_at: datetime | None = None
    """When, by the signer alone."""
    issuers: tuple[Certificate, ...] = ()
    """Who issued the signer's certificate, as far as certificates in the signature prove it."""
    remarks: tuple[Remark, ...] = ()


UNSIGNED = Signature(_UNSIGNED, _UNSIGNED, _UNSIGNED)


def trusted(signature: Signature, thumbprints: Reading[Collection[str]]) -> Reading[bool]:
    """Whether a PC that trusts the certificates of these *thumbprints* (SHA-1) trusts the signer of an intact package.

    Absent if the package is not signed. What an issuer among them means is not documented, so it is not told.
    """
    if not isinstance(signature.intact, Known):
        return signature.intact
    if not signature.intact.value:
        return Known(False)
    if not isinstance(signature.signer, Known):
        return signature.signer
    if isinstance(thumbprints, Unknown):
        return thumbprints
    known = {_plain(each) for each in thumbprints.value} if isinstance(thumbprints, Known) else set()
    if signature.signer.value.sha1 in known:
        return Known(True)
    if any(each.sha1 in known for each in signature.issuers):
        return Unknown(
            "issuer", "the PC trusts who issued the signer's certificate; whether that suffices is not known"
        )
    return Known(False)


def _plain(thumbprint: str) -> str:
    """Return a thumbprint without what people write between its digits."""
    return re.sub("[^0-9A-F]", "", thumbprint.upper())


def signature_of(source: Source, header: Header, *, content_end: int = 0, every_byte: bool = True) -> Signature:
    """Return the signature of the package in *source*.

    *content_end* is where the last of its files ends: what is signed has to reach that far. Every byte of the package
    is read unless *every_byte* is false; then a signature that holds leaves `intact` untold.
    """
    if not header.signed:
        return UNSIGNED
    try:
        return _signature(source, header, content_end, every_byte)
    except (Malformed, NoCertificate) as error:
        cause = "no-certificate" if isinstance(error, NoCertificate) else "malformed"
        told = Unknown(cause, f"the package has a signature that cannot be read: {error}")
        return Signature(told, told, told)


def _signature(source: Source, header: Header, content_end: int, every_byte: bool) -> Signature:
    size, offset = header.signature_size, header.signature_offset
    if header.signature_kind != KIND:
        raise Malformed(f"its kind is 0x{header.signature_kind:X} instead of 0x{KIND:X}")
    if not 0 < size <= MAX_SIGNATURE:
        raise Malformed(f"it has {size:,} bytes; at most {MAX_SIGNATURE:,} are read")
    if offset < HEADER_SIZE:
        raise Malformed("it lies in the header")
    if offset + size > source.size:
        raise Malformed(f"it would end at byte {offset + size:,}, the file has {source.size:,}")
    signed = read_signed_data(exactly(source, offset, size, "its signature"), INDIRECT_DATA)
    algorithm, digest = _indirect(signed.content)
    covered = max(content_end, *(each.end for each in (header.table, header.xml, header.boot, header.integrity)))
    if signed.signer.by_itself and not certificates.proves_itself(signed.signer):
        raise Malformed("the signer's certificate was changed after it was made")
    issuers = certificates.issuers_of(signed.signer, signed.certificates)
    remarks = _remarks(signed, algorithm, source.size - offset - size, covered > offset)
    if not issuers and not signed.signer.by_itself:
        remarks.append(
            Remark("no-issuer", "who issued the signer's certificate is not in it, so its names prove nothing")
        )
    stamped, claimed = _stamp(signed), _claimed(signed)
    at = stamped.value.when if isinstance(stamped, Known) else claimed
    if at is not None and not signed.signer.not_before <= at <= signed.signer.not_after:
        remarks.append(Remark("out-of-time", "the signer's certificate was not valid when the package was signed"))
    return Signature(
        Known(signed.signer),
        _intact(source, signed, algorithm, digest, offset, covered, every_byte),
        stamped,
        claimed,
        issuers,
        tuple(remarks),
    )


def _intact(
    source: Source, signed: Signed, algorithm: str, digest: bytes, offset: int, covered: int, every_byte: bool
) -> Reading[bool]:
    try:
        if not signed.holds() or covered > offset:
            return Known(False)
    except Unsupported as error:
        return Unknown("unsupported", f"whether the package is as it was signed could not be told: {error}")
    if not every_byte:
        return Unknown("not-read", "the signature holds; whether the package is what was signed needs all its bytes")
    return Known(_digest(source, algorithm, offset) == digest)


def _indirect(content: Value) -> tuple[str, bytes]:
    """Return the digest algorithm and the digest of what was signed."""
    info, imprint = count_of(content.of(SEQUENCE).children(), 2)
    kind, value = count_of(info.of(SEQUENCE).children(), 2)
    if kind.object_id() != IMAGE_INFO:
        raise Malformed("it is not that of an image")
    if [each.body for each in value.of(SEQUENCE).children()[1:2]] != [IMAGES]:
        raise Malformed("it is not that of an image")
    algorithm, digest = count_of(imprint.of(SEQUENCE).children(), 2)
    return signed_data.digest_of(algorithm), digest.of(OCTETS).body


def _digest(source: Source, algorithm: str, end: int) -> bytes:
    made = hashlib.new(algorithm, usedforsecurity=False)
    head = exactly(source, 0, HEADER_SIZE, "its header")
    made.update(head[:180] + bytes(8) + head[188:])
    for at in range(HEADER_SIZE, end, PIECE):
        made.update(exactly(source, at, min(PIECE, end - at), "what is signed"))
    return made.digest()


def _remarks(signed: Signed, algorithm: str, behind: int, beyond: bool) -> list[Remark]:
    remarks = []
    if signed.digest in signed_data.WEAK or algorithm in signed_data.WEAK:
        weak = next(each for each in (signed.digest, algorithm) if each in signed_data.WEAK)
        remarks.append(Remark("weak-digest", f"signed with {weak.upper()}, which other bytes can be made to match"))
    if signed.signer.weak_key:
        remarks.append(Remark("weak-key", "the signer's key is too short"))
    if not signed.signer.may(certificates.CODE_SIGNING):
        remarks.append(Remark("wrong-usage", "the signer's certificate is not made for signing code"))
    if beyond:
        remarks.append(Remark("not-covered", "parts of the package lie where the signature does not reach"))
    if behind > 0 or signed.rest.strip(b"\0") or len(signed.rest) > 7:  # the place is filled up to eight bytes
        count = max(behind, 0) + len(signed.rest)
        remarks.append(Remark("bytes-behind", f"{count:,} bytes follow the signature; anybody could have added them"))
    return remarks


def _claimed(signed: Signed) -> datetime | None:
    value = signed.attributes.get(signed_data.SIGNING_TIME)
    return None if value is None else value.time()


def _stamp(signed: Signed) -> Reading[Stamp]:
    value = signed.unsigned_attributes.get(TIME_STAMP)
    if value is None:
        if OLD_TIME_STAMP in signed.unsigned_attributes:
            return Unknown("unsupported", "it has a time stamp of the kind before RFC 3161, which is not read")
        return Absent()
    try:
        return _read_stamp(value.whole, signed)
    except (Malformed, Unsupported, NoCertificate) as error:
        return Unknown("malformed", f"it has a time stamp that cannot be read: {error}")


def _read_stamp(data: bytes, signed: Signed) -> Reading[Stamp]:
    token = read_signed_data(data, STAMP_INFO)
    info = token.content.of(OCTETS)
    fields = filling(info.body).of(SEQUENCE).children()
    if len(fields) < 5:
        raise Malformed("it says too little")
    algorithm, imprint = count_of(fields[2].of(SEQUENCE).children(), 2)
    digest = hashlib.new(signed_data.digest_of(algorithm), signed.signature, usedforsecurity=False).digest()
    if imprint.of(OCTETS).body != digest:
        return Unknown("other", "its time stamp is that of another signature")
    if not token.holds():
        return Unknown("tampered", "its time stamp was changed after it was made")
    if token.signer.usages is None or certificates.TIME_STAMPING not in token.signer.usages:
        return Unknown("wrong-usage", "its time stamp is by a certificate that is not made for time stamps")
    if token.digest == "md5":
        return Unknown("weak-digest", "its time stamp is signed with MD5")
    when = fields[4].time()
    if not token.signer.not_before <= when <= token.signer.not_after:
        return Unknown("out-of-time", "its time stamp is by a certificate that was not valid then")
    return Known(Stamp(when, token.signer.subject))
