"""What a PC says about provisioning packages. Plain values; each could not be read on its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from provmode.reading import Reading, Unknown
from provmode.windows.model import JsonRecord, Service

HASH_NOT_READ = Unknown("not-read", "the hash was not asked")
NOT_ASKED = Unknown("not-read", "the PC was not asked")

_ID = re.compile(r"\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?", re.IGNORECASE)


def package_id(text: str) -> str:
    """Return the first id of a package in *text* as ``{lower case}``; empty if there is none.

    Windows writes the same id with braces under ``Provisioning``, and without them under ``PolicyManager``.
    """
    found = _ID.search(text)
    return f"{{{found.group(1).lower()}}}" if found else ""


class Place(str, Enum):
    """Where a package's file is. Microsoft, "How provisioning works", "Apply a provisioning package"."""

    KEPT = "kept"
    """Windows keeps each package that was applied: ``%ProgramData%\\Microsoft\\Provisioning``."""
    ASSET_CACHE = "asset-cache"
    """The folder below with what packages brought along."""
    RESET = "reset"
    """Applied at first boot, also after a reset: ``C:\\Recovery\\Customizations``."""
    IMAGE = "image"
    """Packages of the image and of the PC's maker: ``%windir%\\Provisioning\\Packages``."""
    REMOVABLE = "removable"
    """The root of a removable drive: applied if Windows is set up while it is there."""

    def __str__(self) -> str:
        """Return the word itself."""
        return self.value


INBOX = ("microsoft.windows.cosa", "power.energyestimationengine", "power.settings", "securestart.settings")
"""How the names of packages begin that every Windows has, in `Place.IMAGE`."""


@dataclass(frozen=True)
class PackageFile(JsonRecord):
    """A package's file on the PC."""

    path: str
    place: Place
    size: int | None = None
    """Bytes; ``None`` if only the command line showed the file, and CIM did not."""
    created: datetime | None = None
    """UTC."""
    modified: datetime | None = None
    """UTC."""
    sha256: Reading[str] = HASH_NOT_READ

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("\\")[2]

    @property
    def inbox(self) -> bool:
        """Whether it is one of those that every Windows has, by its place and name."""
        return self.place is Place.IMAGE and self.name.lower().startswith(INBOX)


@dataclass(frozen=True)
class PlaceFiles(JsonRecord):
    """The packages in one place."""

    place: Place
    folder: str
    files: Reading[tuple[PackageFile, ...]]
    """Known and empty: there is no package, or the account may not list the folder."""


PENDING = 0x02AB0003
"""The result of a part that is not done yet, as a disassembly of the engine has it: not documented."""


@dataclass(frozen=True)
class CategoryResult(JsonRecord):
    """What became of one part of a package."""

    name: str
    """The registry key below the package's, such as ``Policies\\0\\xml``."""
    categories: tuple[str, ...] = ()
    message: str = ""
    last_result: int | None = None
    """The HRESULT, 32 bits without sign; 0 is success."""
    failures: int | None = None
    failing_node: str = ""

    @property
    def pending(self) -> bool:
        """Whether Windows is not done with it."""
        return self.last_result == PENDING

    @property
    def failed(self) -> bool:
        """Whether Windows noted a failure."""
        return bool(self.failures) or bool((self.last_result or 0) & 0x80000000)

    @property
    def hresult(self) -> str:
        """The result as Windows writes it: ``0x80070005``; empty if there is none."""
        return f"0x{self.last_result:08X}" if self.last_result is not None else ""


@dataclass(frozen=True)
class PackageResult(JsonRecord):
    """What became of one package, or of one other source of settings."""

    key: str
    """Its registry key under ``Provisioning\\Results``."""
    file_name: str = ""
    """``PackageFileName``."""
    id: str = ""
    """``{id}``; empty if the key does not name it."""
    categories: tuple[CategoryResult, ...] = ()

    @property
    def failed(self) -> tuple[CategoryResult, ...]:
        """The parts that failed."""
        return tuple(each for each in self.categories if each.failed)


