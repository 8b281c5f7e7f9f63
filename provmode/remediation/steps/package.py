"""Steps about provisioning packages: one is added or removed, a certificate is trusted or not.

Windows goes on applying a package after the command that adds it has ended. So a step ends only when Windows says what
became of the package: its file is kept, there is a result, and no part of it failed. What is still applied after two
minutes is not called done.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from provmode.errors import AnswerLost, HostError
from provmode.fields import ANY_TEXT, BOOLEAN, DIGEST, LINES, TEXT, Field
from provmode.packages.on_pc.copies import Identities, OnThisPc, copies_of
from provmode.packages.on_pc.policies import package_policies, policy_winners, trusted_provisioners
from provmode.packages.versions import version_of
from provmode.reading import Known, Reading, Unknown, known
from provmode.remediation.steps.base import (
    ALREADY,
    CHANGED,
    PACKAGES,
    PAUSES,
    About,
    Announce,
    Look,
    NotProved,
    Property,
    Step,
    Work,
    no_look,
    not_proved,
    register,
    stale,
)
from provmode.text import shortened
from provmode.windows.conversation import Conversation, Pause
from provmode.windows.file_changes import delete_file, swap_file
from provmode.windows.files import StaleFile, file_hash, script_answer, script_line, sha256
from provmode.windows.scripts import DISTRUST_CERTIFICATE, REMOVE_PACKAGE, TRUST_CERTIFICATE
from provmode.wsman import CommandLine, Completed, Operation

FOLDER = "%windir%\\System32\\config\\systemprofile"
"""Where a file is put while it is needed: only administrators and Windows itself may write or read there."""
RESTART_NEEDED = 3010
"""DISM ends with it if it did what was asked and a restart has to follow (ERROR_SUCCESS_REBOOT_REQUIRED)."""


def _matching(pattern: str) -> Field:
    return Field(
        {"type": "string", "pattern": f"^{pattern}$"},
        lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None,
    )


PACKAGE_ID = _matching(r"\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}")
THUMBPRINT = _matching("[0-9a-f]{40}")
NO_OR_THUMBPRINT = _matching("(?:[0-9a-f]{40})?")
BASE64 = _matching("(?:[A-Za-z0-9+/]{4}){0,5000}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class StillApplying(NotProved):
    """The package was added, and Windows has not said yet what became of it."""


@register
@dataclass(frozen=True)
class AddPackage(Step):
    """A provisioning package is added from a file of this computer. Its bytes are passed beside the step."""

    kind: ClassVar[str] = "package-add"
    plan_fields: ClassVar[Mapping[str, Field]] = {
        "file": TEXT,
        "name": ANY_TEXT,
        "id": PACKAGE_ID,
        "version": ANY_TEXT,
        "sha256": DIGEST,
        "signer": NO_OR_THUMBPRINT,
        "before": LINES,
        "wins": LINES,
        "effects": LINES,
    }
    plan_description = "A provisioning package is added from a file of the computer that applies the plan."
    about: ClassVar[About] = PACKAGES
    file: str
    """Its file on this computer."""
    name: str
    id: str
    version: str
    sha256: str
    signer: str = ""
    """SHA-1 of the certificate that signed it; empty if it is not signed."""
    before: tuple[str, ...] = ()
    """What the PC has of the package: `OnThisPc.lines`."""
    wins: tuple[str, ...] = ()
    """Policies, as ``Area/Policy``, whose value should be the package's afterwards."""
    effects: tuple[str, ...] = ()
    """What it changes on the PC, in words."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the package."""
        return (Property(_called(self.name, self.id), _before(self.before), _after(self.version, self.sha256)),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The command that adds it, once its file is there."""
        return (add_command(self.sha256),)

    @property
    def source(self) -> tuple[str, str] | None:
        """The package's file."""
        return self.file, self.sha256

    @property
    def undo(self) -> Step | None:
        """Remove it. If another version was there before, nothing brings that back."""
        if self.before:
            return None
        return RemovePackage(self.name, self.id, (f"{self.version} (SHA-256 {self.sha256})", "applied"), NOT_REVERTED)

    def text_diff(self) -> tuple[str, ...]:
        """Return what changes, in words."""
        return self.effects

    def diff_encoding(self) -> str:
        """Return what the lines are about."""
        return f"what {self.name or self.id} changes"

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Put the file there if the PC may have it, add the package, and read back what became of it."""
        if data is None or sha256(data) != self.sha256:
            raise HostError(f"{self.file}: its bytes are not those that were planned", next_step="plan anew")
        there: OnThisPc = yield from copies_of(self.id, self._known)
        if there.has(self.sha256) and there.applied and not there.failed:
            return ALREADY
        if there.lines != self.before:
            raise stale(_called(self.name, self.id), _before(self.before), _before(there.lines))
        check_newer(there, self.version)
        yield from may_add(self.signer)
        yield from look()
        announce(None)
        path = uploaded(self.sha256)
        yield from _put(path, data)
        yield from _then_delete(path, self.sha256, _run(add_command(self.sha256), "DISM"))
        yield from self._read_back()
        return CHANGED

    @property
    def _known(self) -> Identities:
        return {self.sha256: (self.id, self.version)}

    def _read_back(self) -> Conversation[None]:
        what = _called(self.name, self.id)
        for pause in (*PAUSES, None):
            there: OnThisPc = yield from copies_of(self.id, self._known)
            if there.failed:
                first = there.failed[0]
                node = f" at {first.failing_node}" if first.failing_node else ""
                raise NotProved(
                    f"{what} was added, and {first.name} of it failed: {first.hresult or 'no number'}{node}",
                    next_step="look up the number and the setting, then at the PC's provisioning events",
                )
            if there.has(self.sha256) and there.applied:
                return (yield from self._wins())
            if pause is not None:
                yield Pause(pause)
        if there.has(self.sha256):
            raise StillApplying(
                f"{what} was added and is still being applied", next_step="--resume in a while: it reads back again"
            )
        raise not_proved(what, _after(self.version, self.sha256), _before(there.lines))

    def _wins(self) -> Conversation[None]:
        """Check that policies that should be the package's are, as far as the PC tells."""
        areas = tuple(dict.fromkeys(policy.partition("/")[0] for policy in self.wins))
        if not areas:
            return
        winners = yield from policy_winners(areas)
        if isinstance(winners, Unknown):
            raise NotProved(
                f"{_called(self.name, self.id)} was added; whose policies hold could not be told: {winners.detail}",
                next_step="look at PolicyManager on the PC",
            )
        for winner in known(winners, ()):
            policy = f"{winner.area}/{winner.policy}"
            if policy.lower() in {each.lower() for each in self.wins} and winner.provider != self.id:
                raise NotProved(
                    f"{_called(self.name, self.id)} was added, and {policy} is that of {winner.provider}",
                    next_step="find out who sets it: a package of higher precedence, or a device management",
                )

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> AddPackage:
        """Read back the fields."""
        return cls(**_tuples(fields, "before", "wins", "effects"))


@register
@dataclass(frozen=True)
class RemovePackage(Step):
    """A provisioning package is removed by its id. Most of what it set stays."""

    kind: ClassVar[str] = "package-remove"
    plan_fields: ClassVar[Mapping[str, Field]] = {
        "name": ANY_TEXT,
        "id": PACKAGE_ID,
        "before": LINES,
        "effects": LINES,
    }
    plan_description = "A provisioning package is removed by its id."
    about: ClassVar[About] = PACKAGES
    in_words = "Uninstall-ProvisioningPackage, by the static script"
    name: str
    id: str
    before: tuple[str, ...]
    """What the PC has of the package: `OnThisPc.lines`."""
    effects: tuple[str, ...] = ()
    """What stays, in words."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the package."""
        return (Property(_called(self.name, self.id), _before(self.before), "absent"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: a static script gets the id on its standard input."""
        return ()

    @property
    def undo(self) -> Step | None:
        """Nothing: the package has to be added again from its file."""
        return None

    def text_diff(self) -> tuple[str, ...]:
        """Return what stays, in words."""
        return self.effects

    def diff_encoding(self) -> str:
        """Return what the lines are about."""
        return f"what removing {self.name or self.id} leaves"

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Remove the package if it is still what was seen, and read back that it is gone."""
        there: OnThisPc = yield from copies_of(self.id, self._known)
        if not there.lines:
            return ALREADY
        if there.lines != self.before:
            raise stale(_called(self.name, self.id), _before(self.before), _before(there.lines))
        yield from may_remove()
        yield from look()
        announce(None)
        yield from _by_script(REMOVE_PACKAGE, f"removing {_called(self.name, self.id)}", id=self.id)
        for pause in (*PAUSES, None):
            there = yield from copies_of(self.id, self._known)
            if not there.lines:
                return CHANGED
            if pause is not None:
                yield Pause(pause)
        raise not_proved(_called(self.name, self.id), "absent", _before(there.lines))

    @property
    def _known(self) -> Identities:
        found = [re.fullmatch(r"(.*) \(SHA-256 ([0-9a-f]{64})\)", line, re.DOTALL) for line in self.before]
        return {each.group(2): (self.id, each.group(1)) for each in found if each is not None}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> RemovePackage:
        """Read back the fields."""
        return cls(**_tuples(fields, "before", "effects"))


@register
@dataclass(frozen=True)
class SetTrustedProvisioner(Step):
    """Whether Windows trusts the packages that a certificate signs."""

    kind: ClassVar[str] = "trusted-provisioner"
    plan_fields: ClassVar[Mapping[str, Field]] = {
        "thumbprint": THUMBPRINT,
        "subject": ANY_TEXT,
        "certificate": BASE64,
        "present": BOOLEAN,
    }
    plan_description = "A certificate is made one whose provisioning packages Windows trusts, or is one no more."
    about: ClassVar[About] = PACKAGES
    in_words = "Install-TrustedProvisioningCertificate or Uninstall-TrustedProvisioningCertificate, by a static script"
    thumbprint: str
    """SHA-1 of the certificate, in lower case."""
    subject: str
    certificate: str
    """The certificate, base64 of DER: it is added, or added again by an undo; empty if it is not known."""
    present: bool

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the certificate."""
        words = ("not trusted", "trusted")
        name = f"trusted provisioner {self.subject or self.thumbprint} ({self.thumbprint})"
        return (Property(name, words[not self.present], words[self.present]),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: a static script gets its parameters on its standard input."""
        return ()

    @property
    def undo(self) -> Step | None:
        """The opposite change; nothing if the certificate is not known."""
        if not self.certificate:
            return None
        return SetTrustedProvisioner(self.thumbprint, self.subject, self.certificate, not self.present)

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Install or remove the certificate, and read back whether it is trusted."""
        if (yield from self._trusted()) == self.present:
            return ALREADY
        yield from look()
        announce(None)
        what = f"{'trusting' if self.present else 'no longer trusting'} {self.thumbprint}"
        if self.present:
            content = b64decode(self.certificate)
            path = uploaded(sha256(content), "cer")
            yield from _put(path, content)
            yield from _then_delete(path, sha256(content), _by_script(TRUST_CERTIFICATE, what, path=path))
        else:
            yield from _by_script(DISTRUST_CERTIFICATE, what, thumbprint=self.thumbprint)
        if (yield from self._trusted()) != self.present:
            shown = self.properties[0]
            raise not_proved(shown.name, shown.after, shown.before)
        return CHANGED

    def _trusted(self) -> Conversation[bool]:
        found: Reading[tuple[str, ...]] = yield from trusted_provisioners()
        if isinstance(found, Unknown):
            raise HostError(
                f"could not tell whom the PC trusts: {found.detail or found.cause}",
                next_step="look at the account's rights",
            )
        return self.thumbprint in known(found, ())


NOT_REVERTED = (
    "- Windows removes the package; it takes back only some kinds of settings",
    "- accounts, the computer name, joins, policies and what commands did stay as they are",
)
"""What an undo of an added package says. Source: Microsoft, "Settings changed when you uninstall a package"."""


def uploaded(digest: str, extension: str = "ppkg") -> str:
    """Return where a file with this SHA-256 is put while it is needed."""
    return f"{FOLDER}\\provmode-{digest}.{extension}"


def add_command(digest: str) -> CommandLine:
    """Return the command that adds the package whose file was put there."""
    return CommandLine(f'DISM.exe /Online /Add-ProvisioningPackage /PackagePath:"{uploaded(digest)}"')


def check_newer(there: OnThisPc, version: str) -> None:
    """Check that the PC has no newer version of a package.

    Raises:
        HostError: it has one, or it could not be told which is newer.
    """
    for copy in there.copies:
        if copy.version == version:
            continue
        own, other = version_of(version), version_of(copy.version)
        if own is None or other is None:
            raise HostError(
                f"could not tell whether the version {copy.version!r:.40} there is newer than {version!r:.40}",
                next_step="give packages versions of one to four numbers",
            )
        if other > own:
            raise HostError(
                f"the PC has the newer version {copy.version}", next_step="put the newer package into the inventory"
            )


def may_add(signer: str, *, trusting: Collection[str] = ()) -> Conversation[None]:
    """Check that policies let a package be added that was signed by *signer* (a thumbprint; empty: by nobody).

    *trusting* are thumbprints that the PC will trust by then.

    Raises:
        HostError: they do not, or it could not be told.
    """
    policies = yield from package_policies()
    if _allowed(policies.allow_add, "AllowAddProvisioningPackage", default=True) is False:
        raise HostError(
            "a policy forbids adding packages (AllowAddProvisioningPackage)", next_step="change the policy first"
        )
    if not _allowed(policies.signature_required, "RequireProvisioningPackageSignature", default=False):
        return
    if not signer:
        raise HostError(
            "a policy requires signed packages (RequireProvisioningPackageSignature), and this one is unsigned",
            next_step="sign the package",
        )
    if signer in trusting:
        return
    trusted = yield from trusted_provisioners()
    if isinstance(trusted, Unknown):
        raise HostError(
            f"could not tell whom the PC trusts: {trusted.detail or trusted.cause}",
            next_step="look at the account's rights",
        )
    if signer not in known(trusted, ()):
        raise HostError(
            f"a policy requires signed packages, and the PC does not trust the signer of this one ({signer})",
            next_step="make the signer a trusted provisioner first (provmode_trusted_provisioners)",
        )


def may_remove() -> Conversation[None]:
    """Check that policies let packages be removed.

    Raises:
        HostError: they do not, or it could not be told.
    """
    policies = yield from package_policies()
    if _allowed(policies.allow_remove, "AllowRemoveProvisioningPackage", default=True) is False:
        raise HostError(
            "a policy forbids removing packages (AllowRemoveProvisioningPackage)", next_step="change the policy first"
        )


def _allowed(reading: Reading[bool], name: str, *, default: bool) -> bool:
    if isinstance(reading, Unknown):
        raise HostError(
            f"could not tell what the policy {name} says: {reading.detail or reading.cause}",
            next_step="look at the account's rights",
        )
    return reading.value if isinstance(reading, Known) else default


def _put(path: str, data: bytes) -> Conversation[None]:
    """Put a file there. One that an earlier run left is used if it is the same; another is deleted first."""
    there = yield from file_hash(path)
    if there == sha256(data):
        return
    if there is not None:
        yield from delete_file(path, expected=there)
    yield from swap_file(path, data, expected=None)


def _then_delete(path: str, digest: str, work: Conversation[None]) -> Conversation[None]:
    """Do *work* with an uploaded file, and delete that file whatever came of it: it may hold secrets.

    Raises:
        HostError: the work failed, or the file stayed.
    """
    failed: HostError | None = None
    try:
        yield from work
    except HostError as error:
        failed = error
    try:
        yield from delete_file(path, expected=digest)
    except StaleFile:
        pass  # an earlier request deleted it, and its answer was lost
    except HostError as error:
        what = f"{path} could not be deleted: {error.what}"
        raise HostError(f"{failed.what}; {what}" if failed else what, next_step="delete it on the PC") from None
    if failed is not None:
        raise failed


def _run(command: CommandLine, program: str) -> Conversation[None]:
    """Run a command. A lost answer is not a failure: the caller reads back.

    Raises:
        HostError: it failed; the message has its number.
    """
    try:
        completed: Completed = yield command
    except AnswerLost:
        return
    if completed.exit_code not in (0, RESTART_NEEDED):
        raise HostError(
            f"{program} refused it: 0x{completed.exit_code & 0xFFFFFFFF:08X}",
            next_step="look up the number, then at the PC's provisioning events",
        )


def _by_script(script: str, what: str, **parameters: Any) -> Conversation[None]:
    """Run a static script. A lost answer is not a failure: the caller reads back.

    Raises:
        HostError: the cmdlet refused it; the message has its HRESULT.
    """
    try:
        completed: Completed = yield script_line(script, **parameters)
    except AnswerLost:
        return
    answer = script_answer(completed, what)
    if answer.get("result") == "refused":
        number = answer.get("hresult")
        shown = f"0x{number & 0xFFFFFFFF:08X}" if isinstance(number, int) else "no number"
        raise HostError(
            f"{what}: Windows refused it: {shown} ({shortened(str(answer.get('type')), 60)})",
            next_step="look up the number, then at the PC's provisioning events",
        )
    if answer.get("result") != "done":
        raise HostError(f"{what}: the script did not say that it is done", next_step="look at the PC")


def _called(name: str, id_: str) -> str:
    return f"package {name} {id_}" if name else f"package {id_}"


def _before(lines: Sequence[str]) -> str:
    return ", ".join(lines) if lines else "absent"


def _after(version: str, digest: str) -> str:
    return f"{version} (SHA-256 {digest}), applied"


def _tuples(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**fields, **{name: tuple(fields[name]) for name in names}}
