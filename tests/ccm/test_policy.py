"""The policy: what it accepts, and how it refuses everything else with an error that names the key."""

from __future__ import annotations

from typing import Any

import pytest

from provmode.ccm.policy import Policy, PolicyError


def test_an_empty_policy_is_the_default() -> None:
    assert Policy.from_mapping({}, where="data") == Policy()


def test_keys_replace_defaults() -> None:
    policy = Policy.from_mapping({"grace_minutes": 5, "legitimate_processes": ["a.exe"]}, where="data")

    assert (policy.grace_minutes, policy.legitimate_processes) == (5, ("a.exe",))


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
        ([], "not a dict"),
    ],
)
def test_an_error_names_the_key_and_where_the_policy_was_set(data: Any, message: str) -> None:
    with pytest.raises(PolicyError, match="group data 'all'") as refused:
        Policy.from_mapping(data, where="group data 'all'")

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
