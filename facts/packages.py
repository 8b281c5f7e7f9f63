"""Facts about provisioning packages (``.ppkg``): files, results, policies, events.

CIM and the registry provider say most of it. Hashes, results and events cost one process each (``certutil``, ``reg
query``, ``wevtutil``): where remote shells are forbidden, these could not be told. No fact runs PowerShell, except to
hash the few files that ``certutil`` is not shown: hidden ones, and those of removable drives.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from typing_extensions import override

from facts.base import ConversationFact, ReadingFact
from provmode.connector.commands import ConversationCommand
from provmode.packages.on_pc.applied import applied_packages, command_results
from provmode.packages.on_pc.events import EVENTS, provisioning_events
from provmode.packages.on_pc.inventory import REGISTRY
from provmode.packages.on_pc.model import (
    AppliedPackage,
    CategoryResult,
    CommandResult,
    PackageFile,
    Place,
    PolicyWinner,
    ProvisioningEvent,
)
from provmode.packages.on_pc.model import PackagePolicies as Policies
from provmode.packages.on_pc.policies import (
    MAX_AREAS,
    TRUSTED,
    area_key,
    package_policies,
    policy_winners,
    trusted_provisioners,
)
from provmode.packages.on_pc.state import packages
from provmode.reading import Unknown, from_json
from provmode.windows import system


class Packages(ReadingFact[tuple[PackageFile, ...]]):
    """
    Return the package files on the PC, with place, size in bytes, times in UTC, and SHA-256.

    .. code:: python

        Known((PackageFile(path="C:\\\\ProgramData\\\\Microsoft\\\\Provisioning\\\\start_pins.ppkg", place=Place.KEPT,
                           size=6026, created=datetime(2026, 8, 14, tzinfo=timezone.utc), modified=…,
                           sha256=Known("c01f298c17641029…")),))
        Absent()                       # no package in any of the places
        Unknown("access-denied", "…")  # some place could not be read: the list would not be all of them

    Places: ``kept`` (``%ProgramData%\\Microsoft\\Provisioning``), ``asset-cache`` (below it), ``reset``
    (``\\Recovery\\Customizations``), ``image`` (``%windir%\\Provisioning\\Packages``; every Windows has some packages
    there), ``removable`` (roots of removable drives). Each hash is a reading of its own. A folder that the account may
    not list looks empty. Sources: Microsoft, "CIM_DataFile class", "How provisioning works in Windows client".
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(packages, system.OPERATING_SYSTEM)

    @override
    def value(self, document: Any) -> tuple[PackageFile, ...]:
        return tuple(
            PackageFile(
                each["path"],
                Place(each["place"]),
                each["size"],
                _time(each["created"]),
                _time(each["modified"]),
                from_json(each["sha256"], str),
            )
            for each in document
        )


class AppliedPackages(ReadingFact[tuple[AppliedPackage, ...]]):
    """
    Return the packages that Windows says were applied, with the results of their parts.

    .. code:: python

        Known((AppliedPackage(id="{b84f2c39-…}", file_name="start_pins.ppkg", categories=(
            CategoryResult(name="Policies\\\\0\\\\xml", categories=("Policies",), message="", last_result=0,
                           failures=0, failing_node=""),)),))
        Absent()                       # none was, as far as the registry says
        Unknown("access-denied", "…")

    ``last_result`` is an HRESULT, 32 bits without sign: 0x80070005 is 2147942405. A package of which Windows keeps no
    result has no categories. Source: the registry below ``Provisioning\\Results`` and ``Provisioning\\PackageInfo``,
    which Microsoft does not document; what ``mdmdiagnosticstool`` collects.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(applied_packages, REGISTRY)

    @override
    def value(self, document: Any) -> tuple[AppliedPackage, ...]:
        return tuple(
            AppliedPackage(each["id"], each["file_name"], tuple(map(_category, each["categories"])))
            for each in document
        )


class ProvisioningCommandResults(ReadingFact[tuple[CommandResult, ...]]):
    """
    Return what became of the commands that packages ran.

    .. code:: python

        Known((CommandResult(context="DeviceContext", id="{b84f2c39-…}", command="install", state=2),))
        Absent()                       # no package ran a command
        Unknown("access-denied", "…")

    Seen are the states 1 and 2; what they mean is not documented. Source: the registry below
    ``Provisioning\\CommandResults``, as public scripts read it.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(command_results, REGISTRY)

    @override
    def value(self, document: Any) -> tuple[CommandResult, ...]:
        return tuple(CommandResult(**each) for each in document)


