"""Which packages are to be added to a PC and removed from it, and whose signatures it is to trust. Pure.

What the inventory wants is compared with what the PC has. The order is fixed: trust first, then removals, then
additions in the order of the inventory. A PC on which something legitimate runs keeps everything as it is, and so does
one that could not be assessed. What a policy forbids, what is older than what is there, and what Windows applied with
failures is left alone, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from provmode.ccm.client import client_state
from provmode.ccm.judge import judge
from provmode.ccm.machine import machine
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Finding, Outcome, Verdict
from provmode.errors import HostError
from provmode.packages.container.signature import Signature
from provmode.packages.model import Package
from provmode.packages.on_pc.copies import Identities, OnThisPc, PackagesThere, on_this_pc
from provmode.packages.on_pc.policies import policy_winners, trusted_provisioners
from provmode.packages.preview import areas_of, preview, removal
from provmode.reading import NOT_READ, Absent, Known, Reading, Unknown, known
from provmode.remediation.decide import LEFT_ALONE, Remediation, check_idle
from provmode.remediation.execute import StaleStep
from provmode.remediation.package_rules import check_newer, may_add, may_remove
from provmode.remediation.steps import AddPackage, RemovePackage, SetTrustedProvisioner, Step
from provmode.windows.conversation import Conversation
from provmode.windows.model import JsonRecord
from provmode.windows.system import clock_and_name


@dataclass(frozen=True)
class PackageFile:
    """A package of this computer that a PC should have."""

    file: str
    """Its path on this computer."""
    sha256: str
    package: Package

    @property
    def signer(self) -> str:
        """SHA-1 of the certificate that signed it, in lower case; empty if it is not signed."""
        signature: Signature = self.package.signature
        return signature.signer.value.sha1.lower() if isinstance(signature.signer, Known) else ""

    @property
    def intact(self) -> bool:
        """Whether it is what was signed; true if it is not signed."""
        signature: Signature = self.package.signature
        return isinstance(signature.signer, Absent) or signature.intact == Known(True)


@dataclass(frozen=True)
class Wanted:
    """What a PC should have. It can be pickled."""

    packages: tuple[PackageFile, ...] = ()
    absent: tuple[str, ...] = ()
    """Ids of packages that should not be there."""
    without_file: tuple[tuple[str, str, str], ...] = ()
    """Id, version and SHA-256 of packages whose file the inventory does not name: they cannot be added."""
    provisioners: tuple[SetTrustedProvisioner, ...] = ()
    """Certificates that should be trusted, or should not, each as the step that does it."""


@dataclass
class PackagesRead:
    """The packages that were read so far, by the hash of their files: of the PCs of a run each is read once."""

    packages: dict[str, Package] = field(default_factory=dict)

    @property
    def identities(self) -> Identities:
        """Id and version of each."""
        return {digest: (each.metadata.id, each.metadata.version) for digest, each in self.packages.items()}


def plan_packages(
    now: Callable[[], datetime], policy: Policy, wanted: Wanted | None, read: PackagesRead
) -> Conversation[Remediation]:
    """Look at a client, then at the PC's packages, and return the steps that bring them to what is *wanted*.

    ``None``: nothing is said of the packages of this PC, and they are not looked at.
    """
    client = yield from client_state(now, policy.legitimate_processes)
    if client.computer == NOT_READ:
        client = replace(client, computer=(yield from clock_and_name())[1])
    assessment = judge(client, policy, now())
    if assessment.verdict is Verdict.UNASSESSED:
        return Remediation(client, assessment, (), LEFT_ALONE[assessment.verdict])
    if wanted is None:
        return Remediation(client, assessment, (), "the inventory does not say which packages it should have")
    try:
        yield from check_idle(now, policy)
        there: PackagesThere = yield from on_this_pc(read.identities)
        read.packages.update(there.read)
        steps, left = yield from _steps(wanted, there, read)
        kind = (yield from machine()) if steps else None
    except StaleStep as error:
        return Remediation(client, assessment, (), error.what)
    except HostError as error:
        unread = f"its packages could not be looked at: {error.what}"
        return Remediation(client, assessment, (), unread, counts_as=Outcome.UNASSESSED)
    assessment = replace(assessment, findings=(*assessment.findings, *(Finding("package-left", text) for text in left)))
    left_alone = "" if steps else "; ".join(left) or "its packages are as the inventory wants them"
    counts_as = Outcome.PENDING if left else Outcome.COMPLIANT
    return Remediation(client, assessment, tuple(steps), left_alone, machine=kind, counts_as=counts_as)


def _steps(
    wanted: Wanted, there: PackagesThere, read: PackagesRead, to_be_trusted: Collection[str] = ()
) -> Conversation[tuple[list[Step], list[str]]]:
    """Return the steps, and of what is left alone the reasons."""
    steps, left = list[Step](), list[str]()
    trusted = yield from trusted_provisioners()
    if isinstance(trusted, Unknown) and wanted.provisioners:
        left.append(f"could not tell whom the PC trusts: {trusted.detail or trusted.cause}")
    elif not isinstance(trusted, Unknown):
        steps += [each for each in wanted.provisioners if (each.thumbprint in known(trusted, ())) != each.present]
    trusting = {step.thumbprint for step in steps if isinstance(step, SetTrustedProvisioner) and step.present}
    trusting |= set(to_be_trusted)
    for id_ in wanted.absent:
        try:
            steps += yield from _removal(id_, there, read)
        except HostError as error:
            left.append(f"{id_}: {error.what}")
    for id_, version, digest in wanted.without_file:
        try:
            left += _unless_there(there(id_), id_, version, digest)
        except HostError as error:
            left.append(f"{id_} {version}: {error.what}")
    added = list[tuple[PackageFile, tuple[str, ...]]]()
    for each in wanted.packages:
        try:
            before = yield from _before_addition(each, there, trusting)
        except HostError as error:
            left.append(f"{each.package}: {error.what}")
        else:
            added += [(each, before)] if before is not None else []
    together = [each for each, _ in added]
    for each, before in added:
        try:
            steps.append((yield from _addition(each, before, together, there, read)))
        except HostError as error:
            left.append(f"{each.package}: {error.what}")
    return steps, left


def _unless_there(found: OnThisPc, id_: str, version: str, digest: str) -> list[str]:
    """Return why a package of which there is no file here is left alone; nothing if the PC has it.

    Raises:
        HostError: the PC has it, and something is wrong with it.
    """
    if found.has(digest) and found.applied:
        _check_settled(found, version)
        return []
    return [f"{id_} {version}: it is not there, and the inventory names no file of it, so it cannot be added"]


def _check_settled(found: OnThisPc, version: str) -> None:
    """Check that a package that was applied is the newest there, is applied whole, and that no part of it failed.

    Raises:
        HostError: it is not.
    """
    check_newer(found, version)
    if found.failed:
        first = found.failed[0]
        node = f" at {first.failing_node}" if first.failing_node else ""
        raise HostError(
            f"it is there, and {first.name} of it failed: {first.hresult or 'no number'}{node}; "
            "adding the same package again does nothing"
        )
    if found.applying:
        raise HostError("it is there, and is still being applied")


def _removal(id_: str, there: PackagesThere, read: PackagesRead) -> Conversation[list[Step]]:
    found = there(id_)
    if not found.lines:
        return []
    yield from may_remove()
    package = next((read.packages[copy.sha256] for copy in found.copies if copy.sha256 in read.packages), None)
    name = package.metadata.name if package is not None else ""
    return [RemovePackage(name, id_, found.lines, removal(package))]


def _before_addition(
    wanted: PackageFile, there: PackagesThere, trusting: set[str]
) -> Conversation[tuple[str, ...] | None]:
    """Return what the PC has of a package that is to be added; ``None`` if it has that package.

    Raises:
        HostError: it may not be added.
    """
    metadata = wanted.package.metadata
    found = there(metadata.id)
    if found.has(wanted.sha256) and found.applied:
        _check_settled(found, metadata.version)
        return None
    if not wanted.intact:
        raise HostError("its file is not what was signed, or that could not be told")
    check_newer(found, metadata.version)
    yield from may_add(wanted.signer, trusting=trusting)
    return found.lines


def _addition(
    wanted: PackageFile,
    before: tuple[str, ...],
    together: Sequence[PackageFile],
    there: PackagesThere,
    read: PackagesRead,
) -> Conversation[AddPackage]:
    """Return the step that adds a package; *together* are all that are added to the PC."""
    metadata = wanted.package.metadata
    winners = yield from policy_winners(areas_of(wanted.package))
    hashes = there.hashes
    others = [read.packages.get(digest) for digest in hashes if digest != wanted.sha256] + [None] * there.unread
    others += [each.package for each in together if each is not wanted and each.sha256 not in hashes]
    shown = preview(wanted.package, others, winners)
    return AddPackage(
        wanted.file,
        metadata.name,
        metadata.id,
        metadata.version,
        wanted.sha256,
        wanted.signer,
        before,
        shown.wins,
        shown.effects,
    )


@dataclass(frozen=True)
class PackageSteps(JsonRecord):
    """What brings a PC's packages to what is wanted."""

    steps: tuple[Step, ...] = ()
    left: tuple[str, ...] = ()
    """Why something of it is left alone."""


def look_at_packages(wanted: Wanted, trusting: Collection[str] = ()) -> Conversation[Reading[PackageSteps]]:
    """Look at a PC's packages, and return the steps that bring them to what is *wanted*; unknown if it does not tell.

    *trusting* are thumbprints that the PC will trust by then.
    """
    read = PackagesRead({each.sha256: each.package for each in wanted.packages})
    try:
        there: PackagesThere = yield from on_this_pc(read.identities)
        read.packages.update(there.read)
        steps, left = yield from _steps(wanted, there, read, trusting)
    except HostError as error:
        return Unknown(str(error.cause), error.what)
    return Known(PackageSteps(tuple(steps), tuple(left)))
