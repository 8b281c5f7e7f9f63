"""The policy: what it accepts, and how it refuses everything else with an error that names the key."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from provmode.ccm.policy import LEGITIMATE_PROCESSES, Policy, PolicyError, merged


def test_an_empty_policy_is_the_default() -> None:
    assert Policy.from_mapping({}, where="data") == Policy()


def test_keys_replace_defaults() -> None:
    policy = Policy.from_mapping({"grace_minutes": 5, "check_tcf": False}, where="data")

    assert (policy.grace_minutes, policy.check_tcf) == (5, False)


def test_a_policy_made_by_a_program_keeps_the_built_in_processes_too() -> None:
    assert set(Policy(legitimate_processes=("ourtool.exe",)).legitimate_processes) == {
        *LEGITIMATE_PROCESSES,
        "ourtool.exe",
    }


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

    assert {item.setting for item in Policy.from_mapping(lowering, where="data").lowered} == set(lowering)
    assert Policy.from_mapping(raising, where="data").lowered == ()


def test_policies_of_several_places_are_combined_key_by_key_and_processes_add_up() -> None:
    everywhere = {"legitimate_processes": ["ourtool.exe"], "minimum_age_minutes": 480, "grace_minutes": 90}
    group = {"grace_minutes": 120, "legitimate_processes": ["second.exe"]}

    policy = Policy.from_mapping(merged([everywhere, group]), where="data")

    assert (policy.minimum_age_minutes, policy.grace_minutes) == (480, 120)
    assert {"ourtool.exe", "second.exe", *LEGITIMATE_PROCESSES} == set(policy.legitimate_processes)


@pytest.mark.parametrize("layers", [[{}, "x"], ["x", {}], [{"legitimate_processes": "x.exe"}, {}]])
def test_a_policy_that_is_wrong_at_one_place_is_refused_whatever_the_others_say(layers: list[Any]) -> None:
    for more in ([], [{"legitimate_processes": ["y.exe"]}]):
        with pytest.raises(PolicyError):
            Policy.from_mapping(merged([*more, *layers, *more]), where="data")


def test_the_policy_of_a_plan_is_read_back_the_same() -> None:
    policy = Policy(not_legitimate_processes=("ccmsetup.exe",), legitimate_processes=("a.exe",), grace_minutes=5)

    assert Policy.from_mapping(dataclasses.asdict(policy), where="plan") == policy


def test_of_two_policies_each_protects_what_it_names() -> None:
    planned = Policy(not_legitimate_processes=("ccmsetup.exe", "TSManager.exe"), legitimate_processes=("a.exe",))
    today = Policy(not_legitimate_processes=("ccmsetup.exe",), legitimate_processes=("b.exe",))

    both = planned.protecting_like(today)

    assert {"a.exe", "b.exe", "TSManager.exe"} <= set(both.legitimate_processes)
    assert both.not_legitimate_processes == ("ccmsetup.exe",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"grace_minute": 5}, "did you mean grace_minutes?"),
        ({"zzz": 5}, "has no key 'zzz'"),
        ({"grace_minutes": -1}, "grace_minutes is -1"),
        ({"grace_minutes": True}, "grace_minutes is True"),
        ({"grace_minutes": "60"}, "grace_minutes is '60'"),
        ({"grace_minutes": 10**9}, "not between 0 and"),
        ({"check_tcf": 1}, "check_tcf is 1"),
        ({"legitimate_processes": "SetupHost.exe"}, "not a list of process names"),
        ({"legitimate_processes": []}, "is empty"),
        ({"legitimate_processes": ["C:\\x.exe"]}, "not a process name"),
        ({"not_legitimate_processes": ["ccmsetup"]}, "not a process name"),
        ({"not_legitimate_processes": ["ccmsetupp.exe"]}, "did you mean ccmsetup.exe?"),
        ({"not_legitimate_processes": list(LEGITIMATE_PROCESSES)}, "holds every name"),
        (
            {"not_legitimate_processes": ["ccmsetup.exe"], "legitimate_processes": ["CcmSetup.exe"]},
            "ccmsetup.exe is in legitimate_processes and in not_legitimate_processes",
        ),
        ([], "not a dict"),
    ],
)
def test_an_error_names_the_key_and_where_the_policy_was_set(data: Any, message: str) -> None:
    with pytest.raises(PolicyError, match="group data 'all'") as refused:
        Policy.from_mapping(data, where="group data 'all'")

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
