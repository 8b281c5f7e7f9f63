"""The reader of plans: what makes it refuse one, and in which words; without a lab, on a plan of version 1."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import hmac
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.policy import Policy
from provmode.errors import UsageError
from provmode.fleet.plan_file import KEY_ENVIRONMENT, Plan, PlanRefused, as_text, key_from, load, sign, write
from provmode.remediation.steps import RequestPolicy, SetMode, SetServiceState, SetStartMode
from provmode.signing.keys import SharedKey

KEPT = Path(__file__).parent / "version-1" / "every-step.plan.json"
KEY = b"0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 11, 26, 12, 30, tzinfo=timezone.utc)
Document = dict[str, Any]
Edit = Callable[[Document], Any]


@pytest.fixture
def document() -> Document:
    found: Document = json.loads(KEPT.read_text("utf-8"))
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plan.json"


def load_signed(path: Path, document: Document, now: datetime = NOW) -> Plan:
    write(path, sign(document, KEY))
    return load(path, KEY, unsigned=False, now=now)


def refusal(path: Path, document: Any, key: bytes | None = None, *, unsigned: bool = True, now: datetime = NOW) -> str:
    """Return the line with which a plan is refused, with the name of its file as PLAN."""
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(PlanRefused) as refused:
        load(path, key, unsigned=unsigned, now=now)
    return str(refused.value).replace(str(path), "PLAN")


# -- what is read -----------------------------------------------------------------------------------------------------


def test_a_plan_is_read_with_everything_that_a_run_needs(path: Path, document: Document) -> None:
    plan = load_signed(path, document)

    assert (plan.id, plan.inventory, plan.by) == (document["id"], "lab.py", "admin@controller")
    assert plan.created == datetime(2026, 11, 25, 17, 15, 14, 430303, tzinfo=timezone.utc)
    assert plan.expires == datetime(2027, 10, 25, 1, 15, 14, 430303, tzinfo=timezone.utc)
    assert plan.signed
    assert [(host.name, host.host) for host in plan.hosts] == [
        (f"@winrm/PC-0000{number}", f"PC-0000{number}") for number in range(1, 6)
    ]
    assert [host.host for host in plan.changing] == ["PC-00001", "PC-00002", "PC-00004", "PC-00005"]
    healthy, stuck = plan.hosts[2], plan.hosts[3]
    assert (healthy.verdict, healthy.steps, healthy.left_alone) == ("healthy", (), "compliant: nothing to change")
    assert (stuck.verdict, stuck.reason) == ("stuck", document["hosts"][3]["reason"])
    assert (stuck.fingerprint, stuck.left_alone) == (document["hosts"][3]["fingerprint"], "")
    assert stuck.steps == (
        SetStartMode("CcmExec", "Disabled", "Auto"),
        SetServiceState("CcmExec", "Stopped", "Running"),
        SetMode(False, "true"),
        RequestPolicy(),
    )
    assert stuck.policy == Policy()
    assert stuck.document == document["hosts"][3]


def test_a_time_in_another_zone_is_the_same_moment(path: Path, document: Document) -> None:
    plan = load_signed(path, {**document, "created": "2026-11-26T01:00:00+05:30", "expires": "2026-11-26T16:00:00Z"})

    assert (str(plan.created), str(plan.expires)) == ("2026-11-25 19:30:00+00:00", "2026-11-26 16:00:00+00:00")


def test_a_host_that_could_not_be_assessed_is_read_without_a_fingerprint(path: Path, document: Document) -> None:
    document["hosts"][2].update(name="PC-9", verdict="unassessed", fingerprint=None)

    host = load_signed(path, document).hosts[2]

    assert (host.name, host.host, host.fingerprint) == ("PC-9", "PC-9", None)


def test_a_plan_that_was_accepted_cannot_be_changed_afterwards(path: Path, document: Document) -> None:
    plan = load_signed(path, document)

    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.expires = NOW + timedelta(days=999)  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.hosts[2].steps = plan.hosts[3].steps  # type: ignore[misc]


def test_a_plan_has_a_line_for_each_host() -> None:
    written = as_text({"format": "provmode-plan", "hosts": [{"name": "PC-ä"}, {"name": "PC-2"}], "limit": ["a", "b"]})

    assert written == (
        '{\n "format": "provmode-plan",\n "hosts": [\n  {"name": "PC-ä"},\n  {"name": "PC-2"}\n ],\n'
        ' "limit": ["a", "b"]\n}\n'
    )


# -- the signature ----------------------------------------------------------------------------------------------------


def test_the_signature_is_an_hmac_over_the_rest_as_canonical_json() -> None:
    canonical = b'{"a":"\xc3\xa4\xed\xa0\x80","b":[1,{"c":null,"d":true}]}'
    value = hmac.new(KEY, canonical, hashlib.sha256).hexdigest()

    signed = sign({"b": [1, {"d": True, "c": None}], "signature": "an old one", "a": "ä\ud800"}, KEY)

    assert signed == {
        "a": "ä\ud800",
        "b": [1, {"c": None, "d": True}],
        "signature": {"algorithm": "HMAC-SHA256", "value": value},
    }


def test_without_a_key_a_plan_has_an_empty_signature() -> None:
    assert sign({"a": 1, "signature": "an old one"}, None) == {"a": 1, "signature": None}


def test_a_plan_is_refused_if_its_signature_does_not_prove_it(path: Path, document: Document) -> None:
    unsigned, edited = sign(document, None), {**document, "by": "somebody else"}
    without_mac = {**document, "signature": {"algorithm": "HMAC-SHA256"}}
    does_not_fit = (
        "the signature of PLAN does not fit: the plan was changed, or signed with another key; "
        "give the key that it was signed with, or plan anew"
    )

    assert refusal(path, unsigned, KEY, unsigned=False) == (
        "the plan PLAN is not signed; sign plans with a key, or give --unsigned"
    )
    assert refusal(path, document, None) == (
        "the plan PLAN is signed and there is no key to check it with; give --key-file or $PROVMODE_PLAN_KEY"
    )
    for changed in (edited, without_mac, {**document, "signature": "text"}, {**document, "signature": {}}):
        assert refusal(path, changed, KEY, unsigned=True) == does_not_fit
    assert refusal(path, document, KEY[::-1], unsigned=True) == does_not_fit


def test_a_plan_that_needs_no_signature_is_read_with_and_without_one(path: Path, document: Document) -> None:
    write(path, sign(document, None))
    assert not load(path, None, unsigned=True, now=NOW).signed
    assert not load(path, KEY, unsigned=True, now=NOW).signed

    write(path, document)
    assert load(path, KEY, unsigned=True, now=NOW).signed


# -- when -------------------------------------------------------------------------------------------------------------


def test_a_plan_is_accepted_until_the_moment_at_which_it_expires(path: Path, document: Document) -> None:
    expires = datetime.fromisoformat(document["expires"])

    assert load_signed(path, document, expires - timedelta(microseconds=1))
    assert refusal(path, document, KEY, now=expires) == "the plan PLAN expired at 2027-10-25 01:15 UTC; plan anew"


def test_the_clock_of_who_made_a_plan_may_be_five_minutes_ahead(path: Path, document: Document) -> None:
    created = datetime.fromisoformat(document["created"])

    assert load_signed(path, document, created - timedelta(minutes=5))
    assert refusal(path, document, KEY, now=created - timedelta(minutes=5, microseconds=1)) == (
        "the plan PLAN was made at 2026-11-25 17:15 UTC, and here it is 2026-11-25 17:10 UTC; "
        "one of the two clocks is wrong: set it right, and plan anew"
    )


# -- what is not a plan -----------------------------------------------------------------------------------------------


def test_a_plan_that_cannot_be_read_is_not_a_refused_plan(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as missing:
        load(tmp_path / "plan.json", KEY, unsigned=True, now=NOW)
    with pytest.raises(UsageError) as folder:
        load(tmp_path, KEY, unsigned=True, now=NOW)

    assert str(missing.value) == f"cannot read the plan {tmp_path}/plan.json: No such file or directory"
    assert str(folder.value) == f"cannot read the plan {tmp_path}: Is a directory"


def test_a_file_of_another_kind_is_refused_by_what_it_is(path: Path, document: Document) -> None:
    path.write_bytes(b'{"format": "provmode-plan"')
    with pytest.raises(PlanRefused) as refused:
        load(path, KEY, unsigned=True, now=NOW)
    assert str(refused.value) == f"{path} is not a plan file (not valid JSON); plan anew"

    for other in (["format"], {"format": "provmode-report"}, {**document, "format": None}):
        assert refusal(path, other, KEY) == "PLAN is not a plan of provmode"


@pytest.mark.parametrize(("version", "shown"), [(2, "2"), (0, "0"), ("1", "'1'"), (True, "True"), (None, "None")])
def test_a_plan_of_another_version_is_refused_before_its_signature_is_checked(
    path: Path, document: Document, version: object, shown: str
) -> None:
    assert refusal(path, {**document, "version": version}) == f"PLAN has plan version {shown}; this provmode applies 1"


def put(name: str, value: object, host: int | None = None) -> Edit:
    """Return an edit that gives a field of the plan, or of one of its hosts, another value."""
    return lambda plan: (plan if host is None else plan["hosts"][host]).update({name: value})


def left_out(name: str, host: int | None = None) -> Edit:
    """Return an edit that leaves a field out."""
    return lambda plan: (plan if host is None else plan["hosts"][host]).pop(name)


def step(**fields: object) -> Edit:
    """Return an edit that gives the first host one step only."""
    return put("steps", [fields], 0)


DIGEST = "a" * 64
TCF = {"kind": "tcf", "path": "C:\\x", "before": DIGEST, "after": DIGEST, "encoding": "UTF-8", "diff": []}
START = {"kind": "start-mode", "service": "CcmExec", "before": "Disabled", "after": "Auto"}
STATE = {"kind": "service-state", "service": "CcmExec", "before": "Stopped", "after": "Running"}


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        *(
            (left_out(name), f"'{name}' is missing")
            for name in ("id", "inventory", "created", "expires", "by", "hosts")
        ),
        *((put(name, 7), f"{name} is 7, not text") for name in ("id", "inventory", "created", "expires", "by")),
        (put("hosts", {"PC-1": {}}), "hosts is {'PC-1': {}}, not a list"),
        (put("hosts", "PC-1"), "hosts is 'PC-1', not a list"),
        (put("created", "2026-11-25T17:15:14"), "the time 2026-11-25T17:15:14 has no offset"),
        (put("expires", "2027-11-25"), "the time 2027-11-25 has no offset"),
        (put("expires", "tomorrow"), "Invalid isoformat string: 'tomorrow'"),
        (put("hosts", ["PC-1"]), "a host is 'PC-1', not an object"),
        *((left_out(name, 0), f"'{name}' is missing") for name in ("name", "verdict", "fingerprint", "steps")),
        *((left_out(name, 0), f"'{name}' is missing") for name in ("reason", "left_alone", "policy")),
        *((put(name, None, 0), f"{name} is None, not text") for name in ("name", "verdict", "reason", "left_alone")),
        (put("name", "", 0), "a host has no name"),
        (put("name", "@winrm/", 0), "a host has no name"),
        (put("verdict", "fine", 0), "'fine' is not a valid Verdict"),
        (left_out("facts", 0), "@winrm/PC-00001: facts is not an object"),
        (put("facts", [], 0), "@winrm/PC-00001: facts is not an object"),
        (put("fingerprint", 5, 0), "@winrm/PC-00001: fingerprint is 5, not text"),
        (put("fingerprint", None, 0), "@winrm/PC-00001 has steps although it was not assessed"),
        (put("steps", {}, 0), "steps is {}, not a list"),
        (put("name", "@winrm/PC-00003", 0), "it has @winrm/PC-00003 twice"),
        (put("steps", ["tcf"], 0), "@winrm/PC-00001: 'tcf' is not a step of a plan"),
        (step(), "@winrm/PC-00001: {} is not a step of a plan"),
        (step(kind=["tcf"]), "@winrm/PC-00001: {'kind': ['tcf']} is not a step of a plan"),
        (step(kind="lunch"), "@winrm/PC-00001: {'kind': 'lunch'} is not a step of a plan"),
        (step(kind="registry-key"), "@winrm/PC-00001: {'kind': 'registry-key'} is not a step of a plan"),
        (step(kind="policy", at="once"), "@winrm/PC-00001: {'kind': 'policy', 'at': 'once'} is not a step of a plan"),
        (
            step(kind="mode", enabled=False),
            "@winrm/PC-00001: {'kind': 'mode', 'enabled': False} is not a step of a plan",
        ),
        (step(kind="mode", enabled=True, before="true"), "@winrm/PC-00001: enabled of the step mode is True"),
        (step(kind="mode", enabled=0, before="true"), "@winrm/PC-00001: enabled of the step mode is 0"),
        (step(kind="mode", enabled=False, before="false"), "@winrm/PC-00001: before of the step mode is 'false'"),
        (step(**{**TCF, "path": ""}), "@winrm/PC-00001: path of the step tcf is ''"),
        (step(**{**TCF, "after": None}), "@winrm/PC-00001: after of the step tcf is None"),
        (step(**{**TCF, "before": "A" * 64}), f"@winrm/PC-00001: before of the step tcf is '{'A' * 59}"),
        (step(**{**TCF, "before": "a" * 65}), f"@winrm/PC-00001: before of the step tcf is '{'a' * 59}"),
        (step(**{**TCF, "diff": "+x"}), "@winrm/PC-00001: diff of the step tcf is '+x'"),
        (step(**{**TCF, "diff": ["+x", 1]}), "@winrm/PC-00001: diff of the step tcf is ['+x', 1]"),
        (step(**{**TCF, "diff": {"+x": 1}}), "@winrm/PC-00001: diff of the step tcf is {'+x': 1}"),
        (step(**{**START, "after": "Boot"}), "@winrm/PC-00001: after of the step start-mode is 'Boot'"),
        (step(**{**STATE, "after": "Stopped"}), "@winrm/PC-00001: after of the step service-state is 'Stopped'"),
    ],
)
def test_a_plan_that_is_not_whole_is_refused_by_what_is_wrong_in_it(
    path: Path, document: Document, edit: Edit, what: str
) -> None:
    edited = copy.deepcopy(document)
    edit(edited)

    assert refusal(path, sign(edited, None)) == f"PLAN is not a whole plan: {what}; plan anew"
    assert refusal(path, sign(edited, KEY), KEY, unsigned=False) == f"PLAN is not a whole plan: {what}; plan anew"


def test_a_plan_with_a_wrong_policy_is_refused_by_the_name_of_the_host(path: Path, document: Document) -> None:
    document["hosts"][1]["policy"]["grace_minutes"] = "soon"

    refused = refusal(path, sign(document, None))

    assert refused.startswith("PLAN is not a whole plan: @winrm/PC-00002: ")
    assert "grace_minutes" in refused


def test_a_step_is_read_as_it_was_planned(path: Path, document: Document) -> None:
    put("steps", [{**TCF, "diff": ["-x", "+é"]}, START, STATE], 0)(document)

    tcf, start, state = load_signed(path, document).hosts[0].steps

    assert tcf.to_json() == {**TCF, "diff": ["-x", "+é"]}
    assert (start, state) == (
        SetStartMode("CcmExec", "Disabled", "Auto"),
        SetServiceState("CcmExec", "Stopped", "Running"),
    )


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_has_at_least_sixteen_bytes_without_the_space_around_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b" 0123456789abcdef\r\n")

    assert key_from(file, {}) == SharedKey(b"0123456789abcdef")
    assert key_from(None, {KEY_ENVIRONMENT: " schlüssel-sechzehn\n"}) == SharedKey("schlüssel-sechzehn".encode())
    assert key_from(None, {KEY_ENVIRONMENT: "ü" * 8}) == SharedKey("ü".encode() * 8)
    file.write_bytes(b"0123456789abcde \n")
    for where, environment in ((file, {}), (None, {KEY_ENVIRONMENT: "0123456789abcde"})):
        with pytest.raises(UsageError) as refused:
            key_from(where, environment)
        assert str(refused.value) == "the plan key has 15 bytes, under 16; make one: openssl rand -hex 32"


def test_a_key_file_comes_before_the_environment_and_must_be_readable(tmp_path: Path) -> None:
    environment = {"PROVMODE_PLAN_KEY": "k" * 40}
    (tmp_path / "key").write_bytes(KEY)

    assert key_from(tmp_path / "key", environment) == SharedKey(KEY)
    assert key_from(None, environment) == SharedKey(b"k" * 40)
    assert key_from(None, {}) is None
    with pytest.raises(UsageError) as refused:
        key_from(tmp_path / "no-key", environment)
    assert str(refused.value) == f"cannot read the key file {tmp_path}/no-key: No such file or directory"


def test_a_new_plan_can_be_read_by_its_owner_only(path: Path, document: Document) -> None:
    before = os.umask(0)
    try:
        write(path, document)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text("utf-8")) == document
