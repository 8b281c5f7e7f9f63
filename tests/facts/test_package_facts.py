"""The facts about packages: unchanged by pyinfra's JSON, and refused in one line if their arguments are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from facts.packages import (
    AppliedPackages,
    PackagePolicies,
    Packages,
    PolicyWinners,
    ProvisioningCommandResults,
    ProvisioningEvents,
    TrustedProvisioners,
)
from provmode.connector.commands import ConversationCommand
from provmode.errors import UsageError
from provmode.lab.packages.catalogue import made
from provmode.lab.process import LabProcess
from provmode.packages.on_pc import model
from provmode.packages.on_pc.model import (
    AppliedPackage,
    CategoryResult,
    CommandResult,
    PackageFile,
    Place,
    PolicyWinner,
    ProvisioningEvent,
)
from provmode.reading import Absent, Known, Unknown, plain
from provmode.transport.session import Session

ID = "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"
TIME = datetime(2026, 8, 14, 10, 35, 17, tzinfo=timezone.utc)
KEPT = "C:\\ProgramData\\Microsoft\\Provisioning\\a;b & 100% 日本.ppkg"
FACTS: dict[Any, Any] = {
    Packages: (
        PackageFile(KEPT, Place.KEPT, 6026, TIME, None, Known("ab" * 32)),
        PackageFile("E:\\b.ppkg", Place.REMOVABLE, None, None, TIME, Unknown("shells-forbidden", "no shells")),
    ),
    AppliedPackages: (
        AppliedPackage(ID, "a.ppkg", (CategoryResult("Policies\\0", ("a", "b"), "no", 0x80070005, 1, "./x"),)),
        AppliedPackage(ID),
    ),
    ProvisioningCommandResults: (CommandResult("DeviceContext", ID, "install", 2), CommandResult("x", "y", "z", None)),
    TrustedProvisioners: ("ab" * 20,),
    PolicyWinners: (PolicyWinner("Start", "A", 3, ID), PolicyWinner("Start", "B", None, "MDM")),
    ProvisioningEvents: (
        ProvisioningEvent(22, TIME, (("Id", ID), ("1", "0x80070005"))),
        ProvisioningEvent(10, None, ()),
    ),
}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
@pytest.mark.parametrize("wrap", [Known, lambda _: Absent(), lambda _: Unknown("access-denied", "no")])
def test_a_reading_comes_back_from_json_as_it_was(fact: Any, wrap: Callable[[Any], Any]) -> None:
    reading = wrap(FACTS[fact])

    assert fact().process([json.dumps(plain(reading))]) == reading


def test_policies_come_back_one_by_one() -> None:
    policies = model.PackagePolicies(Known(False), Absent(), Unknown("access-denied", "no"))

    assert PackagePolicies().process([json.dumps(plain(policies))]) == policies
    assert isinstance(PackagePolicies.default().allow_add, Unknown)


@pytest.mark.parametrize("areas", ["", "Start,", "Start\\x", ["Start"] * 33, []])
def test_areas_that_are_none_are_refused_before_anything_is_sent(areas: Any) -> None:
    command = PolicyWinners().command(areas=areas)

    with pytest.raises(UsageError, match="area"):
        next(command.converse())


@pytest.mark.parametrize("areas", ["Start", "Start, Update", ["Start", "Update"]])
def test_areas_are_a_list_or_separated_by_commas(areas: Any) -> None:
    command = PolicyWinners().command(areas=areas)

    assert isinstance(command, ConversationCommand)
    assert "PolicyManager\\current\\device\\Start" in str(command)
    assert next(command.converse()).method == "EnumValues"


# -- on PCs of the lab ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packaged() -> Iterator[LabProcess]:
    """PCs with the packages of some kinds."""
    with LabProcess(3, 4, mix={"healthy": 1}, packages={"conflict": 1, "forbidden": 1, "running": 1}) as running:
        yield running


def asked(session: Session, fact: Any, **arguments: Any) -> Any:
    """Ask a fact, and read it back from JSON."""
    answer = session.converse(fact().command(**arguments).converse())
    assert fact().process([json.dumps(plain(answer))]) == answer
    return answer


def test_winners_policies_and_commands_are_known(packaged: LabProcess, connect: Callable[..., Session]) -> None:
    found = [
        (
            asked(session, PolicyWinners, areas="Start,Camera,Update"),
            asked(session, PackagePolicies),
            asked(session, ProvisioningCommandResults),
        )
        for session in (connect(packaged, host, read_only=True) for host in packaged.hosts)
    ]

    winners = [{(each.area, each.policy): each for each in found.value} for found, _, _ in found if found != Absent()]
    (conflict,) = (each for each in winners if ("Camera", "AllowCamera") in each)
    assert conflict["Start", "HidePowerButton"].provider == made("kiosk").id
    assert conflict["Camera", "AllowCamera"].provider == made("oem").id
    forbidden = model.PackagePolicies(Known(False), Known(False), Absent())
    assert [policies for _, policies, _ in found].count(forbidden) == 1
    (commands,) = (each.value for _, _, each in found if isinstance(each, Known))
    assert {(each.context, each.id) for each in commands} == {("PrimaryContext", made("apps").id)}
    assert {each.state for each in commands} <= {1, 2}
