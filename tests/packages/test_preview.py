"""What a package would change on a PC: values before and after, what would not hold, what a removal leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provmode.lab.packages.writer import Condition, Setting, Variant, command
from provmode.packages.model import Package
from provmode.packages.on_pc.model import PolicyWinner
from provmode.packages.on_pc.policies import MAX_AREAS, area_name
from provmode.packages.preview import MOST_LINES, NOT_TAKEN_BACK, POLICIES, areas_of, preview, removal
from provmode.reading import Absent, Known, Unknown

Make = Callable[..., Package]
POWER = "Policies/Start/HidePowerButton"
OTHER = "{99999999-2222-3333-4444-555555555555}"
MDM = "{aaaaaaaa-2222-3333-4444-555555555555}"
CANARY = "Canary-9c1"


@pytest.fixture(scope="session")
def one(made: Make) -> Callable[..., Package]:
    """Return what makes a package that sets the policy `POWER`, or what it is told."""
    return lambda **told: made(**{"settings": [Setting(POWER, "1")], **told})


def won(value: str | int | None, provider: str, area: str = "Start", policy: str = "HidePowerButton") -> Any:
    return Known((PolicyWinner(area, policy, value, provider),))


def test_a_value_is_shown_before_and_after(one: Make) -> None:
    package = one()

    found = preview(package, [], Absent())
    assert found.effects[:2] == (f"- {POWER}: not set", f"+ {POWER}: 1")
    assert found.wins == ("Start/HidePowerButton",)

    older = one(version="0.9")
    found = preview(package, [older], won(0, package.metadata.id))
    assert found.effects[:2] == (f"- {POWER}: 0, of office 1.0", f"+ {POWER}: 1")
    assert found.wins == ("Start/HidePowerButton",)


def test_names_of_policies_compare_without_regard_to_case(one: Make) -> None:
    package = one()
    found = preview(package, [], won(0, package.metadata.id, "START", "hidepowerbutton"))
    assert found.effects[0] == f"- {POWER}: 0, of office 1.0"


def test_a_value_that_loses_is_said_with_the_reason(one: Make) -> None:
    other = one(id=OTHER, name="strong", rank=7)

    found = preview(one(), [other], won(0, OTHER))

    assert found.wins == ()
    assert found.effects[:3] == (
        f"- {POWER}: 0, of strong 1.0",
        f"+ {POWER}: 1",
        f"! {POWER}: its value would not hold: strong 1.0 wins over office 1.0: both are of ITAdmin, and rank 7 is "
        "above rank 0 (5007 against 5000)",
    )


def test_a_value_that_wins_over_another_package_is_proved_afterwards(one: Make) -> None:
    found = preview(one(rank=1), [one(id=OTHER, name="weak")], won(0, OTHER))
    assert found.wins == ("Start/HidePowerButton",)
    assert not [line for line in found.effects if POWER in line and line[0] in "!?"]


def test_a_tie_is_never_said_to_be_won(one: Make) -> None:
    found = preview(one(), [one(id=OTHER, name="equal", settings=[Setting(POWER, "0")])], Absent())
    assert found.wins == ()
    assert any(line.startswith(f"? {POWER}: whether its value holds is not known: ") for line in found.effects)

    same = preview(one(), [one(id=OTHER, name="equal")], Absent())
    assert same.wins == ()
    assert any(line.startswith(f"? {POWER}: whose value it would be is not known: ") for line in same.effects)


def test_a_policy_of_somebody_else_is_not_said_to_be_won(one: Make) -> None:
    found = preview(one(), [], won(0, MDM))
    assert found.wins == ()
    assert found.effects[2] == f"? {POWER}: it is that of {MDM} now, which is no package that was read here"


def test_a_package_that_could_not_be_read_leaves_all_of_it_open(one: Make) -> None:
    found = preview(one(), [None, None], Absent())
    assert found.wins == ()
    assert found.effects[0] == "? 2 packages there could not be read: whether its values hold is not known"


def test_what_the_pc_does_not_tell_is_said_and_nothing_is_proved_by_it(one: Make) -> None:
    found = preview(one(), [], Unknown("access-denied", "Access is\x1b[31m denied"))
    assert found.wins == ()
    assert found.effects[:2] == (
        "? which policies are set now could not be told: Access is\N{REPLACEMENT CHARACTER}[31m denied",
        f"+ {POWER}: 1",
    )
    no_policy = preview(one(settings=[Setting("TabletMode/SignInMode", "1")]), [], Unknown("access-denied"))
    assert not [line for line in no_policy.effects if "could not be told" in line]


def test_conditional_values_are_never_said_to_hold(one: Make) -> None:
    variant = Variant("v", [[Condition("Mcc", "310"), Condition("Mnc", "1")]], [Setting(POWER, "1")])

    own = preview(one(settings=[], variants=[variant]), [], Absent())
    assert own.wins == ()
    assert f"+ {POWER}: 1, only if Mcc=310 and Mnc=1" in own.effects
    assert any(line.startswith(f"? {POWER}: whether its conditions hold") for line in own.effects)

    other = preview(one(), [one(id=OTHER, name="phone", settings=[], variants=[variant])], Absent())
    assert other.wins == ()
    assert f"? {POWER}: phone 1.0 sets it under conditions, and may win" in other.effects


def test_a_policy_for_users_is_not_looked_for_among_those_of_the_pc(one: Make) -> None:
    found = preview(one(settings=[Setting(POWER, "1", stage="User_RunTime")]), [], Absent())
    assert found.wins == ()
    assert f"+ {POWER}: 1, for each user at the first logon" in found.effects


def test_secrets_are_shown_neither_of_the_package_nor_of_the_pc(one: Make) -> None:
    secret = "Policies/Wifi/Secret"
    package = one(settings=[Setting(secret, CANARY), Setting(POWER, f"x /password:{CANARY}"), Setting("A/B", "")])
    now = Known(
        (
            PolicyWinner("Wifi", "Secret", CANARY, OTHER),
            PolicyWinner("Start", "HidePowerButton", CANARY, OTHER),
        )
    )
    found = preview(package, [], now)

    assert CANARY not in repr(found)
    assert f"- {secret}: a value that is not shown, of {OTHER}" in found.effects
    assert f"+ {secret}: a secret, which is not shown" in found.effects
    assert f"- {POWER}: a value that is not shown, of {OTHER}" in found.effects
    assert "+ A/B: empty" in found.effects


def test_what_looks_like_a_secret_on_the_pc_is_hidden_too(one: Make) -> None:
    found = preview(one(), [], won(f"logon /password:{CANARY}", MDM))
    assert CANARY not in repr(found)
    assert found.effects[0] == f"- {POWER}: logon /password:***, of {MDM}"


def test_commands_are_said_to_run_as_system_without_their_secrets(one: Make) -> None:
    lines = command("join", f"setup.exe /password:{CANARY}", context="PrimaryContext")
    found = preview(one(settings=[*lines, *command("", "cmd /c a", context="DeviceContext")]), [], Absent())

    assert CANARY not in repr(found)
    assert "! runs as SYSTEM: setup.exe /password:***" in found.effects
    assert "! runs as SYSTEM: cmd /c a" in found.effects
    assert "! a removal does not take back what 2 commands did" in found.effects


def test_what_another_version_set_is_said_to_be_left_open(one: Make) -> None:
    older = one(version="0.9", settings=[Setting(POWER, "0"), Setting("Maps/A", "1"), Setting("Maps/B", "1")])
    assert preview(one(), [older], Absent()).effects[0] == (
        "? 2 settings of office 0.9, which it replaces, are not in it; whether Windows takes them back is not "
        "documented"
    )
    same = one(settings=[Setting(POWER, "0")])
    assert preview(one(), [same], Absent()).effects[0] == (
        "? another file of this id and version is there; whether Windows applies this is not documented"
    )


def test_a_removal_names_what_comes_back_at_most_and_what_stays(one: Make) -> None:
    paths = ("Maps/AutoUpdate", "ConnectivityProfiles/WLAN/X", POWER, "Accounts/ComputerAccount/ComputerName")
    assert removal(one(settings=[Setting(path, "1") for path in paths])) == (
        "! a removal takes back at most: ConnectivityProfiles/WLAN, Maps",
        "! a removal does not take back: Accounts, Policies; these settings stay as they are",
    )
    assert removal(None) == NOT_TAKEN_BACK
    assert removal(one(settings=[])) == ()


def test_no_area_is_asked_for_that_a_pc_cannot_be_asked_for(one: Make) -> None:
    strange = [Setting(f"Policies/{name}/P", "1") for name in ("größe", "ok", "x" * 201)]
    many = [Setting(f"Policies/Area{number:02}/P", "1") for number in range(MAX_AREAS + 5)]

    assert [area_name(area) for area in areas_of(one(settings=strange))] == ["ok"]
    package = one(settings=many)
    assert len(areas_of(package)) == MAX_AREAS
    found = preview(package, [], Absent())
    assert len(found.wins) == MAX_AREAS
    assert f"- {POLICIES}/Area{MAX_AREAS:02}/P: not set" not in found.effects


def test_a_hostile_package_neither_controls_a_terminal_nor_makes_a_long_plan(one: Make) -> None:
    many = [Setting(f"A/B{number}", "x" * 500) for number in range(MOST_LINES + 50)]
    package = one(settings=[*many, Setting("A/C", "one\ntwo\u202ethree")], name="evil\u202ename")

    found = preview(package, [one(id=OTHER, name="evil\u202e", rank=7, settings=[Setting("A/C", "x")])], Absent())

    assert len(found.effects) < MOST_LINES + 10
    assert all(line.isprintable() and len(line) < 1_000 for line in found.effects)
    assert any("lines more" in line for line in found.effects)


def test_what_is_wrong_with_the_package_itself_is_said_first(one: Make) -> None:
    found = preview(one(settings=[Setting(POWER, "Yes", "0")]), [], Absent())
    assert found.effects[0] == (
        f"! compiled-differs: compiled to another value: {POWER}; do not add it; ask who made the package; "
        "if nobody can say, build it again from its project"
    )

    unsigned = preview(one(designer={"SignPackage": "True"}), [], Absent())
    assert unsigned.effects[0].startswith("! not-signed-as-said: ")

    sound = preview(one(), [], Absent())
    assert sound.effects[0].startswith("- ")


def test_a_token_is_said_to_die_although_it_is_not_shown(one: Make) -> None:
    found = preview(one(settings=[Setting("Accounts/Azure/Authority/BPRT", CANARY)]), [], Absent())

    assert found.effects[0] == "! the token Accounts/Azure/Authority/BPRT is dead on 2026-08-29 at the latest"
    assert CANARY not in "".join(found.effects)
