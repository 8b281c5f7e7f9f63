"""What is worth knowing of one host's packages: from what the PC said, and what is in the packages. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from provmode.fleet.packages.drift import Target, drift
from provmode.fleet.packages.kinds import Noted, Unread
from provmode.fleet.packages.one_host import APPLIED, OneHost, OnHost, Packages
from provmode.fleet.packages.sharing import ABOUT_PACKAGES
from provmode.packages.container import trusted
from provmode.packages.findings import Weight
from provmode.packages.model import Package
from provmode.packages.on_pc.model import FAILURES, INBOX, CategoryResult, PackagesOnPc, Place
from provmode.reading import Absent, Known, Reading, Unknown

TOKEN_DIES = timedelta(days=30)
"""How long before a token's death it is said."""
SECRETS_NAMED = 3
"""How many places of secrets a finding names."""

_OF_SIGNATURES = frozenset({"signature-broken"})
"""Findings of a package that a finding of its host says, too."""


@dataclass(frozen=True)
class Judged:
    """What is worth knowing of a host."""

    findings: tuple[Noted, ...] = ()
    unread: tuple[Unread, ...] = ()


def judge(state: PackagesOnPc, packages: Packages, target: Target | None, now: datetime) -> Judged:
    """Return what is worth knowing; *target*: the packages that the host should have, ``None``: nobody said."""
    host = OneHost(state, packages)
    findings = [*(drift(host, target) if target is not None else ()), *_Judging(host, now).findings()]
    order = {weight: number for number, weight in enumerate(Weight)}
    findings.sort(key=lambda finding: order[finding.kind.weight])
    return Judged(tuple(dict.fromkeys(findings)), tuple(dict.fromkeys(host.unread())))


class _Judging:
    """The findings of one host but drift."""

    def __init__(self, host: OneHost, now: datetime) -> None:
        self.host, self.now = host, now

    def findings(self) -> Iterator[Noted]:
        """Yield everything but drift."""
        for each in self.host.own:
            yield from self._of_file(each)
        not_applied = any(each.file.place in APPLIED and self.host.applied(each) is False for each in self.host.own)
        service = self.host.state.push_service
        if not_applied and isinstance(service, Known) and service.value.disabled:
            yield Noted("service-disabled", "the service dmwappushservice is disabled")
        yield from self._failed()
        yield from self._events()
        yield from self._without_file()

    def _of_file(self, each: OnHost) -> Iterator[Noted]:
        file = each.file
        if file.place is Place.RESET:
            yield Noted("at-reset", f"{each.label}: applied again at every reset of the PC", each.id)
        elif file.place is Place.REMOVABLE:
            yield Noted("on-removable", f"{each.label}: in the root of a removable drive", each.id)
        elif file.place in APPLIED and self.host.applied(each) is False:
            yield Noted("not-applied", f"{each.label}: its file is there ({file.place}), a result is not", each.id)
        if isinstance(each.package, Known):
            yield from self._contents(each.package.value, each)
            yield from self._signature(each.package.value, each)

    def _contents(self, package: Package, each: OnHost) -> Iterator[Noted]:
        if package.secrets:
            named = "; ".join(f"{secret.kind} at {secret.place}" for secret in package.secrets[:SECRETS_NAMED])
            more = len(package.secrets) - SECRETS_NAMED
            named += f"; and {more} more" if more > 0 else ""
            yield Noted("secrets", f"{each.label} ({each.file.place}): {named}", each.id)
        for token in package.tokens:
            if token.dead_at is not None and token.dead_at <= self.now:
                yield Noted("token-dead", f"{each.label}: dead since {token.dead_at:%Y-%m-%d} at the latest", each.id)
            elif token.dead_at is not None and token.dead_at <= self.now + TOKEN_DIES:
                yield Noted("token-dies", f"{each.label}: dead on {token.dead_at:%Y-%m-%d} at the latest", each.id)
        for finding in package.findings:
            if finding.weight is Weight.WRONG and finding.code not in _OF_SIGNATURES:
                yield Noted("contradiction", f"{each.label}: {finding.text}", each.id)

    def _signature(self, package: Package, each: OnHost) -> Iterator[Noted]:
        signature = package.signature
        if signature.intact == Known(False):
            yield Noted("tampered", f"{each.label}: it is not what was signed", each.id)
        elif isinstance(signature.intact, Unknown):
            yield Noted("signature-not-told", f"{each.label}: {signature.intact.detail}", each.id)
        required = self.host.state.policies.signature_required
        if required != Known(True) or each.file.place is Place.IMAGE:  # those of an image are applied in any case
            return
        thumbprints: Reading[Any] = self.host.state.trusted
        if isinstance(signature.signer, Absent):
            yield Noted("unsigned", f"{each.label} ({each.file.place}): a signature is required", each.id)
        elif trusted(signature, thumbprints) == Known(False) and signature.intact == Known(True):
            yield Noted("untrusted", f"{each.label}: its signer is no trusted provisioner of the PC", each.id)

    def _failed(self) -> Iterator[Noted]:
        results = self.host.state.results.value if isinstance(self.host.state.results, Known) else ()
        for result in results:
            if result.file_name.lower().startswith(INBOX):
                continue
            label = self.host.label_of(result.id, result.file_name or result.key)
            for what, parts in fold_failed(result.failed).items():
                many = f" ({len(parts)} parts)" if len(parts) > 1 else ""
                yield Noted("failed", f"{label}: {what}{many}", result.id)

    def _events(self) -> Iterator[Noted]:
        """Yield the packages of which the newest event is a failure."""
        seen = set[str]()
        results = self.host.state.results.value if isinstance(self.host.state.results, Known) else ()
        failed = {result.id for result in results if result.failed}  # their results say more
        for event in self.host.state.events.value if isinstance(self.host.state.events, Known) else ():
            package = event.package
            if event.number not in ABOUT_PACKAGES or not package or package in seen:
                continue
            seen.add(package)
            if event.failure and package not in failed:
                number = f", {event.hresult}" if event.hresult else ""
                text = (
                    f"{self.host.label_of(package, package)}: {FAILURES[event.number]} (event {event.number}{number})"
                )
                yield Noted("add-failed", text, package)

    def _without_file(self) -> Iterator[Noted]:
        if not self.host.knows_files:
            return
        ids = {each.id for each in self.host.files}
        names = {each.file.name.lower() for each in self.host.files}
        results = self.host.state.results.value if isinstance(self.host.state.results, Known) else ()
        name_of = {result.id: result.file_name for result in results if result.id}
        for id_ in sorted(self.host.applied_ids - ids):
            name = name_of.get(id_, "")
            if name.lower() not in names and not name.lower().startswith(INBOX):
                yield Noted("no-file", f"{name or id_}: applied, and its file is gone", id_)


def fold_failed(parts: Sequence[CategoryResult]) -> dict[str, list[CategoryResult]]:
    """Return what failed in words, each with the parts that failed like this."""
    found: dict[str, list[CategoryResult]] = {}
    for part in parts:
        what = ", ".join(part.categories) or part.name or "it"
        number = f" with {part.hresult}" if part.last_result else ""
        where = f" at {part.failing_node}" if part.failing_node else ""
        found.setdefault(f"{what} failed{number}{where}", []).append(part)
    return found
