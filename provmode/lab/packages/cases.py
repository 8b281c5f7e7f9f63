"""The kinds of PC by their packages: what is on them, and what a look at them must find.

Every PC of a fleet is of one kind beside its persona; the kinds change no verdict about provisioning mode. What must be
found is worked out from the kind itself, not from the built PC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from provmode.lab.packages import traces, trust
from provmode.lab.packages.catalogue import Made, made, signer
from provmode.lab.packages.engine import IMAGE, KEPT, Engine, Faults
from provmode.lab.windows.services import Service
from provmode.lab.windows.state import PcState
from provmode.lab.windows.store import HKLM, Drive, DriveType, RegType

INBOX = "inbox"
RECOVERY = "C:\\Recovery\\Customizations"
NO_SUCH_DOMAIN, ALREADY_EXISTS = 0x8007054B, 0x800700B7
_MDM = "6c9a1f30-8d52-4f0b-a7c4-0d1e2f3a4b5c"
"""A provider that is not a package: the enrolment of a device management."""
PUSH_SERVICE = Service("dmwappushservice", "Device Management WAP Push message Routing", "Stopped", "Manual")
"""The engine's helper: it starts it."""
_AGO = timedelta(days=30)


@dataclass(frozen=True)
class Added:
    """A package that was added."""

    package: str
    """Its name in the catalogue."""
    file: str
    is_kept: bool = True
    """The kept copy is still there."""
    folder: str = KEPT
    """Where its file is: in the image, none is copied to where packages are kept."""
    fails: tuple[str, int, str] | None = None
    """Category, HRESULT and node of what failed."""


