"""The policy: what it accepts, and how it refuses everything else with an error that names the key."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.policy import LEGITIMATE_PROCESSES, Lowered, Policy, PolicyError, merged


def test_an_empty_policy_is_the_default() -> None:
    assert Policy.from_mapping({}, where="data") == Policy()


def test_keys_replace_defaults() -> None:
    policy = Policy.from_mapping({"grace_minutes": 5, "check_tcf": False}, where="data")

    assert policy == Policy(grace_minutes=5, check_tcf=False)


def test_the_defaults_are_those_of_the_guide() -> None:
    assert dataclasses.asdict(Policy()) == {
        **{"wait_for_self_healing": True, "check_tcf": True},
        **{"grace_minutes": 60, "minimum_age_minutes": 240, "maximum_skew_minutes": 5},
        "only_in_maintenance_window": False,
        "maximum_work_minutes": 2880,
        "legitimate_processes": tuple(LEGITIMATE_PROCESSES),
        "not_legitimate_processes": (),
    }
    guide = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text("utf-8")
    assert dict(re.findall(r"^\| `([\w.]+\.exe)` \| (.*) \|$", guide, re.MULTILINE)) == LEGITIMATE_PROCESSES


@pytest.mark.parametrize(
    "key", ["grace_minutes", "minimum_age_minutes", "maximum_skew_minutes", "maximum_work_minutes"]
)
def test_minutes_are_from_none_to_those_of_a_leap_year(key: str) -> None:
    for minutes in (0, 1, 527_040):
        assert getattr(Policy.from_mapping({key: minutes}, where="data"), key) == minutes

    for minutes in (-1, 527_041):
        with pytest.raises(PolicyError, match=f"^data: {key} is {minutes}, not between 0 and 527040 minutes$"):
            Policy.from_mapping({key: minutes}, where="data")


def test_a_policy_made_by_a_program_keeps_the_built_in_processes_too() -> None:
    policy = Policy(legitimate_processes=("ourtool.exe", "CCMSETUP.exe", "OurTool.EXE"))

    assert policy.legitimate_processes == (*LEGITIMATE_PROCESSES, "ourtool.exe")


def test_a_built_in_process_stops_counting_only_if_it_is_named_and_the_policy_says_so() -> None:
    policy = Policy.from_mapping({"not_legitimate_processes": ["CCMSETUP.exe"]}, where="data")

    assert "ccmsetup.exe" not in policy.legitimate_processes
    assert len(policy.legitimate_processes) == len(LEGITIMATE_PROCESSES) - 1
    assert [(item.setting, item.value) for item in policy.lowered] == [("not_legitimate_processes", "CCMSETUP.exe")]


def test_a_policy_says_which_of_its_keys_protect_less_than_usual() -> None:
    lowering = {
        **{"wait_for_self_healing": False, "check_tcf": False, "minimum_age_minutes": 0, "grace_minutes": 0},
        "not_legitimate_processes": ["TSManager.exe"],
    }
    raising = {
        **{"minimum_age_minutes": 500, "grace_minutes": 90, "maximum_skew_minutes": 90},
        "legitimate_processes": ["a.exe"],
    }

    assert Policy.from_mapping(lowering, where="data").lowered == (
        Lowered("not_legitimate_processes", "TSManager.exe", "TSManager.exe does not count as legitimate work"),
        Lowered("minimum_age_minutes", 0, "a client can count as stuck after 0 min in the mode (usual: 240)"),
        Lowered("grace_minutes", 0, "a client is overdue 0 min after its time (usual: 60)"),
        Lowered("wait_for_self_healing", False, "a client that will leave the mode by itself counts as stuck"),
        Lowered("check_tcf", False, "MobileClient.TCF does not count"),
    )
    assert Policy.from_mapping(raising, where="data").lowered == ()
    assert Policy.from_mapping({"minimum_age_minutes": 240, "grace_minutes": 60}, where="data").lowered == ()


def test_policies_of_several_places_are_combined_key_by_key_and_processes_add_up() -> None:
    everywhere = {"legitimate_processes": ["ourtool.exe"], "minimum_age_minutes": 480, "grace_minutes": 90}
    group = {"grace_minutes": 120, "legitimate_processes": ["second.exe"]}

    policy = Policy.from_mapping(merged([everywhere, group]), where="data")

    assert (policy.minimum_age_minutes, policy.grace_minutes) == (480, 120)
    assert {"ourtool.exe", "second.exe", *LEGITIMATE_PROCESSES} == set(policy.legitimate_processes)


@pytest.mark.parametrize("key", ["legitimate_processes", "not_legitimate_processes"])
def test_names_of_processes_add_up_in_the_order_of_the_places(key: str) -> None:
    places: list[dict[str, Any]] = [{key: ["ccmsetup.exe"]}, {}, {key: ("TSManager.exe", "ccmsetup.exe")}]

    assert merged([]) == {}
    assert merged(places) == {key: ["ccmsetup.exe", "TSManager.exe"]}


@pytest.mark.parametrize(
    "layers",
    [
        *([{}, "x"], ["x", {}]),
        *(
            [{key: value}, {}]
            for key in ("legitimate_processes", "not_legitimate_processes")
            for value in ("x.exe", None)
        ),
    ],
)
def test_a_policy_that_is_wrong_at_one_place_is_refused_whatever_the_others_say(layers: list[Any]) -> None:
    for more in ([], [{"legitimate_processes": ["y.exe"], "not_legitimate_processes": ["ccmsetup.exe"]}]):
        with pytest.raises(PolicyError):
            Policy.from_mapping(merged([*more, *layers, *more]), where="data")


def test_the_policy_of_a_plan_is_read_back_the_same() -> None:
    policy = Policy(not_legitimate_processes=("ccmsetup.exe",), legitimate_processes=("a.exe",), grace_minutes=5)

    assert Policy.from_mapping(dataclasses.asdict(policy), where="plan") == policy


def test_of_two_policies_each_protects_what_it_names() -> None:
    planned = Policy(not_legitimate_processes=("ccmsetup.exe", "TSManager.exe"), legitimate_processes=("a.exe",))
    today = Policy(not_legitimate_processes=("ccmsetup.exe",), legitimate_processes=("b.exe",))

    both = planned.protecting_like(today)

    assert set(both.legitimate_processes) == {*LEGITIMATE_PROCESSES, "a.exe", "b.exe"} - {"ccmsetup.exe"}
    assert both.not_legitimate_processes == ("ccmsetup.exe",)
    assert Policy().protecting_like(today).not_legitimate_processes == ()


KEYS = ", ".join(field.name for field in dataclasses.fields(Policy))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "provmode_policy is list, not a dict of keys and values"),
        ({"grace_minute": 5}, "provmode_policy has no key 'grace_minute'; did you mean grace_minutes?"),
        ({"zzz": 5}, f"provmode_policy has no key 'zzz'; the keys are {KEYS}"),
        ({7: 5}, f"provmode_policy has no key 7; the keys are {KEYS}"),
        ({"grace_minutes": True}, "grace_minutes is True, not a whole number of minutes"),
        ({"grace_minutes": "60"}, "grace_minutes is '60', not a whole number of minutes"),
        ({"grace_minutes": 1.5}, "grace_minutes is 1.5, not a whole number of minutes"),
        ({"check_tcf": 1}, "check_tcf is 1, not True or False"),
        (
            {"legitimate_processes": "SetupHost.exe"},
            "legitimate_processes is 'SetupHost.exe', not a list of process names",
        ),
        (
            {"legitimate_processes": []},
            "legitimate_processes is empty, which says nothing: name processes, or leave the key out",
        ),
        (
            {"not_legitimate_processes": ["ccmsetupp.exe"]},
            "not_legitimate_processes holds 'ccmsetupp.exe', which is not a built-in name; did you mean ccmsetup.exe?",
        ),
        (
            {"not_legitimate_processes": ["zz.zz"]},
            "not_legitimate_processes holds 'zz.zz', which is not a built-in name",
        ),
        (
            {"not_legitimate_processes": list(LEGITIMATE_PROCESSES)},
            "not_legitimate_processes holds every name, so a running upgrade counts as stuck",
        ),
        (
            {"not_legitimate_processes": ["ccmsetup.exe"], "legitimate_processes": ["CcmSetup.exe"]},
            "ccmsetup.exe is in legitimate_processes and in not_legitimate_processes: take it out of one",
        ),
    ],
)
def test_an_error_names_the_key_and_where_the_policy_was_set(data: Any, message: str) -> None:
    with pytest.raises(PolicyError) as refused:
        Policy.from_mapping(data, where="group data 'all'")

    assert str(refused.value) == f"group data 'all': {message}"


@pytest.mark.parametrize("key", ["legitimate_processes", "not_legitimate_processes"])
@pytest.mark.parametrize(
    "name", ["C:\\x.exe", "a/x.exe", "ccmsetup", ".exe", "x.", " x.exe", "x.e xe", "x\n.exe", "x\0.exe", "", 5, None]
)
def test_what_is_not_the_name_of_a_process_is_refused(key: str, name: Any) -> None:
    with pytest.raises(PolicyError) as refused:
        Policy.from_mapping({key: ["ccmsetup.exe", name]}, where="data")

    assert str(refused.value) == f"data: {key} holds {name!r}, not a process name such as SetupHost.exe"


@pytest.mark.parametrize("name", ["x.exe", "our tool.exe", "a.b.scr", "Werkzeug-\u00e4.com"])
def test_any_name_of_a_file_with_an_ending_can_be_that_of_a_process(name: str) -> None:
    assert name in Policy.from_mapping({"legitimate_processes": [name]}, where="data").legitimate_processes


def test_every_built_in_name_may_be_taken_out_if_another_one_counts() -> None:
    data = {"not_legitimate_processes": list(LEGITIMATE_PROCESSES), "legitimate_processes": ["ourtool.exe"]}

    assert Policy.from_mapping(data, where="data").legitimate_processes == ("ourtool.exe",)
    assert Policy.from_mapping({"not_legitimate_processes": []}, where="data") == Policy()
