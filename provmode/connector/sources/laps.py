"""The local administrator that LAPS keeps in the directory, or why there is none to use. Pure.

Windows LAPS writes JSON with account, time and password (``msLAPS-Password``), the older one the bare password of an
account that only its policy names (``ms-Mcs-AdmPwd``). Both are confidential: who may not read them sees no attribute
and no error, but the expiry, which everybody may read, tells that there is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Protocol

ATTRIBUTES = (
    "msLAPS-Password",
    "msLAPS-EncryptedPassword",
    "msLAPS-PasswordExpirationTime",
    "ms-Mcs-AdmPwd",
    "ms-Mcs-AdmPwdExpirationTime",
)
LEGACY_ACCOUNT = "Administrator"
LONGEST = 256
"""Characters of a password."""

NO_ACCOUNT = "what LAPS keeps of it is no account and password"
ENCRYPTED = "LAPS keeps its password encrypted"
NOT_READABLE = "its LAPS password may not be read"
NONE = "it has no LAPS password"
CURES = {
    NO_ACCOUNT: "look at the attribute of the computer in the directory",
    ENCRYPTED: "take laps=1 out and log on with an account of the domain, or set the LAPS policy for encryption to off",
    NOT_READABLE: "let your account read it: Set-LapsADReadPasswordPermission, or Set-AdmPwdReadPasswordPermission",
    NONE: "no LAPS policy has reached it",
}
"""Why there is no account, and what to do."""


class Account(Protocol):
    """An object of the directory."""

    def text(self, attribute: str) -> str:
        """Return the first value as text; empty if there is none."""

    def has(self, attribute: str) -> bool:
        """Return whether there is a value."""


@dataclass(frozen=True)
class LocalAccount:
    """An account of the PC itself."""

    user: str = ""
    password: str = field(default="", repr=False)
    why_not: str = ""
    """Why there is no account to use; empty if there is one."""

    @property
    def logon_name(self) -> str:
        """The user as it is written to log on to the PC with."""
        return f".\\{self.user}"


def local_account(account: Account) -> LocalAccount:
    """Return the account that LAPS keeps for a computer."""
    found = _windows(account.text("msLAPS-Password"))
    if found is None and account.text("ms-Mcs-AdmPwd"):
        found = LEGACY_ACCOUNT, account.text("ms-Mcs-AdmPwd")
    if found is not None:
        user, password = found
        plain = user.isprintable() and not set(user) & set('\\/@"[]:;|=,+*?<>')
        if plain and 0 < len(user) <= 20 and 0 < len(password) <= LONGEST and password.isprintable():
            return LocalAccount(user, password)
        return LocalAccount(why_not=NO_ACCOUNT)
    if account.has("msLAPS-EncryptedPassword"):
        return LocalAccount(why_not=ENCRYPTED)
    if account.has("msLAPS-PasswordExpirationTime") or account.has("ms-Mcs-AdmPwdExpirationTime"):
        return LocalAccount(why_not=NOT_READABLE)
    return LocalAccount(why_not=NONE)


def _windows(text: str) -> tuple[str, str] | None:
    """Return account and password of Windows LAPS; both empty if the text is not what it writes; ``None``
    without a text.
    """
    if not text:
        return None
    try:
        read = json.loads(text.rstrip("\0"))
        user, password = read["n"], read["p"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", ""
    return (user, password) if isinstance(user, str) and isinstance(password, str) else ("", "")
