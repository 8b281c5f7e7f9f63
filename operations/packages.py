"""Provisioning packages: one is there or not, and whose packages Windows trusts."""

from __future__ import annotations

import functools
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api import OperationError, operation
from typing_extensions import override

from facts.base import ReadingFact
from facts.packages import TrustedProvisioners
from operations.client import idle_look, refuse_if_at_work
from operations.step import Commands, carry_out, isolated, known_or_absent
from provmode.connector.commands import ConversationCommand
from provmode.errors import ProvmodeError
from provmode.packages.container import of_bytes
from provmode.packages.container.certificates import certificate_of
from provmode.packages.on_pc.model import package_id
from provmode.packages.read import read_package
from provmode.reading import Reading, known
from provmode.remediation.package_rules import check_size
from provmode.remediation.packages import PackageFile, PackageSteps, Wanted, look_at_packages
from provmode.remediation.steps import SetTrustedProvisioner, step_from_json
from provmode.windows.conversation import Conversation
from provmode.windows.files import MAX_SIZE
from provmode.windows.files import sha256 as _hash
from provmode.windows.system import OPERATING_SYSTEM


@operation()
@isolated
def present(
    file: str = "", id: str = "", version: str = "", sha256: str = "", trusting: Sequence[str] = ()
) -> Commands:
    """
    Make a provisioning package be there: with the id, version and bytes of a file of this computer.

    + file: the package (``.ppkg``) on this computer, 32 MB at most; relative to the working directory
    + id: without a file: the package's id; it is checked whether the package is there, and nothing is added
    + version: without a file: its version
    + sha256: without a file: the hash of its file
    + trusting: thumbprints of signers whom an operation before this one makes trusted

    Changes what the package says, as the dry run shows with ``--diff``: settings with the values that policies have
    now, values that would not hold and why, commands, which run as SYSTEM, and what a removal would not take back. The
    file is put on the PC, added by DISM, and deleted again. The operation succeeds when Windows kept its own copy, says
    that all of it was applied, and the policies are the package's. What is still being applied after two minutes is not
    called done. Undone by `absent`, as far as Windows takes settings back.

    The operation refuses a PC on which Windows Setup, a task sequence or an upgrade runs, a policy that forbids adding
    packages or unsigned ones, a package that is older than the one there, that was changed behind its signature, or
    that is encrypted, and a PC that does not tell what it has.

    .. code:: python

        packages.present(name="Kiosk settings", file="packages/kiosk.ppkg")
    """
    if file:
        if id or version or sha256:
            raise ValueError(f"{file} says its own id, version and sha256: leave them out")
        package, data = _package(file)
        trusted = tuple(sorted(each.lower() for each in trusting))
        yield from _bring(f"{package.package} is there", data, file=file, trusting=trusted)
    elif not (id and version and sha256):
        raise ValueError("name the package's file, or its id, version and sha256 together")
    else:
        checked = (_id(id), version, sha256.lower())
        yield from _bring(f"{checked[0]} {version} is there", checked=checked)


@operation()
@isolated
def absent(id: str) -> Commands:
    """
    Make a provisioning package not be there.

    + id: the package's id: ``{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}``

    Changes what Windows takes back: the package is removed by ``Uninstall-ProvisioningPackage``, and of its settings
    only some kinds go. The dry run shows with ``--diff`` what stays: accounts, the computer name, policies, and what
    commands did. Undone by `present`, from the package's file.

    The operation refuses a PC on which Windows Setup, a task sequence or an upgrade runs, a policy that forbids
    removing packages, and a PC that does not tell what it has.

    .. code:: python

        packages.absent(name="No kiosk settings", id="{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}")
    """
    yield from _bring(f"{_id(id)} is not there", absent=_id(id))


