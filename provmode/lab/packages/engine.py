r"""What provisioning does on a lab PC: packages are added, applied and removed.

Documented and followed: adding keeps a copy in ``%ProgramData%\Microsoft\Provisioning``; the owner, then the rank
decide whose value of a policy holds (by altitude); settings of power fail with 0xC0000061 once Windows is set up; the
policies of Security refuse adding, removing and unsigned packages; removing reverts no policy, account or command.

Known from the field and followed: a package that was applied is not applied again, which is said nowhere.

Unknown, so chosen here: a package of an id that is there in the same or a newer version changes nothing and succeeds;
a newer one is applied over it, and the older kept file stays under its name. Of two packages of one altitude the one
applied last wins. A value of another provider, such as MDM, stays. A package in the image is applied from there, and
stays there. Refusals have the HRESULT that Windows has for such a thing. The settings are applied before the program
that adds ends; the commands run behind it, one after the other. After removing, results and package information are
gone; that it was applied stays known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from cryptography import x509

from provmode.lab.packages import traces, trust
from provmode.lab.packages.admission import ACCESS_DENIED, admitted, data_of, read_file
from provmode.lab.packages.reader import INVALID_DATA, Compiled, Read, Unreadable, read
from provmode.lab.windows.provisioning import PENDING, Outcome, PackageFacts, ProvisioningFailed
from provmode.lab.windows.state import PcState
from provmode.lab.windows.store import HKLM, RegType

KEPT = "C:\\ProgramData\\Microsoft\\Provisioning"
IMAGE = "C:\\Windows\\Provisioning\\Packages"
NOT_FOUND = 0x80070490
POWER = 0xC0000061
"""STATUS_PRIVILEGE_NOT_HELD: an administrator may not apply power settings (Microsoft, "Diagnose provisioning
packages")."""
REVERTIBLE = {
    *("Browser", "Certificates", "ConnectivityProfiles", "CountryAndRegion", "Maps", "Power", "TabletMode"),
    *("UniversalAppInstall", "AppLocker"),
}
"""Groups of settings that removing reverts: Microsoft, "Settings changed when you uninstall a provisioning package"."""


@dataclass
class Faults:
    """What goes wrong on a PC."""

    add: int = 0
    """The HRESULT with which every package is refused; 0: none is."""
    remove: int = 0
    categories: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """HRESULT and node of each category that fails."""


@dataclass
class _Applied:
    """A package on the PC."""

    read: Read
    path: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)


@dataclass(frozen=True)
class _Step:
    """One thing that is left to do."""

    due: datetime
    do: Callable[[datetime], None]


