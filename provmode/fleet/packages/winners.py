"""Whose value holds on each PC for the policies that its packages set: computed from the packages, and as the PC says.

The packages have to be read before it is known which policies to ask for, so this is a second visit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from provmode.fleet.inventory import Fleet
from provmode.fleet.packages.found import HostPackages
from provmode.fleet.packages.kinds import FINDINGS, Noted, Unread
from provmode.fleet.packages.one_host import OneHost, Packages
from provmode.fleet.visit import Runner, Visit, failure_of, short
from provmode.packages.on_pc.policies import winning_providers
from provmode.packages.precedence import resolve
from provmode.packages.versions import Given
from provmode.reading import Known, Reading, Unknown

Winners = Mapping[str, Reading[str]]
"""Whose value holds, by a policy's path such as ``Policies/Start/ConfigureStartPins``."""
_PART = re.compile(r"[A-Za-z0-9_.~-]{1,200}")


def ask_winners(
    fleet: Fleet, hosts: Sequence[HostPackages], packages: Packages, runner: Runner, stop: Callable[[], bool]
) -> dict[str, Winners]:
    """Ask each host whose packages set policies; return what each said, by its name."""
    names = {short(name): name for name in fleet.names}
    wanted = {names[host.host]: policies for host in hosts if (policies := policies_of(host, packages))}
    found: dict[str, Winners] = {}

    def work(visit: Visit) -> None:
        policies = wanted[visit.host.name]
        pairs = [(path.split("/")[1], path.split("/")[2]) for path in policies]
        answers = visit.connected(lambda: visit.session.converse(winning_providers(pairs)))
        if answers is None:
            failure = failure_of(visit.error)
            unknown = Unknown(failure.cause, failure.what)
            found[short(visit.host.name)] = dict.fromkeys(policies, unknown)
        else:
            found[short(visit.host.name)] = {f"Policies/{area}/{name}": answers[area, name] for area, name in pairs}
        visit.forget()

    if wanted and not stop():
        runner.visit(fleet, list(wanted), work, stop=stop, finish_begun=False)
    return found


def policies_of(host: HostPackages, packages: Packages) -> list[str]:
    """Return the paths of the policies that the applied packages of a host set."""
    paths = {setting.plain_path for given in _applied(host, packages) for setting in given.package.settings}
    return sorted(path for path in paths if _is_policy(path))


def _is_policy(path: str) -> bool:
    head, *rest = path.split("/")
    return head == "Policies" and len(rest) == 2 and all(_PART.fullmatch(part) for part in rest)


def _applied(host: HostPackages, packages: Packages) -> list[Given]:
    """Return what is in the packages of a host that were applied; a copy beside counts once."""
    if host.state is None:
        return []
    one = OneHost(host.state, packages)
    found: dict[str, Given] = {}
    for each in one.own:
        if isinstance(each.package, Known) and isinstance(each.file.sha256, Known) and one.applied(each):
            found.setdefault(each.file.sha256.value, Given(each.package.value, each.file.name))
    return list(found.values())


def compare(host: HostPackages, packages: Packages, winners: Winners) -> tuple[tuple[Noted, ...], tuple[Unread, ...]]:
    """Return in what the winners on a PC are not those that its packages come to, and what it did not tell."""
    resolved = resolve(_applied(host, packages), winners)
    found = tuple(Noted(each.code, each.text) for each in resolved.findings if each.code in FINDINGS)
    untold = [(path, reading) for path, reading in winners.items() if isinstance(reading, Unknown)]
    return found, tuple(Unread(f"whose value of {path} holds: {each.detail}", each.cause) for path, each in untold)
