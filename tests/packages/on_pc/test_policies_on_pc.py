"""Policies, winners, trusted provisioners and events: known, known absent, could not tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.errors import AccessDenied, RemoteFault
from provmode.packages.on_pc.events import MAX_EVENTS, provisioning_events, read_events
from provmode.packages.on_pc.model import PackagePolicies, PolicyWinner
from provmode.packages.on_pc.policies import (
    MAX_AREAS,
    MAX_POLICIES,
    area_name,
    package_policies,
    policy_winners,
    trusted_provisioners,
    winning_providers,
)
from provmode.reading import Absent, Known, Unknown
from provmode.wsman import Completed, Instance

Drive = Callable[..., Any]
ID = "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"


def answer(**properties: Any) -> Instance:
    """Return a method's answer; success unless it says something else."""
    return Instance("X_OUTPUT", {"ReturnValue": "0", **properties})


def values(**types: int) -> Instance:
    """Return the names and types of a key's values."""
    return answer(sNames=tuple(types), Types=tuple(map(str, types.values())))


MISSING = Instance("X_OUTPUT", {"ReturnValue": "2"})

# -- policies ---------------------------------------------------------------------------------------------------------


def test_policies_that_are_not_set_are_absent_and_cost_one_question(drive: Drive) -> None:
    assert drive(package_policies(), MISSING) == PackagePolicies(Absent(), Absent(), Absent())
    assert drive(package_policies(), values(AllowSomething=4)) == PackagePolicies(Absent(), Absent(), Absent())


def test_policies_are_known_one_by_one(drive: Drive) -> None:
    types = values(AllowAddProvisioningPackage=4, RequireProvisioningPackageSignature=4)

    assert drive(package_policies(), types, answer(uValue="0"), answer(uValue="1")) == PackagePolicies(
        Known(False), Absent(), Known(True)
    )


def test_a_policy_that_could_not_be_read_is_not_absent(drive: Drive) -> None:
    found = drive(package_policies(), values(AllowAddProvisioningPackage=3))
    denied = drive(package_policies(), AccessDenied("no"))

    assert found.allow_add.cause == "type-mismatch"
    assert {each.cause for each in vars(denied).values()} == {"access-denied"}


# -- winners ----------------------------------------------------------------------------------------------------------


def test_a_winner_is_told_with_its_value_and_provider(drive: Drive) -> None:
    types = values(
        ConfigureStartPins=1, ConfigureStartPins_ProviderSet=4, ConfigureStartPins_WinningProvider=1, Other_LastWrite=4
    )

    found = drive(
        policy_winners(["Start"]), types, answer(uValue="1"), answer(sValue=ID[1:-1].upper()), answer(sValue="{}")
    )

    assert found == Known((PolicyWinner("Start", "ConfigureStartPins", "{}", ID),))


def test_a_policy_that_nobody_sets_has_no_winner(drive: Drive) -> None:
    types = values(A=4, A_ProviderSet=4, A_WinningProvider=1)

    assert drive(policy_winners(["Start"]), types, answer(uValue="0")) == Absent()
    assert drive(policy_winners(["Start", "Update"]), MISSING, MISSING) == Absent()


def test_a_number_wins_as_a_number(drive: Drive) -> None:
    types = values(A=4, A_WinningProvider=1)

    found = drive(policy_winners(["Start"]), types, answer(sValue="MDM"), answer(uValue="3"))

    assert found == Known((PolicyWinner("Start", "A", 3, "MDM"),))


def test_providers_of_given_policies_are_one_question_each(drive: Drive) -> None:
    asked = [("Start", "A"), ("Start", "B"), ("Update", "C")]

    found = drive(winning_providers(asked), answer(sValue=ID[1:-1].upper()), MISSING, AccessDenied("no"))

    assert found["Start", "A"] == Known(ID)
    assert found["Start", "B"] == Absent()
    assert found["Update", "C"].cause == "access-denied"


def test_more_policies_than_are_asked_for_are_untold(drive: Drive) -> None:
    asked = [("Start", f"A{number}") for number in range(MAX_POLICIES + 1)]

    found = drive(winning_providers(asked), *([MISSING] * MAX_POLICIES))

    assert len(found) == MAX_POLICIES + 1
    assert isinstance(found[asked[-1]], Unknown)


@pytest.mark.parametrize("error", [AccessDenied("no"), RemoteFault("x", code=1, kind="unavailable")])
def test_one_area_that_could_not_be_read_makes_the_winners_unknown(drive: Drive, error: Exception) -> None:
    assert isinstance(drive(policy_winners(["Start", "Update"]), MISSING, error), Unknown)