class TrustedProvisioners(ReadingFact[tuple[str, ...]]):
    """
    Return the certificates whose packages are applied without a question: SHA-1 thumbprints in lower case.

    .. code:: python

        Known(("3b77db29ac72aa6b5880ecb2ed5ec1ec6601d847",))
        Absent()                       # the PC has no store of them
        Unknown("access-denied", "…")

    Source: Microsoft, "How provisioning works in Windows client" (trusted provisioners); that the store is laid out as
    other certificate stores of the registry are is not confirmed.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(trusted_provisioners, TRUSTED.invoke("EnumKey"))

    @override
    def value(self, document: Any) -> tuple[str, ...]:
        return tuple(document)


class PolicyWinners(ReadingFact[tuple[PolicyWinner, ...]]):
    """
    Return which values of policies hold, and who set them.

    + areas: names such as ``Start``, a list or separated by commas; 32 at most

    .. code:: python

        Known((PolicyWinner(area="Start", policy="ConfigureStartPins", value="{…}", provider="{b84f2c39-…}"),))
        Absent()                       # no policy of these areas is set
        Unknown("access-denied", "…")

    The provider of a value from a package is the package's id. Source: the registry below
    ``PolicyManager\\current\\device`` (``_WinningProvider``, ``_ProviderSet``), as public scripts read it.
    """

    @override
    def command(self, areas: str | Sequence[str]) -> ConversationCommand:
        named = [area.strip() for area in areas.split(",")] if isinstance(areas, str) else list(areas)
        try:
            keys = [area_key(area) for area in named]
            if not 0 < len(keys) <= MAX_AREAS:
                raise ValueError(f"{len(keys)} areas; name one to {MAX_AREAS}")
        except ValueError as error:
            return self.refused(error)
        return self.converse(lambda: policy_winners(named), *(key.invoke("EnumValues") for key in keys))

    @override
    def value(self, document: Any) -> tuple[PolicyWinner, ...]:
        return tuple(PolicyWinner(**each) for each in document)


class ProvisioningEvents(ReadingFact[tuple[ProvisioningEvent, ...]]):
    """
    Return the newest events of the provisioning engine, 64 at most, the newest first.

    .. code:: python

        Known((ProvisioningEvent(number=22, time=datetime(2026, 8, 14, tzinfo=timezone.utc),
                                 data=(("PackageId", "{b84f2c39-…}"), ("HRESULT", "0x80070005"))),))
        Absent()                       # Windows has no such log
        Unknown("access-denied", "…")

    Failures are 12 (category), 22 (package), 32 (turn), 62 (adding) and 65 (removing). Names and values are as the PC
    has them; their texts are not translated, because the message is not asked for. Source: Microsoft, "wevtutil".
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(provisioning_events, EVENTS)

    @override
    def value(self, document: Any) -> tuple[ProvisioningEvent, ...]:
        return tuple(
            ProvisioningEvent(each["number"], _time(each["time"]), tuple((name, text) for name, text in each["data"]))
            for each in document
        )


class PackagePolicies(ConversationFact[Policies]):
    """
    Return what policies say about packages, each a reading.

    .. code:: python

        PackagePolicies(allow_add=Known(False), allow_remove=Absent(), signature_required=Known(True))

    ``Absent()``: not set, so Windows allows it and requires no signature. ``Unknown("access-denied", "…")``: could not
    tell. Source: Microsoft, "Policy CSP - Security" (``AllowAddProvisioningPackage``,
    ``AllowRemoveProvisioningPackage``, ``RequireProvisioningPackageSignature``).
    """

    @override
    @staticmethod
    def default() -> Any:
        """Return the answer for a host that could not be asked: nothing is known."""
        unknown = Unknown("not-asked", "the PC was not reached or the command failed; its error is above")
        return Policies(unknown, unknown, unknown)

    @override
    def command(self) -> ConversationCommand:
        return self.converse(package_policies, area_key("Security").invoke("EnumValues"))

    @override
    def read(self, document: Any) -> Policies:
        return Policies(**{name: from_json(reading, bool) for name, reading in document.items()})


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _category(document: dict[str, Any]) -> CategoryResult:
    return CategoryResult(**{**document, "categories": tuple(document["categories"])})
