"""When a package may be added to a PC, or removed: by its size, its version and the PC's policies."""

from __future__ import annotations

from collections.abc import Collection

from provmode.errors import HostError
from provmode.packages.on_pc.copies import OnThisPc
from provmode.packages.on_pc.policies import package_policies, trusted_provisioners
from provmode.packages.versions import version_of
from provmode.reading import Known, Reading, Unknown, known
from provmode.windows.conversation import Conversation
from provmode.windows.files import MAX_SIZE


def check_size(file: str, data: bytes) -> None:
    """Check that a package is small enough to be sent.

    Raises:
        HostError: it is not.
    """
    if len(data) > MAX_SIZE:
        raise HostError(
            f"{file}: {len(data):,} bytes are over the {MAX_SIZE:,} that are sent to a PC",
            next_step="leave large files out of the package, and have a command fetch them",
        )


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