class Engine:
    """The provisioning of one PC."""

    COMMAND_SECONDS = 20.0
    """How long a command of a package runs, if nothing else is said."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.command_time = timedelta(seconds=self.COMMAND_SECONDS)
        self._packages: dict[str, _Applied] = {}
        """By id in lower case, in the order in which they were applied."""
        self._removed: set[str] = set()
        self._steps: list[_Step] = []

    def tick(self, pc: PcState) -> None:
        """Do what is due by the PC's own clock."""
        now = pc.now()
        while self._steps and self._steps[0].due <= now:
            step = self._steps.pop(0)
            step.do(step.due)

    # -- questions --------------------------------------------------------------------------------------------

    def facts(self, pc: PcState, path: str) -> PackageFacts:
        """Return what a file holds."""
        found = read_file(pc, path)
        there = self._there(pc, found.id)
        return _facts(found, path, installed=there is not None and there.read.version == found.version)

    def installed(self, pc: PcState) -> Sequence[PackageFacts]:
        """Return the packages that are applied, in the order in which they were."""
        found = [each for each in self._packages.values() if self._there(pc, each.read.id) is not None]
        return [_facts(each.read, each.path, installed=True, outcomes=tuple(each.outcomes.values())) for each in found]

    def _there(self, pc: PcState, package_id: str) -> _Applied | None:
        if not pc.registry.key_exists(HKLM, f"{traces.KEY}\\PackageInfo\\{package_id}"):
            return None
        return self._packages.get(package_id.lower())

    # -- adding -----------------------------------------------------------------------------------------------

    def add(self, pc: PcState, path: str, *, force: bool = False, when: datetime | None = None) -> PackageFacts:
        """Apply the package in a file as at *when*, now if it is not given; *force*: also if it is there already."""
        now = when or pc.now()
        traces.event(pc, 60, now, PackagePath=path)
        try:
            if self.faults.add:
                raise ProvisioningFailed(self.faults.add)
            found = admitted(pc, path)
        except ProvisioningFailed as error:
            traces.event(pc, 62, now, PackagePath=path, HRESULT=f"0x{error.code:08x}")
            raise
        there = self._there(pc, found.id)
        is_older = there is not None and _number(found.version) < _number(there.read.version)
        is_known = traces.is_applied(pc.registry, found.id) and not (
            there is not None and _number(found.version) > _number(there.read.version)
        )
        if not force and (is_older or is_known):
            traces.event(pc, 23, now, PackageName=found.name, PackageId=found.id)
            traces.event(pc, 61, now, PackagePath=path)
            return _facts(found, path, installed=there is not None)
        kept = self._keep(pc, path, now)
        applied = _Applied(found, kept)
        self._packages.pop(found.id.lower(), None)
        self._packages[found.id.lower()] = applied
        self._removed.discard(traces.provider_of(found.id))
        self._begin(pc, applied, now)
        traces.event(pc, 61, now, PackagePath=kept)
        return _facts(found, kept, installed=True, outcomes=tuple(applied.outcomes.values()))

    def _keep(self, pc: PcState, path: str, now: datetime) -> str:
        """Keep a copy of the file, unless it is in the image; return the path of what is kept."""
        if path.lower().startswith(f"{IMAGE}\\".lower()):
            return path
        kept = f"{KEPT}\\{path.rpartition(chr(92))[2]}"
        if kept.lower() != path.lower():
            pc.files.write(kept, data_of(pc, path), now)
        return kept

    def _begin(self, pc: PcState, applied: _Applied, now: datetime) -> None:
        """Apply the settings, and have the commands run behind them."""
        found = applied.read
        traces.event(pc, 20, now, PackageName=found.name, PackageId=found.id)
        pc.registry.create_key(HKLM, f"{traces.KEY}\\PackageInfo\\{found.id}")
        if _number_of(pc, "SYSTEM\\Setup", "OOBEInProgress"):
            pc.registry.set(HKLM, f"{traces.KEY}\\OOBEPackage", "PackageId", RegType.SZ, found.id)
        key = traces.results_key(found.id)
        pc.registry.set(HKLM, key, "PackageFileName", RegType.SZ, applied.path.rpartition("\\")[2])
        for path, content in found.assets.items():
            pc.files.write(f"{KEPT}\\AssetCache\\{found.id}\\{path.rpartition('/')[2]}", content, now)
        files: dict[tuple[str, str], list[Compiled]] = {}
        for setting in found.settings:
            if setting.stage == "RunTime" and not setting.conditional:  # users, SIM cards: nobody is there
                files.setdefault((setting.stage, setting.xml), []).append(setting)
        due, later = now, []
        for settings in files.values():
            if settings[0].path[0] == "ProvisioningCommands":
                self._note(pc, applied, settings, PENDING)
                later.append(settings)
            else:
                self._apply(pc, applied, settings, now)
        done = set[str]()
        for settings in later:
            context, number = settings[0].path[1], _command_of(settings[0])
            if f"{context}{number}" not in done:  # a command has several settings
                done.add(f"{context}{number}")
                due += self.command_time
                traces.write_command(pc.registry, context, found.id, number, traces.COMMAND_RUNS)
            self._steps.append(_Step(due, partial(self._command_ends, pc, applied, settings)))
        self._steps.append(_Step(due, partial(self._end, pc, applied, [xml for _, xml in files])))
        self._steps.sort(key=lambda step: step.due)
        self.tick(pc)

    def _command_ends(self, pc: PcState, applied: _Applied, settings: Sequence[Compiled], when: datetime) -> None:
        if self._packages.get(applied.read.id.lower()) is not applied:
            return  # removed, or applied anew, while it ran
        context, number = settings[0].path[1], _command_of(settings[0])
        traces.write_command(pc.registry, context, applied.read.id, number, traces.COMMAND_ENDED)
        self._apply(pc, applied, settings, when)

    def _end(self, pc: PcState, applied: _Applied, xmls: Sequence[str], when: datetime) -> None:
        found = applied.read
        if self._packages.get(found.id.lower()) is not applied:
            return
        failed = [outcome for outcome in applied.outcomes.values() if outcome.code >= 2**31]
        if failed:
            code = f"0x{failed[-1].code:08x}"
            traces.event(pc, 22, when, PackageName=found.name, PackageId=found.id, HRESULT=code)
            return
        traces.write_applied(pc.registry, found.id, xmls)
        traces.event(pc, 21, when, PackageName=found.name, PackageId=found.id)

    def _apply(self, pc: PcState, applied: _Applied, settings: Sequence[Compiled], when: datetime) -> None:
        category = settings[0].category
        code, node = self.faults.categories.get(category, (0, ""))
        if category == "Power" and not _number_of(pc, "SYSTEM\\Setup", "OOBEInProgress"):
            code, node = POWER, "/".join(settings[0].path)
        traces.event(pc, 10, when, Category=category, PackageId=applied.read.id)
        if code == 0:
            for setting in settings:
                self._set(pc, applied.read, setting)
            traces.event(pc, 11, when, Category=category, PackageId=applied.read.id)
        else:
            node = node or "/".join(settings[0].path)
            traces.event(pc, 12, when, Category=category, HRESULT=f"0x{code:08x}", NodePath=node)
        self._note(pc, applied, settings, code, node)

    def _note(self, pc: PcState, applied: _Applied, settings: Sequence[Compiled], code: int, node: str = "") -> None:
        categories = list(dict.fromkeys(setting.category for setting in settings))
        stage, xml = settings[0].stage, settings[0].xml
        failures = traces.write_result(pc.registry, applied.read.id, stage, xml, categories, code, node)
        applied.outcomes[xml] = Outcome(xml, categories[0], code, failures, node)

    def _set(self, pc: PcState, found: Read, setting: Compiled) -> None:
        provider = traces.provider_of(found.id)
        if setting.path[:2] == ("Policy", "Config") and len(setting.path) == 4:
            area, policy = setting.path[2:]
            want = partial(traces.want_policy, pc.registry, provider, area, policy, is_number=setting.is_number)
            want(setting.value)
            if self._wins(pc, found, area, policy):
                traces.set_policy(pc.registry, provider, area, policy, setting.value, is_number=setting.is_number)
        elif setting.category in REVERTIBLE:
            key = f"{traces.TRACKED}\\{provider}\\{setting.category}"
            pc.registry.set(HKLM, key, "/".join(setting.path), RegType.SZ, "1")

    def _wins(self, pc: PcState, found: Read, area: str, policy: str) -> bool:
        """Return whether a package's value of a policy holds against that which is there."""
        holder = traces.winner(pc.registry, area, policy)
        if holder is None or holder in self._removed or holder == traces.provider_of(found.id):
            return True
        other = self._packages.get(f"{{{holder}}}")
        return other is not None and other.read.altitude <= found.altitude

    # -- removing ---------------------------------------------------------------------------------------------

    def remove(self, pc: PcState, package_id: str) -> PackageFacts:
        """Remove a package; what it had set is reverted only in part."""
        now, package_id = pc.now(), f"{{{package_id.strip('{}')}}}"
        traces.event(pc, 63, now, PackageId=package_id)
        there = self._there(pc, package_id)
        code = self.faults.remove or (NOT_FOUND if there is None else 0)
        if not code and traces.forbids(pc.registry, "AllowRemoveProvisioningPackage"):
            code = ACCESS_DENIED
        if code or there is None:
            traces.event(pc, 65, now, PackageId=package_id, HRESULT=f"0x{code:08x}")
            raise ProvisioningFailed(code)
        for name in pc.files.listdir(KEPT) or []:
            if name.lower().endswith(".ppkg") and _id_of(pc.files.read(f"{KEPT}\\{name}")) == there.read.id.lower():
                pc.files.delete(f"{KEPT}\\{name}")
        for key in (
            f"{traces.KEY}\\PackageInfo\\{there.read.id}",
            traces.results_key(there.read.id),
            f"{traces.TRACKED}\\{traces.provider_of(there.read.id)}",
        ):
            traces.remove_tree(pc.registry, key)
        del self._packages[there.read.id.lower()]
        self._removed.add(traces.provider_of(there.read.id))
        traces.event(pc, 64, now, PackageId=there.read.id)
        return _facts(there.read, there.path, installed=False)

    # -- trust ------------------------------------------------------------------------------------------------

    def trust(self, pc: PcState, path: str) -> str:
        """Trust the certificate in a file, in DER or PEM; return its thumbprint."""
        data = data_of(pc, path)
        load = x509.load_pem_x509_certificate if data.startswith(b"-----") else x509.load_der_x509_certificate
        try:
            return trust.trust(pc.registry, load(data))
        except ValueError:
            raise ProvisioningFailed(INVALID_DATA) from None

    def distrust(self, pc: PcState, thumbprint: str) -> None:
        """Trust a certificate no longer."""
        if not trust.distrust(pc.registry, thumbprint):
            raise ProvisioningFailed(NOT_FOUND)

    def trusted(self, pc: PcState) -> Mapping[str, bytes]:
        """Return the trusted certificates in DER by thumbprint."""
        return trust.trusted(pc.registry)


def _facts(found: Read, path: str, *, installed: bool, outcomes: Sequence[Outcome] = ()) -> PackageFacts:
    facts = PackageFacts(found.id, found.name, found.version, found.owner, found.rank, found.altitude, path)
    return replace(
        facts, description=found.description, notes=found.notes, installed=installed, outcomes=tuple(outcomes)
    )


def _number(version: str) -> tuple[int, ...]:
    """Return a version to compare: ``1.0`` and ``1.00`` are one."""
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in version.split("."))


def _number_of(pc: PcState, key: str, name: str) -> int:
    value = pc.registry.get(HKLM, key, name)
    return value.data if value is not None and isinstance(value.data, int) else 0


def _command_of(setting: Compiled) -> str:
    """Return the number of the command that a setting is of; the one of DeviceContext has none."""
    return setting.path[3] if len(setting.path) > 4 else "0"


def _id_of(data: bytes | None) -> str:
    try:
        return read(data or b"").id.lower()
    except Unreadable:
        return ""