@dataclass(frozen=True)
class AppliedPackage(JsonRecord):
    """A package that Windows says was applied."""

    id: str
    """``{id}``; empty if only its result is known."""
    file_name: str = ""
    categories: tuple[CategoryResult, ...] = ()


@dataclass(frozen=True)
class CommandResult(JsonRecord):
    """What became of a command of a package."""

    context: str
    """``DeviceContext`` or ``PrimaryContext``."""
    id: str
    """The package."""
    command: str
    state: int | None
    """1 or 2; what they mean is not documented."""


@dataclass(frozen=True)
class PolicyWinner(JsonRecord):
    """Which value of a policy holds, and whose it is."""

    area: str
    policy: str
    value: str | int | None
    provider: str
    """``{id}`` of who set it (a package's id for a package); as Windows writes it if it is no such id."""


@dataclass(frozen=True)
class PackagePolicies(JsonRecord):
    """What policies say about packages. Absent: not set, so Windows allows it and requires no signature."""

    allow_add: Reading[bool] = NOT_ASKED
    allow_remove: Reading[bool] = NOT_ASKED
    signature_required: Reading[bool] = NOT_ASKED


@dataclass(frozen=True)
class ProvisioningEvent(JsonRecord):
    """One event of the provisioning engine."""

    number: int
    """Its id."""
    time: datetime | None
    """UTC, by the PC's clock."""
    data: tuple[tuple[str, str], ...]
    """Names and values as the event has them; a value without a name has its position."""

    @property
    def failure(self) -> bool:
        """Whether it says that something failed."""
        return self.number in FAILURES

    @property
    def package(self) -> str:
        """The first package id in it; empty if it names none."""
        return next(filter(None, (package_id(value) for _, value in self.data)), "")

    @property
    def hresult(self) -> str:
        """The first value that can only be a failing HRESULT, as ``0x80070005``; empty if it has none."""
        return next(filter(None, (_hresult(value) for _, value in self.data)), "")


BEGUN, COMPLETED, FAILED = 20, 21, 22
"""Events about a package: it is being applied; it was applied; that failed."""
FAILURES = {12: "category failed", 22: "package failed", 32: "turn failed", 62: "adding failed", 65: "removing failed"}
"""Events that say that something failed, by their id."""


def _hresult(value: str) -> str:
    text = value.strip().lower()
    if re.fullmatch(r"0x[89a-f][0-9a-f]{7}", text):
        return f"0x{int(text, 16):08X}"
    if re.fullmatch(r"-?[0-9]{1,10}", text) and -0x80000000 <= int(text) < 2**32 and int(text) & 0x80000000:
        return f"0x{int(text) & 0xFFFFFFFF:08X}"
    return ""


@dataclass(frozen=True)
class PackagesOnPc(JsonRecord):
    """Everything that a PC says about packages."""

    places: tuple[PlaceFiles, ...] = ()
    results: Reading[tuple[PackageResult, ...]] = NOT_ASKED
    applied_ids: Reading[tuple[str, ...]] = NOT_ASKED
    """The ids under ``Provisioning\\PackageInfo``."""
    commands: Reading[tuple[CommandResult, ...]] = NOT_ASKED
    trusted: Reading[tuple[str, ...]] = NOT_ASKED
    """Thumbprints (SHA-1, lower case) of trusted provisioners."""
    policies: PackagePolicies = field(default_factory=PackagePolicies)
    events: Reading[tuple[ProvisioningEvent, ...]] = NOT_ASKED
    push_service: Reading[Service] = NOT_ASKED
    """``dmwappushservice``, which the engine starts."""

    @property
    def files(self) -> tuple[PackageFile, ...]:
        """Every file that was found."""
        return tuple(file for each in self.places for file in _known_files(each))


def _known_files(each: PlaceFiles) -> tuple[PackageFile, ...]:
    return getattr(each.files, "value", ())