@pytest.mark.parametrize("area", ["", "Start\\..\\..", "a b", "x" * 300, "Start\0", "%windir%"])
def test_a_name_that_is_no_area_is_refused(area: str) -> None:
    with pytest.raises(ValueError, match="not the name of an area"):
        area_name(area)
    assert area_name("Chrome~Policy~googlechrome") == "Chrome~Policy~googlechrome"


def test_too_many_areas_are_refused() -> None:
    with pytest.raises(ValueError, match="ask for 32 at most"):
        next(policy_winners(["A"] * (MAX_AREAS + 1)))


# -- trusted provisioners ---------------------------------------------------------------------------------------------


def test_thumbprints_are_known_in_lower_case(drive: Drive) -> None:
    assert drive(trusted_provisioners(), answer(sNames=("B" * 40, "a" * 40))) == Known(("a" * 40, "b" * 40))
    assert drive(trusted_provisioners(), answer()) == Known(())
    assert drive(trusted_provisioners(), MISSING) == Absent()


@pytest.mark.parametrize(
    ("names", "cause"), [(("nonsense",), "malformed"), (("a" * 40, "x"), "malformed"), (("a" * 40,) * 201, "too-large")]
)
def test_a_store_that_is_laid_out_otherwise_is_could_not_tell(drive: Drive, names: tuple[str, ...], cause: str) -> None:
    assert drive(trusted_provisioners(), answer(sNames=names)).cause == cause
    assert drive(trusted_provisioners(), AccessDenied("no")).cause == "access-denied"


# -- events -----------------------------------------------------------------------------------------------------------


def event(number: int | str, data: str = "", time: str = "2026-08-14T10:35:17.1234567Z") -> str:
    """Return an event as ``wevtutil`` prints it."""
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        f"<Provider Name='x'/><EventID>{number}</EventID><TimeCreated SystemTime='{time}'/></System>"
        f"<EventData>{data}</EventData></Event>"
    )


def test_events_are_known_with_package_hresult_and_time(drive: Drive) -> None:
    data = f"<Data Name='Name'>Kiosk &amp; Büro</Data><Data Name='Id'>{ID.upper()}</Data><Data>-2147024891</Data>"
    output = event(22, data) + "\r\n" + event(21, "<Data Name='Result'>0</Data>")

    failed, ended = drive(provisioning_events(), Completed(0, output.encode())).value

    assert (failed.number, failed.failure, failed.package, failed.hresult) == (22, True, ID, "0x80070005")
    assert failed.time == datetime(2026, 8, 14, 10, 35, 17, 123456, tzinfo=timezone.utc)
    assert failed.data[0] == ("Name", "Kiosk & Büro")
    assert failed.data[2][0] == "2", "a value without a name has its position"
    assert (ended.failure, ended.hresult, ended.package) == (False, "", "")


def test_an_empty_channel_is_known_and_a_missing_one_absent(drive: Drive) -> None:
    assert drive(provisioning_events(), Completed(0, b"")) == Known(())
    assert drive(provisioning_events(), Completed(15007, b"")) == Absent()
    assert drive(provisioning_events(), Completed(5, b"")).cause == "access-denied"
    assert drive(provisioning_events(), Completed(1, b"")).cause == "fault"
    assert drive(provisioning_events(), Completed(0, b"<Event", cut=True)).cause == "too-large"


@pytest.mark.parametrize(
    "output",
    [
        event("x"),
        event("999999"),
        "<Event>&bomb;</Event>",
        "<Event><System/></Event>",
        "<Event><!DOCTYPE a></Event>",
        "<Event>" + "<a>" * 100 + "</a>" * 100 + "</Event>",
        "<Events>",
    ],
)
def test_an_event_that_is_none_is_could_not_tell(output: str) -> None:
    assert isinstance(read_events(output), Unknown)


def test_events_are_bounded() -> None:
    many = event(10, f"<Data Name='{'n' * 500}'>{'x' * 100_000}</Data>" + "<Data>1</Data>" * 500) * (MAX_EVENTS + 9)

    found = read_events(many).value  # type: ignore[union-attr]

    assert len(found) == MAX_EVENTS
    assert all(len(each.data) <= 16 for each in found)
    assert max(len(text) for each in found for pair in each.data for text in pair) <= 300


@pytest.mark.parametrize("time", ["", "yesterday", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_is_none_is_left_out(time: str) -> None:
    (found,) = read_events(event(10, time=time)).value  # type: ignore[union-attr]

    assert found.time is None