@operation()
@isolated
def trusted_provisioner(file: str = "", thumbprint: str = "", present: bool = True) -> Commands:
    """
    Make Windows trust the packages that a certificate signs, or trust them no longer.

    + file: the certificate on this computer, DER or PEM
    + thumbprint: instead of the file, to trust it no longer: SHA-1 of the certificate
    + present: True: trusted; False: not trusted

    Changes the PC's store of trusted provisioners. Undone by the opposite, which needs the file. The operation refuses
    a PC on which Windows Setup, a task sequence or an upgrade runs, and one that does not tell whom it trusts.

    .. code:: python

        packages.trusted_provisioner(name="Our packages", file="packages/signer.cer")
    """
    if bool(file) == bool(thumbprint):
        raise ValueError("name the certificate's file or its thumbprint, one of both")
    step = certificate_step(file, present=present) if file else _without_file(thumbprint, present=present)
    trusted = known(known_or_absent(host.get_fact(TrustedProvisioners), "the trusted provisioners"), ())
    if (step.thumbprint in trusted) == present:
        host.noop(f"{step.subject or step.thumbprint} is {'' if present else 'not '}trusted")
        return
    if present and not step.certificate:
        raise ValueError(f"{step.thumbprint} is not trusted, and Windows needs the certificate: name its file")
    refuse_if_at_work()
    yield from carry_out(step, look=idle_look())


def certificate_step(file: str, *, present: bool) -> SetTrustedProvisioner:
    """Return the step that makes the certificate in a file of this computer trusted, or takes that back.

    Raises:
        ValueError: the file is no certificate.
        OSError: it cannot be read.
    """
    data = _read(file)
    pem = re.search(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", data, re.DOTALL)
    try:
        der = b64decode(pem.group(1)) if pem is not None else data
    except ValueError:
        der = b""
    certificate = certificate_of(der)
    if certificate is None:
        raise ValueError(f"{file} is not a certificate (DER or PEM)")
    content = b64encode(der).decode("ascii")
    return SetTrustedProvisioner(certificate.sha1.lower(), certificate.subject, content, present)


def thumbprints(files: Sequence[str]) -> tuple[str, ...]:
    """Return the thumbprints of the certificates in files of this computer; other files are left out."""
    found = []
    for file in files:
        try:
            found.append(certificate_step(file, present=True).thumbprint)
        except (ProvmodeError, ValueError, OSError):
            continue  # `trusted_provisioner` says what is wrong with it, for each host
    return tuple(found)


def _without_file(thumbprint: str, *, present: bool) -> SetTrustedProvisioner:
    digits = "".join(thumbprint.replace(":", "").split()).lower()
    if len(digits) != 40 or set(digits) - set("0123456789abcdef"):
        raise ValueError(f"{thumbprint!r:.60} is not a thumbprint of 40 hexadecimal digits")
    return SetTrustedProvisioner(digits, "", "", present)


class _Steps(ReadingFact[PackageSteps]):
    """The steps that bring a PC to what it should have."""

    @override
    def command(
        self, file: str = "", trusting: Sequence[str] = (), checked: Sequence[str] = (), absent: str = ""
    ) -> ConversationCommand:
        def converse() -> Conversation[Reading[PackageSteps]]:
            wanted = Wanted(
                (_package(file)[0],) if file else (),
                (absent,) if absent else (),
                ((checked[0], checked[1], checked[2]),) if checked else (),
            )
            return look_at_packages(wanted, trusting)

        return self.converse(converse, OPERATING_SYSTEM)

    @override
    def value(self, document: Any) -> PackageSteps:
        return PackageSteps(tuple(map(step_from_json, document["steps"])), tuple(document["left"]))


def _bring(noop: str, data: bytes | None = None, **wanted: Any) -> Commands:
    """Bring the PC to what is *wanted*: the arguments of `_Steps`.

    Raises:
        OperationError: something speaks against it, or the PC does not tell what it has.
    """
    found = known(known_or_absent(host.get_fact(_Steps, **wanted), "the PC's packages"), PackageSteps())
    if found.left:
        raise OperationError("; ".join(found.left))
    if not found.steps:
        host.noop(noop)
        return
    refuse_if_at_work()
    yield from carry_out(*found.steps, data=data, look=idle_look())


@functools.cache
def _package(file: str) -> tuple[PackageFile, bytes]:
    """Return the package in a file of this computer, and its bytes: one file for all hosts.

    Raises:
        HostError, ProvmodeError: it is too large, encrypted, or no package.
        OSError: it cannot be read.
    """
    data = _read(file)
    return PackageFile(file, _hash(data), read_package(of_bytes(data))), data


def _read(file: str) -> bytes:
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file} is not a file of this computer")
    with path.open("rb") as opened:
        data = opened.read(MAX_SIZE + 1)
    check_size(file, data)
    return data


def _id(text: str) -> str:
    found = package_id(text)
    if not found or found.strip("{}") != text.strip().strip("{}").lower():
        raise ValueError(f"{text!r:.60} is not a package's id: write it as {{8-4-4-4-12}}")
    return found
