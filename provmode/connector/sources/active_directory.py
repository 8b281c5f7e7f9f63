"""The computers of an OU, a group or a domain, asked of Active Directory."""

from __future__ import annotations

import time
from collections import Counter

from sansldap import FilterPresent, LDAPFilter

from provmode.connector.sources import laps, ldap
from provmode.connector.sources.computers import ATTRIBUTES, hosts_of
from provmode.connector.sources.distinguished_names import domain_name
from provmode.connector.sources.domain_controllers import Directory, opened
from provmode.connector.sources.found import Found, SourceError
from provmode.connector.sources.laps_password import LapsPassword, PasswordsAnew
from provmode.connector.sources.wanted import Wanted
from provmode.errors import UsageError
from provmode.text import shortened, visible

NO_SUCH_OBJECT, REFERRAL, NO_RIGHT, TIME_LIMIT = 32, 10, 50, 3
_NAMES_SHOWN = 8


def find(wanted: Wanted) -> Found:
    """Return the computers that are wanted.

    Raises:
        UsageError: the domain cannot be asked, knows no such OU or group, or has no such computer.
    """
    own = _own_filter(wanted)
    with opened(wanted) as directory:
        try:
            suffixes = _suffixes(directory, wanted)
            base = _base(directory, wanted)
            filters = [ldap.equal("objectCategory", "computer"), *own]
            if wanted.group:
                filters.append(_members(directory, wanted))
            attributes = (*ATTRIBUTES, *(laps.ATTRIBUTES if wanted.laps else ()))
            accounts = directory.carry_out(
                ldap.search(directory.wire, base, ldap.SUBTREE, ldap.all_of(*filters), attributes)
            )
        except ldap.Refused as refused:
            raise _refused(wanted, refused) from None
    again = PasswordsAnew(wanted)
    hosts, left_out = hosts_of(
        accounts, wanted, suffixes, time.time(), hidden=lambda account, local: LapsPassword(local, account.name, again)
    )
    cures = [f"{why}: {cure}" for why, cure in laps.CURES.items() if any(item.why == why for item in left_out)]
    if not hosts:
        counts = Counter(item.why for item in left_out)
        why = "; ".join(f"{count:,} left out, {why}" for why, count in counts.items())
        raise SourceError(
            UsageError(
                f"{_called(wanted)} has no computer to ask{': ' + why if why else ''}",
                next_step="an empty run is never a success"
                if not why
                else cures[0]
                if cures
                else "stale=0, disabled=1 and dc=1 take them in; `provmode inventory show` of a wider OU names them",
            )
        )
    notes = tuple(f"{wanted.name}: {cure}" for cure in cures)
    return Found(wanted.name, hosts, left_out, notes, keys=frozenset(key for host in hosts for key in host.data))


def _called(wanted: Wanted) -> str:
    group = f", group {wanted.group}" if wanted.group else ""
    return f"{wanted.name}{group}{', with this filter' if wanted.filter else ''}"


def _own_filter(wanted: Wanted) -> list[LDAPFilter]:
    if not wanted.filter:
        return []
    try:
        return [ldap.read_filter(wanted.filter)]
    except ValueError as error:
        raise UsageError(
            f"@ad: filter {wanted.filter[:80]!a} is no LDAP filter: {error}",
            next_step="write filter=(operatingSystem=Windows 1*), as the last option; a comma in it is %2C",
        ) from None


def _suffixes(directory: Directory, wanted: Wanted) -> list[str]:
    """Return the DNS suffixes that computers of the domain may have: its name, and those that it allows besides."""
    head = directory.carry_out(
        ldap.search(
            directory.wire,
            domain_name(wanted.domain),
            ldap.BASE,
            FilterPresent("objectClass"),
            ["msDS-AllowedDNSSuffixes"],
        )
    )
    values = head[0].values.get("msds-alloweddnssuffixes", ()) if head else ()
    return [wanted.domain, *(value.decode("utf-8", "replace") for value in values)]


def _base(directory: Directory, wanted: Wanted) -> str:
    """Return the distinguished name of the OU: each part as the directory has it, whatever kind of container it is."""
    base = domain_name(wanted.domain)
    there = wanted.domain
    container = ldap.any_of(
        *(ldap.equal("objectClass", kind) for kind in ("organizationalUnit", "container", "builtinDomain"))
    )
    for part in wanted.path:
        found = directory.carry_out(
            ldap.search(
                directory.wire, base, ldap.ONE_LEVEL, ldap.all_of(ldap.equal("name", part), container), ["name"]
            )
        )
        if not found:
            others = directory.carry_out(
                ldap.search(
                    directory.wire, base, ldap.ONE_LEVEL, ldap.equal("objectClass", "organizationalUnit"), ["name"]
                )
            )
            names = sorted(filter(None, (other.text("name") for other in others)), key=str.lower)
            shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
            raise UsageError(
                f"{there} has no OU {part!r} that this account can see",
                next_step=f"it has {visible(shortened(shown, 300))}" if names else "it has no OU at all",
            )
        base, there = found[0].name, f"{there}/{part}"
    return base


def _members(directory: Directory, wanted: Wanted) -> LDAPFilter:
    """Return the filter for the members of the group, whether by nested groups or as their primary group."""
    found = directory.carry_out(
        ldap.search(
            directory.wire,
            domain_name(wanted.domain),
            ldap.SUBTREE,
            ldap.all_of(ldap.equal("objectClass", "group"), ldap.equal("sAMAccountName", wanted.group)),
            ["objectSid"],
        )
    )
    if not found:
        raise UsageError(
            f"{wanted.domain} has no group {wanted.group!r} that this account can see",
            next_step="give its sAMAccountName (the name before Windows 2000), not its distinguished name",
        )
    members = ldap.nested_member_of(found[0].name)
    sid = found[0].values.get("objectsid", (b"",))[0]
    if len(sid) < 12:
        return members
    return ldap.any_of(members, ldap.equal("primaryGroupID", str(int.from_bytes(sid[-4:], "little"))))


def _refused(wanted: Wanted, refused: ldap.Refused) -> UsageError:
    said = visible(shortened(" ".join(refused.text.replace("\0", " ").split()), 160))
    known = {
        NO_SUCH_OBJECT: (f"it has no domain {wanted.domain}", "check the domain's DNS name, and server="),
        REFERRAL: (f"it has no domain {wanted.domain}", "ask a controller of that domain: take server= out"),
        NO_RIGHT: ("the account may not read there", "give it the right to read, or ask for another OU"),
        TIME_LIMIT: ("the search took it too long", "ask for an OU, or take the filter out"),
    }
    what, cure = known.get(refused.code, (f"it answered with LDAP error {refused.code} ({said})", "ask for less"))
    return UsageError(f"{_called(wanted)}: {what}", next_step=cure)
