"""SignedData (RFC 2315, RFC 5652) with one signer: what was signed, by whom, and whether it was."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from provmode.packages.container import der
from provmode.packages.container.certificates import Certificate, certificate_of, has_signed
from provmode.packages.container.der import Malformed, Value, count_of, value_at

SIGNED_DATA = "1.2.840.113549.1.7.2"
CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.5"
DIGESTS = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
WEAK = ("md5", "sha1")
MAX_CERTIFICATES = 32

_ZERO, _ONE = 0xA0, 0xA1  # context tags


class NoCertificate(ValueError):
    """The signer's certificate is not there."""


@dataclass(frozen=True)
class Signed:
    """A SignedData."""

    content: Value
    """What was signed, as it stands in its wrapping."""
    certificates: tuple[Certificate, ...]
    signer: Certificate
    digest: str
    """The digest algorithm: ``sha256``."""
    signature: bytes
    attributes: dict[str, Value]
    """What was signed with it, by object identifier."""
    unsigned_attributes: dict[str, Value]
    rest: bytes
    """Bytes behind it."""
    _attributes: bytes
    _algorithm: str

    def holds(self) -> bool:
        """Whether the signer's key signed this content.

        Raises:
            Unsupported: such keys or signatures are not read.
            Malformed: it contradicts itself.
        """
        digest = hashlib.new(self.digest, self.content.body, usedforsecurity=False).digest()
        return self.attributes[MESSAGE_DIGEST].of(der.OCTETS).body == digest and has_signed(
            self.signer, self._algorithm, self.digest, self.signature, self._attributes
        )


def read_signed_data(data: bytes, content_type: str) -> Signed:
    """Return the SignedData at the beginning of *data*, of this type of content.

    Raises:
        Malformed: it is none, or not of one signer, or content and attributes are of another type.
        NoCertificate: the signer's certificate is not in it.
    """
    outer = value_at(data, 0, len(data)).of(der.SEQUENCE)
    kind, wrapped = count_of(outer.children(), 2)
    if kind.object_id() != SIGNED_DATA:
        raise Malformed("not signed data")
    fields = wrapped.of(_ZERO).only(der.SEQUENCE).children()
    if len(fields) < 4:
        raise Malformed("signed data without signers")
    _, _, content, *others = fields
    content_kind, explicit = count_of(content.of(der.SEQUENCE).children(), 2)
    if content_kind.object_id() != content_type:
        raise Malformed("signed data of another kind")
    (inner,) = count_of(explicit.of(_ZERO).children(), 1)
    certificates = _certificates(others[:-1])
    infos = others[-1].of(der.SET).children()
    if len(infos) != 1:
        raise Malformed(f"{len(infos)} signers instead of one")
    return _signer(infos[0].of(der.SEQUENCE).children(), inner, content_type, certificates, data[outer.end :])


def _certificates(values: Sequence[Value]) -> tuple[Certificate, ...]:
    """Return the certificates; what is not a certificate is left out, as somebody else's does not matter."""
    all_of_them: list[Value] = []
    for value in values:
        if value.tag not in (_ZERO, _ONE):
            raise Malformed("something that is neither a certificate nor a list of revoked ones")
        all_of_them += value.children() if value.tag == _ZERO else ()
    if len(all_of_them) > MAX_CERTIFICATES:
        raise Malformed(f"over {MAX_CERTIFICATES} certificates")
    return tuple(filter(None, (certificate_of(each.whole) for each in all_of_them)))


def _signer(
    fields: list[Value], content: Value, content_type: str, certificates: tuple[Certificate, ...], rest: bytes
) -> Signed:
    if len(fields) not in (6, 7):
        raise Malformed("a signer without signed attributes, or with more than there can be")
    _, who, algorithm, attributes, kind, signature, *unsigned = fields
    signed_attributes = _attributes(attributes.of(_ZERO))
    if not {CONTENT_TYPE, MESSAGE_DIGEST} <= signed_attributes.keys():
        raise Malformed("signed attributes without the type and the digest of the content")
    if signed_attributes[CONTENT_TYPE].object_id() != content_type:
        raise Malformed("its signed attributes are those of other content")
    return Signed(
        content,
        certificates,
        _certificate_of(who, certificates),
        digest_of(algorithm),
        signature.of(der.OCTETS).body,
        signed_attributes,
        _first_values(unsigned[0].of(_ONE)) if unsigned else {},
        rest,
        bytes([der.SET]) + attributes.whole[1:],
        _first(kind).object_id(),
    )


def digest_of(algorithm: Value) -> str:
    """Return the name of a digest algorithm.

    Raises:
        Malformed: it is not a known one.
    """
    first = _first(algorithm).object_id()
    if first not in DIGESTS:
        raise Malformed(f"the digest algorithm {first} is not known")
    return DIGESTS[first]


def _first(algorithm: Value) -> Value:
    """Return the name in an algorithm; its parameters may follow."""
    fields = algorithm.of(der.SEQUENCE).children()
    if not fields:
        raise Malformed("an algorithm without a name")
    return fields[0].of(der.OBJECT_ID)


def _attributes(values: Value) -> dict[str, Value]:
    """Return the value of each attribute.

    Raises:
        Malformed: an attribute stands there twice, or has not one value.
    """
    found: dict[str, Value] = {}
    for attribute in values.children():
        kind, own = count_of(attribute.of(der.SEQUENCE).children(), 2)
        name, several = kind.object_id(), own.of(der.SET).children()
        if name in found:
            raise Malformed("an attribute stands there twice")
        if len(several) != 1:
            raise Malformed("an attribute without one value")
        found[name] = several[0]
    return found


def _first_values(values: Value) -> dict[str, Value]:
    """Return the first value of each attribute that nobody signed; anybody may have added others."""
    found: dict[str, Value] = {}
    for attribute in values.children():
        kind, own = count_of(attribute.of(der.SEQUENCE).children(), 2)
        for value in own.of(der.SET).children()[:1]:
            found.setdefault(kind.object_id(), value)
    return found


def _certificate_of(who: Value, certificates: tuple[Certificate, ...]) -> Certificate:
    issuer, number = count_of(who.of(der.SEQUENCE).children(), 2)
    serial = int.from_bytes(number.of(der.INTEGER).body, "big", signed=True)
    found = {
        each.der: each for each in certificates if each.serial_number == serial and each.issuer_der == issuer.whole
    }
    if len(found) > 1:
        raise Malformed("two certificates of one issuer and number")
    if not found:
        raise NoCertificate("the signer's certificate is not in it")
    return next(iter(found.values()))
