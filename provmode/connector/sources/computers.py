"""Computer accounts of Active Directory as hosts, and which of them are left out and why. Pure.

A computer account can write its own ``dNSHostName``, and whoever joins a computer chooses its name. So an address
counts only within the domain's own suffixes, the PC that answers has to be called as the account is, and what looks
like another's is left out; one odd account never ends the run for the others.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Protocol

from pyinfra.api.hiddenvalue import HiddenValue

from provmode.connector.host_names import check_host_name, look
from provmode.connector.sources.checking import LONGEST_GROUP
from provmode.connector.sources.distinguished_names import path_of
from provmode.connector.sources.found import FoundHost, LeftOut
from provmode.connector.sources.laps import LocalAccount, local_account
from provmode.connector.sources.wanted import Wanted
from provmode.errors import UsageError
from provmode.text import shortened, visible
from provmode.windows.names import NETBIOS_LENGTH, is_address

ATTRIBUTES = (
    "sAMAccountName",
    "dNSHostName",
    "userAccountControl",
    "lastLogonTimestamp",
    "whenCreated",
    "operatingSystem",
)
DISABLED = 0x2
CONTROLLER = 0x2000 | 0x4000000
"""userAccountControl (MS-ADTS 2.2.16): SERVER_TRUST_ACCOUNT, and PARTIAL_SECRETS_ACCOUNT of read-only controllers."""

_1601 = 11_644_473_600
"""Seconds from 1601, where FILETIME begins, to 1970."""
_DAY = 86_400
_WINDOWS = re.compile(r"Windows(?: Server)? [0-9A-Za-z.]+(?: R2)?")
_USUAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
"""What nearly all names are like; the others are looked at letter by letter."""
_SPECIAL = str.maketrans(dict.fromkeys("*?[,", "_"))
"""Characters that ``--limit`` takes for patterns and lists."""


class Account(Protocol):
    """An object of the directory."""

    @property
    def name(self) -> str:
        """Its distinguished name."""

    def text(self, attribute: str) -> str:
        """Return the first value as text; empty if there is none."""

    def has(self, attribute: str) -> bool:
        """Return whether there is a value."""

    def number(self, attribute: str) -> int | None:
        """Return the first value as a whole number; ``None`` if there is none."""


_Candidate = tuple[tuple[str, ...], FoundHost, str]
"""The OUs and containers that an account is in, the host, and its address."""


def hosts_of(
    accounts: Iterable[Account],
    wanted: Wanted,
    suffixes: Iterable[str],
    now: float,
    *,
    hidden: Callable[[Account, LocalAccount], Any] = lambda account, local: HiddenValue(local.password),
) -> tuple[tuple[FoundHost, ...], tuple[LeftOut, ...]]:
    """Return the hosts among *accounts*, by name, and those that are left out.

    *suffixes* are the domain's own DNS suffixes, *now* is in seconds since 1970. *hidden* hides a password.
    """
    ends = tuple(f".{suffix.lower().strip('.')}" for suffix in suffixes if suffix.strip("."))
    candidates: list[_Candidate] = []
    left_out: list[LeftOut] = []
    for account in accounts:
        name = account.text("sAMAccountName").removesuffix("$")
        path = _path(account.name)
        address = account.text("dNSHostName").rstrip(".").lower()
        why = _why_not(account, wanted, now) or _wrong_names(name, address, ends)
        local = local_account(account) if wanted.laps and not why else None
        why = local.why_not if local is not None else why
        if why:
            left_out.append(LeftOut(_shown(name or account.name), why, _place(wanted, path)))
        else:
            host = _host(name, address, path, account.text("operatingSystem"))
            if local is not None:
                user = {"winrm_transport": "ntlm", "winrm_user": local.logon_name}
                host = replace(host, data={**host.data, **user, "winrm_password": hidden(account, local)})
            candidates.append((path, host, address))
    kept, others = _without_doubles(candidates, wanted)
    left_out += others
    return tuple(kept), tuple(sorted(left_out, key=lambda item: (item.why, item.what)))


def _why_not(account: Account, wanted: Wanted, now: float) -> str:
    """Return why an account is not wanted; empty if it is."""
    control = account.number("userAccountControl")
    if control is None:
        return "it may not be read whether it is disabled"
    if control & CONTROLLER and not wanted.controllers:
        return "a domain controller"
    if control & DISABLED and not wanted.disabled:
        return "disabled"
    if wanted.stale_days and not control & CONTROLLER:
        logon = account.number("lastLogonTimestamp") or 0
        oldest = now - wanted.stale_days * _DAY
        if logon and logon / 10_000_000 - _1601 < oldest:
            return f"stale: no logon for {wanted.stale_days} days"
        if not logon and _created(account.text("whenCreated")) < oldest:
            return f"stale: joined over {wanted.stale_days} days ago, and never logged on"
    return ""


def _created(text: str) -> float:
    """Return the seconds since 1970 of a generalized time; without one the beginning of time."""
    try:
        moment = datetime.strptime(text.partition(".")[0].rstrip("Z"), "%Y%m%d%H%M%S")
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=timezone.utc).timestamp()


def _wrong_names(name: str, address: str, ends: tuple[str, ...]) -> str:
    """Return what is wrong with the names of an account; empty if nothing is."""
    if not _is_name(name) or "." in name or is_address(name):
        return "its name cannot be the name of a PC"
    if not address:
        return "no dNSHostName"
    if not _is_name(address) or not all(address.split(".")):
        return "its dNSHostName cannot be the name of a PC"
    if not address.endswith(ends):
        return "its dNSHostName is outside the domain"
    return ""


def _is_name(text: str) -> bool:
    if _USUAL_NAME.fullmatch(text):
        return True
    if not 0 < len(text) < 254 or not all(character.isalnum() or character in "-_." for character in text):
        return False
    try:
        check_host_name(text)
    except UsageError:
        return False
    return text[0] not in "-." and any(character.isalnum() for character in text)


def _host(name: str, address: str, path: tuple[str, ...], system: str) -> FoundHost:
    label = address.partition(".")[0]
    if len(name) == NETBIOS_LENGTH and label[:NETBIOS_LENGTH] == name.lower():
        name = label  # the account's name is cut, the PC's is not
    data = {"winrm_address": address, "winrm_computer": name, "winrm_transport": "kerberos"}
    return FoundHost(name, data, _groups(path, system))


@functools.lru_cache(maxsize=1024)
def _groups(path: tuple[str, ...], system: str) -> tuple[str, ...]:
    groups = [f"ou:{'/'.join(path[:length])}" for length in range(1, len(path) + 1)]
    if system:
        found = _WINDOWS.match(system)
        groups.append(f"os:{found[0] if found is not None else system}")
    return tuple(dict.fromkeys(map(_group, groups)))


def _without_doubles(candidates: list[_Candidate], wanted: Wanted) -> tuple[list[FoundHost], list[LeftOut]]:
    """Leave out the accounts that have another's address, or a name that looks like another's.

    Whoever is called as the address says keeps it, and ASCII wins: an account cannot put another one out of the run.
    """

    def own_first(each: _Candidate) -> tuple[bool, bool, str]:
        _, host, address = each
        return host.name.lower() != address.partition(".")[0], not host.name.isascii(), host.name.lower()

    def ascii_first(each: _Candidate) -> tuple[bool, str]:
        return not each[1].name.isascii(), each[1].name.lower()

    rest, same = _first_of_each(sorted(candidates, key=own_first), lambda each: each[2])
    kept, alike = _first_of_each(sorted(rest, key=ascii_first), lambda each: look(each[1].name))
    whys = (("its dNSHostName is that of another", same), ("its name looks like another", alike))
    left_out = [
        LeftOut(_shown(host.name), why, _place(wanted, path)) for why, others in whys for path, host, _ in others
    ]
    return [each[1] for each in sorted(kept, key=lambda each: each[1].name.lower())], left_out


def _first_of_each(
    candidates: list[_Candidate], key: Callable[[_Candidate], str]
) -> tuple[list[_Candidate], list[_Candidate]]:
    """Return the first candidate with each *key*, and the others."""
    first: dict[str, _Candidate] = {}
    for each in candidates:
        first.setdefault(key(each), each)
    kept = list(first.values())
    chosen = set(map(id, kept))
    return kept, [each for each in candidates if id(each) not in chosen]


def _path(name: str) -> tuple[str, ...]:
    try:
        return path_of(name)
    except ValueError:  # a place is for people and groups; the account counts without
        return ()


def _place(wanted: Wanted, path: tuple[str, ...]) -> str:
    return _shown("/".join((wanted.domain, *path)))


def _group(text: str) -> str:
    """Return the name of a group, of characters that ``--limit`` can name."""
    seen = "".join(character if character.isprintable() else "_" for character in text)
    return seen.translate(_SPECIAL)[:LONGEST_GROUP].rstrip()


def _shown(text: str) -> str:
    return visible(shortened(" ".join(text.split()), 80))
