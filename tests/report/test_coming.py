"""What is said before the first host: hosts, steps, what they set off, waves and limits."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from provmode.ccm.policy import Policy
from provmode.fleet.begun import Coming
from provmode.fleet.plan_file import PlannedHost
from provmode.fleet.waves import SAFE, Limits
from provmode.remediation.steps import SetMode, SetStartMode
from provmode.report.coming import guards_text, limits_text, print_coming

NOTHING = {"past_due": {"known": []}, "reboot_pending": {"known": False}, "window_open": {"known": False}}


def planned(name: str, impact: Any, *, leaves: bool = True) -> PlannedHost:
    step = SetMode(False, "true") if leaves else SetStartMode("CcmExec", "Disabled", "Auto")
    return PlannedHost(f"@winrm/{name}", "stuck", "why", "f", (step,), "", Policy(), {"impact": impact})


def said(coming: Coming) -> list[str]:
    file = io.StringIO()
    print_coming(coming, "the safe ones", Console(file=file, width=200, highlight=False))
    return file.getvalue().splitlines()


def test_what_is_about_to_happen_is_said_in_full() -> None:
    one = planned("PC-1", {**NOTHING, "past_due": {"known": ["Office"]}, "window_open": {"known": True}})
    two = planned("PC-2", {**NOTHING, "reboot_pending": {"known": True}})
    three = planned("PC-3", {**NOTHING, "past_due": {"unknown": {"cause": "remote-fault", "detail": "no"}}})
    four = planned("PC-4", None, leaves=False)

    lines = said(Coming(((one,), (two, three, four)), 2, Limits("1", 60, "5,20%")))

    assert lines == [
        "about to change 4 hosts; 2 hosts finished before",
        "  3 hosts: ProvisioningMode true -> false",
        "  1 host: CcmExec start mode Disabled -> Auto",
        "  sets off: 1 host: would start installing at once: PC-1",
        "  sets off: 1 host: could not tell what would start: PC-3",
        "  sets off: 1 host: a restart is pending: PC-2",
        "  sets off: 1 host: a maintenance window is open: PC-1",
        "  sets off at most: 2 installs and 1 restart (1 of them could not be told, and count)",
        "  wave 1 of 2: 1 host: PC-1",
        "  wave 2 of 2: 3 hosts: PC-2, PC-3, PC-4",
        "  limits: --wave 1 --soak 60 --max-failures 5,20% --parallel 64 (the safe ones)",
        "  guards: --min-reached none --no-ramp --no-spread --no-look-again",
        "  at worst: 3 hosts fail before the run ends: 0 within the failure budget, 3 worked on when it is exceeded",
    ]


@pytest.mark.parametrize("impact", [None, {}, "none", {**NOTHING, "past_due": 5}])
def test_what_a_plan_does_not_say_about_leaving_the_mode_could_not_be_told(impact: Any) -> None:
    lines = said(Coming(((planned("PC-1", impact),),), 0, Limits()))

    assert "  sets off: 1 host: could not tell what would start: PC-1" in lines


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(), "all 2 hosts fail, because no number of failures ends the run"),
        (Limits("1", max_failures="0"), "1 host fails before the run ends: 0 within the failure budget, 1 worked on"),
    ],
)
def test_the_worst_case_is_said(limits: Limits, words: str) -> None:
    one, two = (planned(name, NOTHING) for name in ("PC-1", "PC-2"))

    lines = said(Coming(((one,), (two,)), 0, limits))

    assert any(line.startswith(f"  at worst: {words}") for line in lines)


def test_guards_are_shown_as_the_options_that_name_them() -> None:
    assert guards_text(SAFE) == "--min-reached 50% --ramp --spread"
    capped = Limits(min_reached="5", per_group="10", per_site="20", spread=True)
    assert guards_text(capped) == "--min-reached 5 --per-group 10 --per-site 20 --no-ramp --spread"


def test_limits_are_shown_as_the_options_that_name_them() -> None:
    many = tuple(f"PC-{number}" for number in range(10))

    assert limits_text(Limits()) == "--wave all --soak 0 --max-failures none --parallel 64"
    assert limits_text(Limits(limit=("PC-1",), exclude=("PC-2",))).endswith("--limit PC-1 --exclude PC-2")
    assert limits_text(Limits(limit=many)).endswith("--limit PC-7 and 2 more")
