"""Planning which packages are added to the PCs of a fleet and removed from them. Changes nothing."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from provmode.ccm.policy import Policy
from provmode.errors import UsageError
from provmode.fleet.audit import named
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.looking import Answered, Looker
from provmode.fleet.packages.local_file import read_local
from provmode.fleet.plan import Planned, answered, run_plan, take_waivers
from provmode.fleet.progress import SILENT, Progress
from provmode.fleet.step_files import check_size, read_whole
from provmode.fleet.visit import Runner, never, short
from provmode.packages.wanted import PACKAGES, PROVISIONERS, WantedProvisioner, wanted_packages, wanted_provisioners
from provmode.remediation.packages import PackageFile, PackagesRead, Wanted, plan_packages
from provmode.remediation.steps import SetTrustedProvisioner
from provmode.remediation.steps.package import PACKAGE_ID
from provmode.remediation.steps.trusted_provisioner import BASE64
from provmode.transport.session import Session
from provmode.waivers.model import NONE, Waivers


@dataclass(frozen=True)
class PackagesQuestion:
    """The question of a plan about packages: what differs from what the inventory wants?"""

    wanted: Mapping[str, Wanted | None]
    """What each host should have, by its name in the inventory; ``None`` if its data says nothing of packages."""
    read: PackagesRead
    """The packages that were read so far: those of this computer, and those of PCs."""

    def ask(self, session: Session, host: str, policy: Policy, now: Callable[[], datetime]) -> Answered:
        """Look at the PC's packages; see `Question`."""
        return answered(session.converse(plan_packages(now, policy, self.wanted.get(host), self.read)))


def plan_packages_of(
    inventory: str | InventorySource,
    *,
    now: Callable[[], datetime],
    limit: Sequence[str] = (),
    exclude: Sequence[str] = (),
    override: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
    stop: Callable[[], bool] = never,
    runner: Runner | None = None,
    looker: Looker | None = None,
    waivers: Waivers = NONE,
) -> Planned:
    """Look at the hosts of an inventory and return a plan that brings their packages to what their data names.

    Hosts whose data says nothing of packages are left alone, and so are those that *waivers* hold.

    Raises:
        UsageError: the inventory, or a file that it names, cannot be used; nothing was sent.
    """
    fleet = load(inventory, override=override)
    chosen = fleet.choose(limit, exclude)
    files = Files()
    wanted = {name: wanted_of(fleet, name, files) for name in chosen.names}
    if not any(wanted.values()):
        raise UsageError(
            f"no host of {named(inventory)} says which packages it should have",
            next_step=f"write {PACKAGES} or {PROVISIONERS} into the data of its hosts",
        )
    question = PackagesQuestion(wanted, PackagesRead({each.sha256: each.package for each in files.packages}))
    planned = run_plan(
        *(fleet, chosen.names),
        now=now,
        progress=progress,
        stop=stop,
        runner=runner,
        looker=looker,
        question=question,
        about="packages",
    )
    planned.audit.about(named(inventory), limit, exclude, chosen)
    take_waivers(planned, fleet, waivers, now())
    return planned


def wanted_of(fleet: Fleet, name: str, files: Files) -> Wanted | None:
    """Return what a host should have; ``None`` if its data says nothing of packages.

    Raises:
        UsageError: its data, or a file that it names, cannot be used.
    """
    data, where = fleet.data_of(name), f"data of {short(name)}"
    packages, provisioners = wanted_packages(data, where), wanted_provisioners(data, where)
    if packages is None and provisioners is None:
        return None
    there = tuple(files.package(each.file) for each in packages or () if each.file)
    ids = [each.package.metadata.id for each in there] + [each.id for each in packages or () if each.id]
    twice = next((id_ for id_ in ids if ids.count(id_) > 1), None)
    if twice is not None:
        raise UsageError(f"{where}: {PACKAGES} names the package {twice} twice")
    trust = tuple(files.provisioner(each, where) for each in provisioners or ())
    thumbprints = [each.thumbprint for each in trust]
    twice = next((each for each in thumbprints if thumbprints.count(each) > 1), None)
    if twice is not None:
        raise UsageError(f"{where}: {PROVISIONERS} names the certificate {twice} twice")
    return Wanted(
        there,
        tuple(each.id for each in packages or () if not each.present),
        tuple((each.id, each.version, each.sha256) for each in packages or () if each.present and not each.file),
        trust,
    )


class Files:
    """The files of this computer that an inventory names, each read once."""

    def __init__(self) -> None:
        self._packages: dict[str, PackageFile] = {}
        self._certificates: dict[str, x509.Certificate] = {}

    @property
    def packages(self) -> tuple[PackageFile, ...]:
        """The packages that were read."""
        return tuple(self._packages.values())

    def package(self, file: str) -> PackageFile:
        """Return the package in a file.

        Raises:
            UsageError: it cannot be read, or is too large to be put on a PC.
        """
        if file not in self._packages:
            path = Path(file).absolute()
            check_size(path)
            local = read_local(path)
            if not PACKAGE_ID.accepts(local.package.metadata.id):
                raise UsageError(
                    f"{path}: its id {local.package.metadata.id!r:.60} is not one that Windows gives",
                    next_step="build the package again from its project",
                )
            self._packages[file] = PackageFile(str(path), local.sha256, local.package)
        return self._packages[file]

    def provisioner(self, wanted: WantedProvisioner, where: str) -> SetTrustedProvisioner:
        """Return the step that makes a certificate trusted, or takes that back.

        Raises:
            UsageError: its file cannot be read, or there is none and it should be trusted.
        """
        if not wanted.file:
            if wanted.present:
                raise UsageError(
                    f"{where}: {PROVISIONERS} names {wanted.thumbprint} without its file, and Windows needs the "
                    "certificate to trust it",
                    next_step='write {"file": "..."}',
                )
            return SetTrustedProvisioner(wanted.thumbprint, "", "", present=False)
        certificate = self._certificate(wanted.file)
        content = b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
        if not BASE64.accepts(content):
            raise UsageError(f"{wanted.file}: the certificate is too large to be put on a PC")
        thumbprint = certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - Windows names certificates by it
        subject = certificate.subject.rfc4514_string()
        return SetTrustedProvisioner(thumbprint, subject, content, wanted.present)

    def _certificate(self, file: str) -> x509.Certificate:
        if file not in self._certificates:
            data = read_whole(Path(file))
            load_it = x509.load_pem_x509_certificate if b"-----BEGIN" in data else x509.load_der_x509_certificate
            try:
                self._certificates[file] = load_it(data)
            except ValueError:
                raise UsageError(f"{file} is not a certificate (DER or PEM)") from None
        return self._certificates[file]
