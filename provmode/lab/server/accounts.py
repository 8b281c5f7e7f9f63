"""The accounts of a PC, and the files in which pyspnego's NTLM acceptor looks them up.

At every login the acceptor reads the file that ``NTLM_USER_FILE`` names, a variable of the whole process. The lab
therefore sets the variable only around that one synchronous step (`AccountFile.in_force`), so that every PC can have
its own accounts and no other code sees the variable. The files hold NT hashes (smbpasswd's format), never a password.
"""

from __future__ import annotations

import hmac
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provmode.lab.machine import DNS_DOMAIN, NETBIOS_DOMAIN

_NO_LM_HASH = "AAD3B435B51404EEAAD3B435B51404EE"
"""The LM hash of the empty password: the only one Windows has stored since Vista (MS-NLMP 3.3.1)."""
_FILE_VARIABLE = "NTLM_USER_FILE"


@dataclass(frozen=True)
class Account:
    """A user of a domain; or of one PC: its *domain* is the name of the PC, and its *dns_domain* empty."""

    user: str
    password: str
    domain: str = NETBIOS_DOMAIN
    """NetBIOS name."""
    dns_domain: str = DNS_DOMAIN
    """The domain's other name: the suffix of the user principal name, and in capitals the Kerberos realm."""

    @property
    def logon_name(self) -> str:
        r"""Return ``DOMAIN\user``, as Windows writes the owner of a shell."""
        return f"{self.domain}\\{self.user}" if self.domain else self.user

    def matches_name(self, name: str) -> bool:
        r"""Return whether *name* means this account; clients type ``user``, ``DOMAIN\user`` or ``user@domain``."""
        return name.lower() in {spelling.lower() for spelling in self.spellings()}

    def spellings(self) -> list[str]:
        """Return the names a client may type for this account."""
        names = [self.user, f".\\{self.user}"]
        if self.domain:
            names.append(f"{self.domain}\\{self.user}")
        if self.dns_domain:
            names += [f"{self.user}@{self.domain}", f"{self.user}@{self.dns_domain}", f"{self.dns_domain}\\{self.user}"]
        return names


class AccountFile:
    """Accounts in a file for the acceptor; mode 0600, removed by `remove`."""

    def __init__(self, accounts: Iterable[Account], folder: Path | None = None) -> None:
        self.accounts = tuple(accounts)
        self._hashes: dict[str, bytes] = {}
        for account in self.accounts:
            digest = nt_hash(account.password)
            for spelling in account.spellings():
                self._hashes.setdefault(spelling.lower(), digest)
        handle, name = tempfile.mkstemp(prefix="accounts-", dir=folder)  # mkstemp: mode 0600 from the start
        self.path = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.writelines(line + "\n" for line in _lines(self.accounts))

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Make the acceptor read this file. The block must not await anything: the variable is global."""
        before = os.environ.get(_FILE_VARIABLE)
        os.environ[_FILE_VARIABLE] = str(self.path)
        try:
            yield
        finally:
            if before is None:
                del os.environ[_FILE_VARIABLE]
            else:
                os.environ[_FILE_VARIABLE] = before

    def check(self, name: str, password: str) -> Account | None:
        """Return the account of *name* and *password* (Basic authentication), or ``None``."""
        for account in self.accounts:
            if account.matches_name(name) and hmac.compare_digest(account.password.encode(), password.encode()):
                return account
        return None

    def logon_name_of(self, name: str) -> str:
        """Return the logon name of the account that a client calls *name*; for an unknown account *name* itself."""
        return next((account.logon_name for account in self.accounts if account.matches_name(name)), name)

    def logon_name_in(self, name: str, realm: str) -> str | None:
        """Return the logon name of the account *name* of the Kerberos *realm*, or ``None``: it may not log on here."""
        for account in self.accounts:
            if realm and (name.lower(), realm.lower()) == (account.user.lower(), account.dns_domain.lower()):
                return account.logon_name
        return None

    def nt_hash_of(self, name: str) -> bytes | None:
        """Return the NT hash of the account that a client calls *name*, or ``None``: there is no such account."""
        return self._hashes.get(name.lower())

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def _lines(accounts: Iterable[Account]) -> Iterator[str]:
    """Yield smbpasswd lines, one for each spelling: the acceptor compares the domain as typed."""
    for account in accounts:
        digest = nt_hash(account.password).hex().upper()
        for spelling in account.spellings():
            yield f"{spelling}:1000:{_NO_LM_HASH}:{digest}:[U          ]:LCT-00000000:"[:-1]


def nt_hash(password: str) -> bytes:
    """Return NTOWFv1 of *password*: MD4 of its UTF-16LE form (MS-NLMP 3.3.1)."""
    return md4(password.encode("utf-16-le"))


def md4(message: bytes) -> bytes:
    """Return the MD4 digest of *message* (RFC 1320); OpenSSL 3 no longer offers it."""
    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
    padded = message + b"\x80" + b"\0" * ((55 - len(message)) % 64) + struct.pack("<Q", len(message) * 8)
    for start in range(0, len(padded), 64):
        words = struct.unpack("<16I", padded[start : start + 64])
        state = [(old + new) & 0xFFFFFFFF for old, new in zip(state, _md4_block(state, words), strict=True)]
    return struct.pack("<4I", *state)


_MD4_ROUNDS: tuple[tuple[Callable[[int, int, int], int], int, tuple[int, ...], tuple[int, ...]], ...] = (
    (lambda x, y, z: (x & y) | (~x & z), 0, tuple(range(16)), (3, 7, 11, 19)),
    (
        lambda x, y, z: (x & y) | (x & z) | (y & z),
        0x5A827999,
        tuple(i % 4 * 4 + i // 4 for i in range(16)),
        (3, 5, 9, 13),
    ),
    (
        lambda x, y, z: x ^ y ^ z,
        0x6ED9EBA1,
        (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15),
        (3, 9, 11, 15),
    ),
)
"""RFC 1320 section 3.4: the function, the constant, the order of words and the shifts of each round."""


def _md4_block(state: list[int], words: tuple[int, ...]) -> list[int]:
    """Return the four registers after the three rounds over one block."""
    a, b, c, d = state
    for function, constant, order, shifts in _MD4_ROUNDS:
        for step, index in enumerate(order):
            total = (a + function(b, c, d) + words[index] + constant) & 0xFFFFFFFF
            shift = shifts[step % 4]
            a, d, c, b = d, c, b, ((total << shift) | (total >> (32 - shift))) & 0xFFFFFFFF
    return [a, b, c, d]