@dataclass(frozen=True)
class Case:
    """One kind of PC."""

    name: str
    share: float
    """Its share of a fleet, relative to the other kinds."""
    description: str
    added: tuple[Added, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Further files by path: names in the catalogue."""
    trusts_signer: bool = False
    policies: Mapping[str, int] = field(default_factory=dict)
    """Those of the area Security."""
    foreign: tuple[str, str, int] | None = None
    """Area, policy and value that another provider has set before."""
    winners: Mapping[str, str] = field(default_factory=dict)
    """Whose value policies have: the name of a package, or ``mdm``, by ``Area/Policy``."""
    refuses: int = 0
    """The HRESULT with which any further package is refused; 0: none is."""
    is_running: bool = False
    """The commands of what was added still run, for 20 minutes to come."""


def build(pc: PcState, case: Case) -> None:
    """Put the packages of a kind of PC on a PC."""
    engine = Engine()
    pc.packages = engine
    pc.services.put(PUSH_SERVICE)
    if case.trusts_signer:
        trust.trust(pc.registry, signer().certificate)
    if case.foreign is not None:
        area, policy, number = case.foreign
        for write in (traces.want_policy, traces.set_policy):
            write(pc.registry, _MDM, area, policy, str(number), is_number=True)
    when = pc.now() - (timedelta(minutes=1) if case.is_running else _AGO)
    engine.command_time = timedelta(minutes=10.5) if case.is_running else engine.command_time
    for added in case.added:
        path = f"{added.folder if added.folder == IMAGE else 'C:'}\\{added.file}"
        pc.files.write(path, made(added.package).data, when)
        if added.fails is not None:
            engine.faults = Faults(categories={added.fails[0]: added.fails[1:]})
        engine.add(pc, path, when=when)
        engine.faults = Faults()
        if added.folder != IMAGE:
            pc.files.delete(path)
        if not added.is_kept:
            pc.files.delete(f"{KEPT}\\{added.file}")
    engine.command_time = Engine().command_time
    engine.faults = Faults(add=case.refuses)
    for name, value in case.policies.items():
        pc.registry.set(HKLM, traces.SECURITY, name, RegType.DWORD, value)
    for path, name in case.files.items():
        pc.files.write(path, made(name).data, when)
    letters = sorted({path[:2] for path in case.files} - {"C:"})
    pc.drives += [Drive(letter, DriveType.REMOVABLE, "FAT32", 8_004_304_896, "KITTING") for letter in letters]


def truth(case: Case) -> dict[str, Any]:
    """Return what a look at a PC of this kind must find beside the inbox packages."""
    kept = {f"{each.folder}\\{each.file}": each.package for each in case.added if each.is_kept}
    files = [_file(path, made(name)) for path, name in sorted({**kept, **case.files}.items())]
    found: dict[str, Any] = {
        "case": case.name,
        "files": files,
        "applied": [_applied(case, each) for each in case.added],
    }
    if case.trusts_signer:
        found["trusted"] = [signer().thumbprint]
    if case.policies:
        found["policies"] = dict(case.policies)
    if case.refuses:
        found["refuses"] = f"0x{case.refuses:08x}"
    if case.winners:
        found["winners"] = {
            policy: _MDM if name == "mdm" else made(name).provider for policy, name in case.winners.items()
        }
    return found


def _file(path: str, package: Made) -> dict[str, Any]:
    folder = path.rpartition("\\")[0]
    place = {KEPT: "kept", RECOVERY: "reset", IMAGE: "image"}.get(folder, "removable")
    found = {
        "path": path,
        "place": place,
        "id": package.id,
        "name": package.title,
        "version": package.version,
        "sha256": package.sha256,
        "secrets": package.secrets,
    }
    if package.token_ends is not None:
        found["token_ends"] = package.token_ends.isoformat()
    if package.encrypted:
        found["encrypted"] = True
    if package.name in ("signed", "tampered"):
        found["signature"] = {"signer": signer().thumbprint, "intact": package.name == "signed"}
    return found


def _applied(case: Case, added: Added) -> dict[str, Any]:
    package = made(added.package)
    state = "failed" if added.fails is not None else "pending" if case.is_running else "succeeded"
    found: dict[str, Any] = {"id": package.id, "file": added.file, "state": state}
    if added.fails is not None:
        category, code, node = added.fails
        found["failure"] = {"category": category, "code": f"0x{code:08x}", "node": node}
    return found


_BASE_WINS = {"Start/HidePowerButton": "base", "Experience/AllowCortana": "base"}
_BASE = Added("base", "Contoso Base.ppkg")
CASES: tuple[Case, ...] = (
    Case(INBOX, 60, "Windows' own packages and no other"),
    Case("applied", 10, "a package was applied and its file is kept", (_BASE,), winners=_BASE_WINS),
    Case(
        "applied-no-file",
        2,
        "a package was applied and somebody deleted the kept file",
        (Added("base", "Contoso Base.ppkg", is_kept=False),),
        winners=_BASE_WINS,
    ),
    Case(
        "never-applied",
        2,
        "somebody copied a package to where they are kept: nothing has applied it",
        files={
            f"{KEPT}\\Contoso Base.ppkg": "base",
        },
    ),
    Case(
        "failed",
        2,
        "one category of a package failed: the domain to join was not found",
        (Added("join", "Contoso Join.ppkg", fails=("Accounts", NO_SUCH_DOMAIN, "Accounts/ComputerAccount")),),
    ),
    Case(
        "at-reset",
        2,
        "a package will be applied when the PC is reset",
        files={
            f"{RECOVERY}\\Contoso Base.ppkg": "base",
        },
    ),
    Case("secrets", 2, "a kept package holds passwords that can be read", (Added("join", "Contoso Join & Co.ppkg"),)),
    Case("old-token", 1, "a kept package holds a bulk token that has run out", (Added("token", "Enrolment.ppkg"),)),
    Case(
        "signed-trusted",
        2,
        "a package is signed by somebody whom the PC trusts, and the PC takes no unsigned ones",
        (Added("signed", "Contoso Signed.ppkg"),),
        trusts_signer=True,
        policies={"RequireProvisioningPackageSignature": 1},
        winners={"Camera/AllowCamera": "signed"},
    ),
    Case(
        "signed-untrusted",
        2,
        "a package is signed by somebody whom the PC does not trust",
        (Added("signed", "Contoso Signed.ppkg"),),
        winners={"Camera/AllowCamera": "signed"},
    ),
    Case(
        "tampered",
        1,
        "a package was changed behind its signature",
        files={
            f"{KEPT}\\Contoso Signed.ppkg": "tampered",
        },
    ),
    Case(
        "mdm-wins",
        2,
        "a policy has the value of a device management, not that of the package",
        (_BASE,),
        foreign=("Start", "HidePowerButton", 0),
        winners={"Start/HidePowerButton": "mdm", "Experience/AllowCortana": "base"},
    ),
    Case(
        "forbidden",
        2,
        "policies forbid to add and to remove packages",
        (_BASE,),
        policies={"AllowAddProvisioningPackage": 0, "AllowRemoveProvisioningPackage": 0},
        winners=_BASE_WINS,
    ),
    Case(
        "newer",
        2,
        "an older package was updated by a newer one of the same id; both files are kept",
        (Added("base-old", "Contoso Base 1.1.ppkg"), Added("base-new", "Contoso Base 1.10.ppkg")),
        winners={"Start/HidePowerButton": "base", "Experience/AllowCortana": "base"},
    ),
    Case(
        "conflict",
        2,
        "three packages set one policy: the owner, then the rank decides",
        (
            Added("kiosk", "Contoso Kiosk.ppkg"),
            _BASE,
            Added("oem", "Fabrikam Defaults.ppkg"),
            Added("cellular", "Fabrikam Cellular.ppkg"),
        ),
        winners={
            "Start/HidePowerButton": "kiosk",
            "Experience/AllowCortana": "base",
            "Camera/AllowCamera": "oem",
        },
    ),
    Case(
        "many",
        1,
        "five packages were applied, and their files are kept",
        (
            Added("oem", "Fabrikam Defaults.ppkg"),
            Added("cellular", "Fabrikam Cellular.ppkg"),
            _BASE,
            Added("apps", "Contoso Apps.ppkg"),
            Added("kiosk", "Contoso Kiosk.ppkg"),
        ),
        winners={
            "Start/HidePowerButton": "kiosk",
            "Experience/AllowCortana": "base",
            "Camera/AllowCamera": "oem",
        },
    ),
    Case(
        "tie",
        1,
        "two packages of one owner and rank set one policy: who wins is not documented",
        (_BASE, Added("rival", "Contoso Front Desk.ppkg")),
        winners={"Start/HidePowerButton": "rival", "Experience/AllowCortana": "base"},
    ),
    Case(
        "image",
        2,
        "the maker's package is in the image and was applied at setup",
        (Added("oem", "Fabrikam Defaults.ppkg", folder=IMAGE),),
        winners={"Start/HidePowerButton": "oem", "Camera/AllowCamera": "oem"},
    ),
    Case(
        "running",
        1,
        "the commands of a package run, for 20 minutes to come",
        (Added("apps", "Apps.ppkg"),),
        is_running=True,
    ),
    Case("refuses", 1, "any package that is added fails with 0x800700b7", refuses=ALREADY_EXISTS),
    Case("unreadable", 1, "a kept package is encrypted", files={f"{KEPT}\\Contoso Secure.ppkg": "secure"}),
    Case("removable", 1, "a package is at the root of a removable drive", files={"E:\\Büro 100%.ppkg": "base"}),
)
BY_NAME = {case.name: case for case in CASES}
