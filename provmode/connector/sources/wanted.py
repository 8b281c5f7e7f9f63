"""What the argument of ``@ad`` asks for: ``DOMAIN/OU/OU?option=value&option=value``. Pure.

That is Active Directory's canonical form. A distinguished name has commas, at which lists of hosts are cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from provmode.errors import UsageError

FORM = "write @ad/DOMAIN/OU/OU, as in @ad/corp.example/Clients/Berlin"
STALE_DAYS = 90
"""Days without a logon after which a computer is stale, unless said otherwise."""
FEWEST_DAYS = 30
"""``lastLogonTimestamp`` lags by up to 14 days, and people are on leave."""
LONGEST = 4_000
"""Characters of an argument."""
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

OPTIONS = ("group", "stale", "disabled", "dc", "laps", "server", "ldaps", "ca", "user", "keytab", "filter")
"""The options, the one that takes the rest of the text last."""


@dataclass(frozen=True)
class Wanted:
    """Which computers of which domain."""

    domain: str
    path: tuple[str, ...] = ()
    """OUs and containers, the outermost first."""
    group: str = ""
    stale_days: int = STALE_DAYS
    """Days without a logon; 0: stale computers are wanted too."""
    disabled: bool = False
    controllers: bool = False
    """Whether domain controllers are wanted."""
    laps: bool = False
    """Whether to log on to each PC with the account that LAPS keeps for it."""
    server: str = ""
    """The domain controller to ask; empty: one that DNS names."""
    ldaps: bool = False
    """Whether the domain controller is asked over TLS."""
    ca: str = ""
    """PEM file of who signs the controllers' certificates; empty: the system's own store says."""
    user: str = ""
    keytab: str = ""
    filter: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return "/".join((self.domain, *self.path))


def is_dns_name(text: str) -> bool:
    """Return whether *text* is a DNS name with a domain: only then nobody looks for it somewhere else."""
    labels = text.split(".")
    return len(text) <= 253 and len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels)


def read_argument(argument: str | None) -> Wanted:
    """Return what *argument*, the text after ``@ad/``, asks for.

    Raises:
        UsageError: it asks for nothing; the message says how to write it.
    """
    if not argument:
        raise UsageError("@ad names no domain", next_step=FORM)
    if len(argument) > LONGEST:
        raise UsageError(f"@ad/{argument[:40]}... has over {LONGEST:,} characters", next_step=FORM)
    place, _, options = argument.partition("?")
    domain, *path = re.split(r"(?<!\\)/", place)
    domain = domain.rstrip(".").lower()
    if "=" in domain:
        raise UsageError(f"@ad/{place} has a distinguished name, which is cut at its commas", next_step=FORM)
    if not is_dns_name(domain):
        near = "give its DNS name, not the short one" if _LABEL.fullmatch(domain) else FORM
        raise UsageError(f"@ad/{place}: {domain or 'nothing'} is not the DNS name of a domain", next_step=near)
    names = [_decoded("@ad", name.replace("\\/", "/")) for name in path]
    if names and not names[-1]:
        names.pop()
    if not all(names):
        raise UsageError(f"@ad/{place} has an empty name between two slashes", next_step=FORM)
    return _with_options(Wanted(domain, tuple(names)), options)


def _with_options(wanted: Wanted, text: str) -> Wanted:
    seen: set[str] = set()
    while text:
        key, equals, rest = text.partition("=")
        if key not in OPTIONS or not equals:
            raise UsageError(f"@ad has no option {key[:40]!a}", next_step=f"there are {', '.join(OPTIONS)}")
        if key in seen:
            raise UsageError(f"@ad: the option {key} is there twice", next_step="take one of the two out")
        seen.add(key)
        value, _, text = (rest, "", "") if key == "filter" else rest.partition("&")
        wanted = _with_option(wanted, key, _decoded(f"@ad: {key}", value))
    return wanted


def _with_option(wanted: Wanted, key: str, value: str) -> Wanted:
    if key in ("disabled", "dc", "laps", "ldaps"):
        if value not in ("0", "1"):
            raise UsageError(f"@ad: {key} is {value[:40]!a}", next_step=f"write {key}=1 to have these, or leave it out")
        flags: dict[str, Any] = {"controllers" if key == "dc" else key: value == "1"}
        return replace(wanted, **flags)
    if key == "stale":
        days = int(value) if re.fullmatch("[0-9]{1,5}", value, re.ASCII) else -1
        if days != 0 and days < FEWEST_DAYS:
            raise UsageError(
                f"@ad: stale is {value[:40]!a}, and neither 0 nor at least {FEWEST_DAYS} days",
                next_step="the domain knows the last logon to within 14 days; write stale=0 to have all",
            )
        return replace(wanted, stale_days=days)
    if not value:
        raise UsageError(f"@ad: {key} is empty", next_step="take it out, or give it a value")
    if key == "server" and not is_dns_name(value):
        raise UsageError(
            f"@ad: server is {value[:80]!a}", next_step="give the full DNS name: its Kerberos service is called by it"
        )
    changed: dict[str, Any] = {key: value}
    return replace(wanted, **changed)


def _decoded(what: str, text: str) -> str:
    """Return *text* with ``%2C`` and the like as the characters that they stand for."""
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UsageError(f"{what}: {text[:60]!a} has a % that is not UTF-8", next_step="write % as %25") from None
    if not all(character.isprintable() for character in decoded):
        raise UsageError(f"{what}: {decoded[:60]!a} has a character that cannot be seen", next_step="type it anew")
    return decoded
