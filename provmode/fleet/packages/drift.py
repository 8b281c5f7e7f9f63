"""The packages of a host against those that its data in the inventory names (``provmode_packages``). Pure.

A wanted package is there if Windows says that its id was applied, and the PC keeps a file of this id with the wanted
bytes. The registry does not say which version was applied: if the file is gone, the version could not be told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provmode.fleet.packages.kinds import Noted
from provmode.fleet.packages.one_host import APPLIED, OneHost
from provmode.packages.on_pc.model import Place
from provmode.reading import Known


@dataclass(frozen=True)
class WantedHere:
    """One package that a host should have, or should not."""

    id: str
    version: str = ""
    sha256: str = ""
    name: str = ""
    """How people call it, if its file is known."""
    present: bool = True

    def __str__(self) -> str:
        """Return name or id, and the version."""
        return f"{self.name or self.id} {self.version}".rstrip()


Target = tuple[WantedHere, ...]
"""What a host should have."""


def drift(host: OneHost, target: Target) -> Iterator[Noted]:
    """Yield how *host* differs from *target*. What could not be told is no difference: `OneHost.unread` has it."""
    for wanted in target:
        yield from _present(host, wanted) if wanted.present else _absent(host, wanted)
    named = {wanted.id for wanted in target}
    for each in host.own:
        if each.file.place in APPLIED and each.id and each.id not in named and host.applied(each):
            yield Noted("not-listed", f"{each.label}: applied, and not in provmode_packages", each.id)


def _present(host: OneHost, wanted: WantedHere) -> Iterator[Noted]:
    files = [each for each in host.own if each.id == wanted.id and each.file.place in APPLIED]
    if any(each.file.sha256 == Known(wanted.sha256) for each in files):
        return  # whether it was applied is a finding of its own
    policy = host.state.policies.allow_add
    forbidden = "; a policy forbids adding packages on the PC" if policy == Known(False) else ""
    versions = sorted({each.package.value.metadata.version for each in files if isinstance(each.package, Known)})
    if wanted.version in versions:
        yield Noted("other-bytes", f"{wanted}: a file of this version has other bytes{forbidden}", wanted.id)
    elif versions:
        yield Noted("other-version", f"{wanted}: the PC has {', '.join(versions)}{forbidden}", wanted.id)
    elif wanted.id in host.applied_ids:
        if host.knows_own:
            yield Noted("version-not-told", f"{wanted}: applied, and its file is gone", wanted.id)
    elif host.knows_own and host.knows_applied:
        yield Noted("missing", f"{wanted}: not on the PC{forbidden}", wanted.id)


def _absent(host: OneHost, wanted: WantedHere) -> Iterator[Noted]:
    places = {each.file.place for each in host.own if each.id == wanted.id} - {Place.REMOVABLE, Place.ASSET_CACHE}
    if wanted.id in host.applied_ids:
        yield Noted("unwanted", f"{host.label_of(wanted.id, wanted.id)}: applied", wanted.id)
    elif places:
        named = ", ".join(sorted(map(str, places)))
        yield Noted("unwanted", f"{host.label_of(wanted.id, wanted.id)}: its file is there ({named})", wanted.id)
