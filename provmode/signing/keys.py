"""The kinds of key: a pair of Ed25519, half of which is public, and a secret that is shared.

The key decides how something is signed and checked. What is signed says which key is needed, and nothing else: it is
refused unless it says exactly what the key that is given says of itself.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Union

from provmode.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519, HMAC = "Ed25519", "HMAC-SHA256"
PLAN, APPROVAL, JOURNAL = "provmode-plan", "provmode-approval", "provmode-journal"
"""What a key of Ed25519 signs. It is signed too, so nothing that was signed as one can be shown as another."""
SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of a public key in its SubjectPublicKeyInfo (RFC 8410)."""


class Key(Protocol):
    """One key."""

    @property
    def kind(self) -> str:
        """What it is, in words."""

    @property
    def algorithm(self) -> str:
        """How it signs and checks."""

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that tell it from others and say nothing about a secret."""

    @property
    def signs(self) -> bool:
        """Whether it can sign, and not only check."""

    @property
    def header(self) -> Mapping[str, str]:
        """What a signature says beside its value."""

    def sign(self, purpose: str, data: bytes) -> str:
        """Return the signature of *data* as text.

        Raises:
            UsageError: it can only check.
        """

    def verify(self, purpose: str, data: bytes, signature: Any) -> bool:
        """Return whether *signature* is this key's for *data*."""


@dataclass(frozen=True)
class SharedKey:
    """A secret that everybody has who signs or checks: whoever can check can sign. It ignores the purpose."""

    secret: bytes = field(repr=False)
    kind = "shared key"
    algorithm = HMAC
    signs = True

    @property
    def header(self) -> Mapping[str, str]:
        """The algorithm alone: what was signed before there were pairs says nothing more."""
        return {"algorithm": HMAC}

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits; a weak secret can be guessed from them, as from anything that it signed."""
        return hmac.new(self.secret, b"provmode key fingerprint", hashlib.sha256).hexdigest()

    def sign(self, purpose: str, data: bytes) -> str:
        """Return the HMAC of *data*, in hexadecimal."""
        return hmac.new(self.secret, data, hashlib.sha256).hexdigest()

    def verify(self, purpose: str, data: bytes, signature: Any) -> bool:
        """Compare in constant time; as bytes, because ``compare_digest`` takes only ASCII text."""
        return isinstance(signature, str) and hmac.compare_digest(
            signature.encode("utf-8", "surrogatepass"), self.sign(purpose, data).encode()
        )


@dataclass(frozen=True)
class PublicKey:
    """The public half of a pair: it checks, and cannot sign."""

    raw: bytes
    """Its 32 bytes."""
    kind = "public key"
    algorithm = ED25519
    signs = False

    @functools.cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of its SubjectPublicKeyInfo, as ``openssl pkey -pubin -outform DER | sha256sum`` prints it."""
        return hashlib.sha256(SPKI + self.raw).hexdigest()

    @property
    def header(self) -> Mapping[str, str]:
        """The algorithm, and which key is needed to check."""
        return {"algorithm": ED25519, "key": self.fingerprint}

    def sign(self, purpose: str, data: bytes) -> str:
        """Refuse."""
        raise UsageError("a public key cannot sign", next_step="give the private key")

    def verify(self, purpose: str, data: bytes, signature: Any) -> bool:
        """Return whether *signature* is of this pair. Of the texts that mean the same bytes only one is taken."""
        from cryptography.exceptions import InvalidSignature

        value = _bytes_of(signature)
        if value is None:
            return False
        try:
            self._loaded.verify(value, _signed(purpose, data))
        except InvalidSignature:
            return False
        return True

    @functools.cached_property
    def _loaded(self) -> Ed25519PublicKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        with _supported():
            return Ed25519PublicKey.from_public_bytes(self.raw)


@dataclass(frozen=True)
class PrivateKey:
    """A pair: it signs, and checks as its public half does."""

    seed: bytes = field(repr=False)
    """Its 32 bytes."""
    kind = "private key"
    algorithm = ED25519
    signs = True

    @functools.cached_property
    def public(self) -> PublicKey:
        """The half for everybody."""
        return PublicKey(self._loaded.public_key().public_bytes_raw())

    @property
    def fingerprint(self) -> str:
        """That of the public half."""
        return self.public.fingerprint

    @property
    def header(self) -> Mapping[str, str]:
        """That of the public half."""
        return self.public.header

    def sign(self, purpose: str, data: bytes) -> str:
        """Return the signature, in hexadecimal."""
        value: bytes = self._loaded.sign(_signed(purpose, data))
        return value.hex()

    def verify(self, purpose: str, data: bytes, signature: Any) -> bool:
        """Return whether *signature* is of this pair."""
        return self.public.verify(purpose, data, signature)

    @functools.cached_property
    def _loaded(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        with _supported():
            return Ed25519PrivateKey.from_private_bytes(self.seed)


@contextmanager
def _supported() -> Iterator[None]:
    """Say what to do if this computer's OpenSSL does no Ed25519.

    Raises:
        UsageError: it does not.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        yield
    except UnsupportedAlgorithm:
        raise UsageError(
            "the OpenSSL of this computer does no Ed25519 (FIPS mode)",
            next_step="use a shared key, or another computer",
        ) from None


def _signed(purpose: str, data: bytes) -> bytes:
    return purpose.encode("ascii") + b"\0" + data


def _bytes_of(signature: Any) -> bytes | None:
    """Return the 64 bytes of a signature; ``None`` if it is not written as `PrivateKey.sign` writes it."""
    if not isinstance(signature, str) or len(signature) != 128 or not set(signature) <= set("0123456789abcdef"):
        return None
    return bytes.fromhex(signature)


Given = Union["Keys", Key, bytes, None]
"""What functions take as key: keys, one key, or the bytes of a shared one."""


@dataclass(frozen=True)
class Keys:
    """What somebody was given: a key of his own that signs, and keys to check what others signed."""

    own: Key | None = None
    trusted: tuple[Key, ...] = ()
    """Everything that it checks with; `own` is one of them."""

    @classmethod
    def of(cls, given: Given) -> Keys | None:
        """Return the keys that are meant; ``None`` if there is none."""
        if isinstance(given, Keys):
            return given if given.trusted else None
        if given is None:
            return None
        key: Key = SharedKey(given) if isinstance(given, bytes) else given
        return cls(key if key.signs else None, (key,))

    def and_trusted(self, keys: Iterable[Key]) -> Keys:
        """Return these keys, and more to check with."""
        return Keys(self.own, tuple(dict.fromkeys((*self.trusted, *keys))))

    def named(self, header: Any) -> list[Key]:
        """Return the keys of which *header*, what a signature says beside its value, says exactly what they say."""
        return [key for key in self.trusted if header == key.header]
