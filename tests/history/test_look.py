"""What is compared of a look, what is not, and the form in which it is stored."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm.model import ClientReadings
from provmode.ccm.verdict import Verdict
from provmode.history import look
from provmode.history.look import CHANGES_WITH_EVERY_LOOK, CHANGES_WITHIN, TIME_OF_THE_LOOK, Looks, Words, facts_of
from provmode.lab.process import LabProcess

STUCK: dict[str, Any] = {
    "host": "pc-00001.corp.example",
    "verdict": "stuck",
    "reason": "in provisioning mode since 2026-11-16",
    "rule": "stuck",
    "findings": [{"code": "clock-skew", "text": "its clock is 3 h ahead"}],
    "facts": {
        "observed_at": "2026-11-26T05:37:21+00:00",
        "client_version": {"known": "5.00.9122.1033"},
        "computer": {"known": "PC-00001"},
        "max_minutes": {"absent": True},
        "setup": {"unknown": {"cause": "access-denied", "detail": "port 49152 refused"}},
        "clock": {"known": {"now": "2026-11-26T05:37:21+00:00"}},
        "health_evaluation": {"known": {"task": "Ready", "last_report": {"known": "2026-11-25"}}},
    },
}
KEY = "e0e2edc955057566caa7e8d65446b9d7"
BODY = (
    "8b46c9faa09c4d38bb1a01b3abb131e19c4762e68227f6d23c44724f2c05a55ea5c46460e415eb028b9a4c60f4e828a5a4962466e68032406d6d"
    "6d2c00"
)
DICTIONARY = "94f24027 1019"


def key_of(row: Mapping[str, Any]) -> bytes:
    return Looks().key(row)


def changed(row: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    return {**row, "facts": {**row["facts"], **facts}}


def test_the_names_of_what_is_not_compared_are_facts_of_a_report() -> None:
    facts = {field.name for field in dataclasses.fields(ClientReadings)}

    assert {*CHANGES_WITH_EVERY_LOOK, *CHANGES_WITHIN, TIME_OF_THE_LOOK} <= facts


def test_what_changes_with_every_look_is_not_compared() -> None:
    later = changed(
        STUCK,
        observed_at="2026-11-27T05:37:21+00:00",
        clock={"known": {"now": "2026-11-27T05:37:21+00:00"}},
        processes={"known": ["ccmexec.exe"]},
        process_starts={"absent": True},
        setup={"unknown": {"cause": "access-denied", "detail": "port 50001 refused"}},
        enabled_time={"unknown": {"cause": "not-read", "detail": "not needed for the verdict"}},
        health_evaluation={"known": {"task": "Ready", "last_report": {"absent": True}}},
    )
    later["reason"] = "in provisioning mode since 2026-11-16 (10 days)"

    assert key_of(later) == key_of(STUCK)


@pytest.mark.parametrize(
    "other",
    [
        {**STUCK, "verdict": "overdue"},
        {**STUCK, "rule": "another"},
        {**STUCK, "findings": []},
        changed(STUCK, computer={"known": "PC-00002"}),
        changed(STUCK, computer={"absent": True}),
        changed(STUCK, computer={"unknown": {"cause": "not-read", "detail": ""}}),
        changed(STUCK, setup={"unknown": {"cause": "fault", "detail": "port 49152 refused"}}),
        changed(STUCK, setup={"absent": True}),
        changed(STUCK, max_minutes={"known": 0}),
        changed(STUCK, max_minutes={"known": False}),
        changed(STUCK, provisioning_mode={"known": True}),
        changed(STUCK, health_evaluation={"known": {"task": "Disabled", "last_report": {"known": "2026-11-25"}}}),
        changed(STUCK, health_evaluation={"absent": True}),
    ],
)
def test_everything_else_is_compared(other: Mapping[str, Any]) -> None:
    assert key_of(other) != key_of(STUCK)


READINGS = st.one_of(
    st.just({"absent": True}),
    st.builds(lambda value: {"known": value}, st.sampled_from([True, False, 0, 1, "", "1", [], ["a"]])),
    st.builds(lambda cause: {"unknown": {"cause": cause, "detail": ""}}, st.sampled_from(["fault", "malformed"])),
)
ROWS = st.builds(
    lambda host, verdict, codes, facts: {
        "host": host,
        "verdict": verdict,
        "rule": verdict,
        "cause": "refused" if verdict == "unassessed" else None,
        "reason": "",
        "findings": [{"code": code, "text": ""} for code in codes],
        "facts": {"client_version": {"known": "5"}, "computer": {"known": "PC-1"}, **facts},
    },
    st.sampled_from(["PC-1", "pc-1.corp.example", "PC-2"]),
    st.sampled_from(["stuck", "healthy", "unassessed"]),
    st.lists(st.sampled_from(["a", "b", "a\\b", "a,b"]), max_size=3),
    st.dictionaries(st.sampled_from(["tcf", "setup", "service", "computer"]), READINGS, max_size=3),
)


@given(ROWS, ROWS)
def test_two_looks_have_one_key_if_and_only_if_they_found_the_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    def state(row: Mapping[str, Any]) -> str:
        if row["verdict"] == "unassessed":
            return json.dumps([row["rule"], row["cause"]])
        own = row["facts"]["computer"] == {"known": row["host"].partition(".")[0].upper()}
        facts = {**row["facts"], "computer": "own" if own else row["facts"]["computer"]}
        return json.dumps([row["rule"], sorted({each["code"] for each in row["findings"]}), facts], sort_keys=True)

    looks = Looks()
    assert (looks.key(one) == looks.key(two)) == (state(one) == state(two))


@given(ROWS)
def test_codes_and_facts_are_read_as_they_were_stored(row: dict[str, Any]) -> None:
    looks = Looks()
    codes, facts = facts_of(looks.state(looks.key(row)).body(), row["host"])

    assessed = row["verdict"] != "unassessed"
    assert codes == (tuple(sorted({each["code"] for each in row["findings"]})) if assessed else ())
    assert facts == (row["facts"] if assessed else {})


def test_a_name_that_was_not_read_is_not_made_up() -> None:
    not_read = changed(STUCK, computer={"unknown": {"cause": "not-read", "detail": "not needed"}})
    without = {**STUCK, "facts": {name: fact for name, fact in STUCK["facts"].items() if name != "computer"}}

    for row in (not_read, without):
        looks = Looks()
        facts = facts_of(looks.state(looks.key(row)).body(), "pc-00001")[1]
        assert facts["computer"] == {"unknown": {"cause": "not-read", "detail": ""}}


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_somebody_has_to_do_something_about_is_bad(verdict: Verdict) -> None:
    fine = {"healthy", "unassessed", "self-healing", "in-progress", "no-client"}
    assert look.needs_something(verdict.value) == (verdict.value not in fine)


def test_a_pc_that_is_at_work_for_too_long_is_bad() -> None:
    assert not look.needs_something("in-progress")
    assert look.needs_something("in-progress", ("at-work-too-long",))


# -- the stored form --------------------------------------------------------------------------------------------------


def test_the_digest_of_a_state_is_the_one_that_databases_have() -> None:
    assert key_of(STUCK).hex() == KEY


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_another_process_makes_the_same_digest(seed: str) -> None:
    program = (
        "import json, sys; from provmode.history.look import Looks; print(Looks().key(json.load(sys.stdin)).hex())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(STUCK),
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.strip() == KEY


def test_the_order_of_facts_and_findings_does_not_matter() -> None:
    turned = {**STUCK, "facts": dict(reversed(STUCK["facts"].items()))}

    assert key_of(turned).hex() == KEY


def test_a_body_that_was_stored_is_still_read() -> None:
    codes, facts = facts_of(bytes.fromhex(BODY), "PC-00001")

    assert codes == ("clock-skew",)
    assert facts == {
        "client_version": {"known": "5.00.9122.1033"},
        "computer": {"known": "PC-00001"},
        "max_minutes": {"absent": True},
        "setup": {"unknown": {"cause": "access-denied", "detail": ""}},
        "health_evaluation": {"known": {"task": "Ready"}},
    }


def test_what_stored_bodies_were_compressed_with_never_changes() -> None:
    assert f"{zlib.crc32(look._TYPICAL):08x} {len(look._TYPICAL)}" == DICTIONARY


@given(st.text(), st.text(), st.lists(st.tuples(st.text(), st.text())))
def test_words_are_read_as_they_were_stored(reason: str, next_step: str, findings: list[tuple[str, str]]) -> None:
    words = Words(reason + "\ud800\0", next_step, tuple(findings))

    assert Words.read(words.body()) == words


# -- against the lab --------------------------------------------------------------------------------------------------


def test_two_audits_a_minute_apart_find_the_same_but_for_what_changed(tmp_path: Path) -> None:
    personas = (
        *("healthy", "osd-running", "upgrade-running", "self-healing", "stuck-old-client", "stuck-no-enabled-time"),
        *("stuck-service-disabled", "overdue", "half-exited", "armed", "client-broken", "no-client", "wrong-clock"),
        *("refused", "unresolvable-name", "bad-certificate", "wrong-password", "access-denied", "quota-exceeded"),
    )
    inventory = tmp_path / "lab.py"

    def audit(file: Path) -> dict[str, Any]:
        command = [sys.executable, "-m", "provmode", "audit", str(inventory), "--format", "json", "--output", str(file)]
        subprocess.run(command, capture_output=True, check=False, timeout=120)
        return {row["host"]: row for row in json.loads(file.read_text())["hosts"]}

    with LabProcess(2 * len(personas), 5, mix=dict.fromkeys(personas, 1), inventory=inventory) as lab:
        one = audit(tmp_path / "one.json")
        lab.advance(60)
        changed_host = next(host.name for host in lab.hosts if host.persona == "healthy")
        lab.set_service(changed_host, "CcmExec", start_mode="Disabled")
        two = audit(tmp_path / "two.json")

    looks = Looks()
    assert set(one) == set(two)
    assert {host for host in one if looks.key(one[host]) != looks.key(two[host])} == {changed_host}
    assert any(one[host]["facts"] != two[host]["facts"] for host in one if host != changed_host)
