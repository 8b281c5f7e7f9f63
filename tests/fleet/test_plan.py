"""The plan: a signed file with what was seen and what would be changed; an edited or partial plan is refused."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.fleet.approvals import approved
from provmode.fleet.plan_file import KEY_ENVIRONMENT, PlanRefused, key_from, load, sign, write
from provmode.lab.fleet import compose
from provmode.lab.personas import build_pc
from provmode.lab.process import LabProcess
from provmode.lab.windows.deployments import WindowType
from provmode.signing.keys import Key, PrivateKey, SharedKey

Run = Callable[..., Any]
Document = dict[str, Any]
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "plan.schema.json").read_text("utf-8"))
KEY = b"0123456789abcdef0123456789abcdef"
MIX = {
    **dict.fromkeys(("overdue", "half-exited", "armed", "stuck-old-client", "stuck-service-disabled"), 4),
    **dict.fromkeys(("healthy", "no-client", "osd-running", "self-healing", "client-broken", "refused"), 1),
}


def now() -> datetime:
    return datetime.now(timezone.utc)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROVMODE")}
    return subprocess.run(
        [sys.executable, "-m", "provmode", *arguments],
        cwd=folder,
        env={**clean, KEY_ENVIRONMENT: KEY.decode()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """A real plan of a fleet in which every kind of step occurs, and whether planning changed a PC."""
    folder = tmp_path_factory.mktemp("plan")
    with LabProcess(40, 2, mix=MIX, inventory=folder / "lab.py") as lab:
        before = lab.mutations()
        ran = run(folder, "plan", "lab.py", "--output", "plan.json", "--limit", "PC-*")
        yield {"ran": ran, "folder": folder, "unchanged": lab.mutations() == before, "lab": lab}


@pytest.fixture(scope="module")
def document(planned: Mapping[str, Any]) -> Document:
    text = (planned["folder"] / "plan.json").read_text("utf-8")
    found: Document = json.loads(text)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plan") / "edited.json"


# -- the schema -------------------------------------------------------------------------------------------------------

TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "format"}


def misfits(schema: Any, value: Any, where: str = "plan") -> list[str]:
    """Return where *value* does not fit *schema*; knows only the part of JSON Schema 2020-12 that our schema uses."""
    if schema is True:
        return []
    if "$ref" in schema:
        return misfits(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, where)
    found: list[str] = []
    for keyword, expected in schema.items():
        found += [] if keyword in ANNOTATIONS else KEYWORDS[keyword](expected, value, where, schema)
    return found


def _one_of(expected: Any, value: Any, where: str, schema: Any) -> list[str]:
    fitting = [part for part in expected if not misfits(part, value, where)]
    return [] if len(fitting) == 1 else [f"{where}: {len(fitting)} of {len(expected)} fit {value!r:.200}"]


def _properties(expected: Any, value: Any, where: str, schema: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    return [
        found for name in expected if name in value for found in misfits(expected[name], value[name], f"{where}.{name}")
    ]


def _additional(expected: Any, value: Any, where: str, schema: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    more = set(value) - set(schema.get("properties", {}))
    if expected is False:
        return [f"{where}: {name} is too much" for name in more]
    return [found for name in more for found in misfits(expected, value[name], f"{where}.{name}")]


def _items(expected: Any, value: Any, where: str, schema: Any) -> list[str]:
    if not isinstance(value, list):
        return []
    return [found for number, item in enumerate(value) for found in misfits(expected, item, f"{where}[{number}]")]


def _when(fits: Callable[[Any, Any], bool]) -> Callable[[Any, Any, str, Any], list[str]]:
    return lambda expected, value, where, schema: (
        [] if fits(expected, value) else [f"{where}: {value!r:.60} is not {expected!r}"]
    )


KEYWORDS: dict[str, Callable[[Any, Any, str, Any], list[str]]] = {
    "type": _when(lambda expected, value: TYPES[expected](value)),
    "const": _when(lambda expected, value: type(expected) is type(value) and expected == value),
    "enum": _when(lambda expected, value: isinstance(value, str) and value in expected),
    "pattern": _when(lambda expected, value: not isinstance(value, str) or re.search(expected, value) is not None),
    "minLength": _when(lambda expected, value: not isinstance(value, str) or len(value) >= expected),
    "minItems": _when(lambda expected, value: not isinstance(value, list) or len(value) >= expected),
    "minimum": _when(lambda expected, value: not TYPES["integer"](value) or value >= expected),
    "maximum": _when(lambda expected, value: not TYPES["integer"](value) or value <= expected),
    "required": _when(lambda expected, value: not isinstance(value, dict) or set(expected) <= set(value)),
    "oneOf": _one_of,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
}


def test_a_real_plan_conforms_to_the_schema(document: Document) -> None:
    assert misfits(SCHEMA, document) == []
    assert {host["verdict"] for host in document["hosts"]} >= {"overdue", "armed", "unassessed", "in-progress"}
    assert {step["kind"] for host in document["hosts"] for step in host["steps"]} == {
        *("tcf", "start-mode", "service-state", "mode", "policy")
    }


@pytest.mark.parametrize("author", [PrivateKey(b"a" * 32), SharedKey(KEY), None])
def test_a_plan_that_was_signed_and_approved_conforms_to_the_schema(document: Document, author: Key | None) -> None:
    plan = sign(document, author)
    if author is not None:
        for number, key in enumerate((PrivateKey(b"b" * 32), PrivateKey(b"c" * 32))):
            about: dict[str, Any] = {"author": author, "made_by": plan["by"], "path": Path("plan.json")}
            plan = approved(plan, key, by=f"approver{number}@desk", now=now(), **about)

    assert misfits(SCHEMA, plan) == []
    assert len(plan.get("approvals", [])) == (2 if author is not None else 0)


def test_the_schema_names_its_dialect_and_version() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["properties"]["version"] == {"const": 1}
    assert SCHEMA["additionalProperties"] is False


AUDIT_SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "audit.schema.json").read_text("utf-8"))


def inlined(schema: Any) -> Any:
    """Return a part of the audit's schema with what its references lead to in their place."""
    if isinstance(schema, list):
        return [inlined(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(AUDIT_SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    return {name: inlined(part) for name, part in schema.items() if name != "$defs"}


def test_a_real_audit_conforms_to_its_schema(planned: Mapping[str, Any]) -> None:
    lowered = 'provmode_policy={"not_legitimate_processes": ["ccmsetup.exe"]}'
    ran = run(
        planned["folder"],
        "audit",
        "lab.py",
        "--format",
        "json",
        "--limit",
        "PC-*",
        "--exclude",
        "pc-00001",
        "--data",
        lowered,
        "--retry-until",
        (now() + timedelta(seconds=59)).isoformat(),
        "--every",
        "1m",
    )

    report = json.loads(ran.stdout)
    assert misfits(inlined(AUDIT_SCHEMA), report, "audit") == []
    assert set(AUDIT_SCHEMA["properties"]) - set(report) == {
        "interrupted",
        "missing",
        "run",
        "change",
        "only",
        "waivers",
    }
    assert set(AUDIT_SCHEMA["required"]) <= set(report)
    assert (report["limit"], report["inventory"]) == (["PC-*"], "lab.py")
    assert (report["exclude"], "PC-00001" in [host["host"] for host in report["hosts"]]) == (["pc-00001"], False)
    for name in ("format", "version", "began", "provmode", "summary", "lowered_protection"):
        assert misfits(inlined(AUDIT_SCHEMA), {**report, name: 7}, "audit"), name


def test_what_audit_and_plan_have_in_common_has_one_schema() -> None:
    host, planned_host = AUDIT_SCHEMA["$defs"].pop("host"), SCHEMA["$defs"]["host"]
    assert AUDIT_SCHEMA["$defs"].items() <= SCHEMA["$defs"].items()
    AUDIT_SCHEMA["$defs"]["host"] = host
    assert set(host["properties"]) - set(planned_host["properties"]) == {"tries"}  # a plan looks once
    common = {name: value for name, value in host["properties"].items() if name != "tries"}
    assert common.items() <= planned_host["properties"].items()
    assert set(host["required"]) == set(planned_host["required"]) & set(host["properties"])


# -- showing a plan ---------------------------------------------------------------------------------------------------


def test_a_plan_is_shown_whole_with_every_name(planned: Mapping[str, Any], document: Document) -> None:
    ran = run(planned["folder"], "show", "plan.json")

    assert ran.returncode == 0, ran.stderr
    assert f"plan {document['id']}\n" in ran.stdout
    assert "signed with the given key" in ran.stdout
    assert "inventory lab.py, limited to PC-*" in ran.stdout
    assert ran.stdout.endswith(planned["ran"].stdout)  # what `plan` itself printed into a pipe
    lines = ran.stdout.splitlines()
    for host in document["hosts"]:
        assert any(line.strip().startswith(f"{host['host']}: ") and host["reason"] in line for line in lines), host
    assert "more" not in ran.stdout.split()


def test_a_plan_is_shown_without_its_key_and_after_its_time_and_says_so(
    planned: Mapping[str, Any], document: Document, place: Path
) -> None:
    old = {**document, "created": "2020-01-01T00:00:00+00:00", "expires": "2020-01-02T00:00:00+00:00"}
    write(place, sign(old, KEY))
    changed = place.with_name("changed.json")
    write(changed, {**document, "by": "somebody else"})

    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROVMODE")}
    command = [sys.executable, "-m", "provmode", "show"]
    without = subprocess.run([*command, str(place)], env=clean, capture_output=True, text=True, check=False)
    refused = run(planned["folder"], "show", str(changed))

    assert without.returncode == 0, without.stderr
    assert "signed; not checked, because no key was given: anybody can have changed it" in without.stdout
    assert "expired 2020-01-02 00:00:00 UTC" in without.stdout
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "the plan was changed, or signed with another key" in refused.stderr


@pytest.mark.parametrize("text", ["", "{}", "not a plan", '{"format": "provmode-plan", "version": 1}'])
def test_what_is_neither_plan_nor_journal_is_refused_in_one_line(
    planned: Mapping[str, Any], place: Path, text: str
) -> None:
    place.write_text(text)

    ran = run(planned["folder"], "show", str(place))

    assert ran.returncode == 3
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stdout == ""


# -- planning ---------------------------------------------------------------------------------------------------------


def test_planning_changes_nothing(planned: Mapping[str, Any]) -> None:
    assert planned["ran"].returncode == 6, planned["ran"].stderr
    assert planned["unchanged"] is True


def test_every_host_is_in_the_plan_with_steps_or_with_a_reason(document: Document) -> None:
    assert len(document["hosts"]) == 40
    for host in document["hosts"]:
        assert bool(host["steps"]) is not bool(host["left_alone"])
        assert (host["verdict"] in ("stuck", "overdue", "half-exited", "armed")) is bool(host["steps"])
        assert (host["impact"] is not None) is any(step["kind"] == "mode" for step in host["steps"])


def test_identical_changes_fold_and_the_blast_radius_is_shown(planned: Mapping[str, Any], document: Document) -> None:
    printed = " ".join(planned["ran"].stdout.split())
    changing = [host for host in document["hosts"] if host["steps"]]
    leaving = sum(
        any(step["kind"] == "mode" and step["before"] == "true" for step in host["steps"]) for host in changing
    )
    starting = sum(bool(host["impact"] and host["impact"]["past_due"].get("known")) for host in changing)

    assert f"changes {len(changing)} of 40" in printed
    assert printed.count("ProvisioningMode true -> false") == 1
    assert f"{leaving} hosts: ProvisioningMode true -> false" in printed
    assert f"{starting} hosts would start installing at once" in printed


def restart_and_windows(name: str) -> tuple[bool, bool, bool]:
    """Return whether a PC of the fleet has a restart pending, a maintenance window open, other hours open."""
    item = next(item for item in compose(40, 2, MIX) if item.name == name)
    pc = build_pc(item.persona, item.name, item.seed, now(), lambda: 0.0)
    assert pc.client is not None
    spans = [(each.type, *each.occurrence(pc.now())) for each in pc.client.service_windows]
    open_now = {kind for kind, begin, end in spans if begin <= pc.now() < end}
    free_time = WindowType.NON_WORKING_HOURS in open_now
    return pc.client.pending_restart is not None, bool(open_now - {WindowType.NON_WORKING_HOURS}), free_time


def test_the_plan_names_who_would_restart_and_whose_window_is_open(
    planned: Mapping[str, Any], document: Document
) -> None:
    leaving = {host["name"].removeprefix("@winrm/"): host["impact"] for host in document["hosts"] if host["impact"]}
    known = {name: restart_and_windows(name) for name in leaving}
    restarting = sorted(name for name, (restart, _, _) in known.items() if restart)
    in_window = sorted(name for name, (_, window, _) in known.items() if window)

    assert [name for name in sorted(leaving) if leaving[name]["reboot_pending"] == {"known": True}] == restarting
    assert [name for name in sorted(leaving) if leaving[name]["window_open"] == {"known": True}] == in_window
    assert any(free_time and not window for _, window, free_time in known.values()), (
        "the fleet needs a PC in its free time"
    )
    printed = " ".join(planned["ran"].stdout.split())
    for words, names in (("a restart is pending", restarting), ("a maintenance window is open", in_window)):
        assert 1 < len(names) < len(leaving)
        assert f"{len(names)} hosts: {words}: {', '.join(names)}" in printed


def test_a_host_that_is_in_the_inventory_twice_is_planned_once(planned: Mapping[str, Any], tmp_path: Path) -> None:
    lab = planned["lab"]
    host = next(host for host in lab.hosts if host.persona == "overdue")
    data = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file)}
    address = {"winrm_address": host.address, "winrm_port": host.port}
    name = f"@winrm/{host.name}"
    (tmp_path / "twice.py").write_text(
        f"pcs = ({[(name, address), (name, address)]!r}, {data!r})\nmore = [({name!r}, {address!r})]\n"
    )

    ran = run(tmp_path, "plan", "twice.py", "--output", "plan.json")

    assert ran.returncode == 2, ran.stderr
    assert [item["name"] for item in json.loads((tmp_path / "plan.json").read_text())["hosts"]] == [name]


# -- the signature ----------------------------------------------------------------------------------------------------


def test_a_signed_plan_is_accepted_only_with_its_key(planned: Mapping[str, Any], document: Document) -> None:
    path = planned["folder"] / "plan.json"
    plan = load(path, KEY, unsigned=False, now=now())

    assert plan.signed
    assert [host.name for host in plan.hosts] == [host["name"] for host in document["hosts"]]
    for key in (KEY[:-1] + b"0", None):
        with pytest.raises(PlanRefused):
            load(path, key, unsigned=True, now=now())


def test_an_unsigned_plan_is_accepted_only_when_asked_for(place: Path, document: Document) -> None:
    write(place, sign(document, None))

    with pytest.raises(PlanRefused, match="not signed"):
        load(place, KEY, unsigned=False, now=now())
    assert not load(place, KEY, unsigned=True, now=now()).signed


def test_a_plan_is_refused_once_it_has_expired(place: Path, document: Document) -> None:
    write(place, sign(document, KEY))
    expires = datetime.fromisoformat(document["expires"])

    load(place, KEY, unsigned=False, now=expires - timedelta(seconds=1))
    with pytest.raises(PlanRefused, match="expired"):
        load(place, KEY, unsigned=False, now=expires)


def test_a_plan_that_was_made_in_the_future_is_refused(place: Path, document: Document) -> None:
    write(place, sign(document, KEY))
    created = datetime.fromisoformat(document["created"])

    load(place, KEY, unsigned=False, now=created - timedelta(minutes=5))
    for ahead in (timedelta(minutes=5, seconds=1), timedelta(days=30)):
        with pytest.raises(PlanRefused, match="one of the two clocks is wrong"):
            load(place, KEY, unsigned=False, now=created - ahead)


def test_a_plan_at_the_edge_of_the_calendar_is_refused(place: Path, document: Document) -> None:
    times = {"created": "9999-12-31T23:59:59+00:00", "expires": "9999-12-31T23:59:59+00:00"}
    write(place, sign({**document, **times}, KEY))

    with pytest.raises(PlanRefused, match="one of the two clocks is wrong"):
        load(place, KEY, unsigned=False, now=now())


def test_a_plan_of_another_version_is_refused(place: Path, document: Document) -> None:
    for version in (2, "1", None, True):
        write(place, sign({**document, "version": version}, KEY))
        with pytest.raises(PlanRefused, match="version"):
            load(place, KEY, unsigned=False, now=now())


STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**70, -0.5, 1e308, "", "x", "ß\ud800", "2026-01-01", "@winrm/"),
    *([], [[]], [None], {}, {"kind": "mode"}),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document."""
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in pairs:
        yield from places(item, (*path, name))


def edited(document: Document) -> Iterator[Document]:
    """Yield plans of one host: each value replaced by strange values in turn, and each value left out."""
    changing = next(host for host in document["hosts"] if len(host["steps"]) > 3)
    small = {**document, "hosts": [{**changing, "facts": {"tcf": changing["facts"]["tcf"]}}]}
    for number, path in enumerate(places(small)):
        for value in (..., *(STRANGE[(number + each) % len(STRANGE)] for each in range(0, len(STRANGE), 3))):
            changed = copy.deepcopy(small)
            parent = changed
            for name in path[:-1]:
                parent = parent[name]
            if value is ...:
                del parent[path[-1]]
            elif json.dumps(value) != json.dumps(parent[path[-1]]):
                parent[path[-1]] = value
            else:
                continue
            yield changed


def test_a_signed_plan_is_refused_whatever_was_edited(place: Path, document: Document) -> None:
    changing = next(host for host in document["hosts"] if len(host["steps"]) > 3)
    small = {**document, "hosts": [{**changing, "facts": {"tcf": changing["facts"]["tcf"]}}]}
    signature = sign(small, KEY)["signature"]
    for changed in edited(document):
        if sign(changed, KEY)["signature"] == signature:
            continue  # only the old signature was edited
        place.write_text(json.dumps({**changed, "signature": signature}), "utf-8")
        with pytest.raises((PlanRefused, UsageError)):
            load(place, KEY, unsigned=True, now=now())


@pytest.mark.parametrize("more", [{"algorithm": "HMAC-MD5"}, {"algorithm": None}, {"note": "harmless"}])
def test_a_signature_with_other_fields_is_refused(place: Path, document: Document, more: dict[str, object]) -> None:
    signed = sign(document, KEY)
    place.write_text(json.dumps({**signed, "signature": {**signed["signature"], **more}}), "utf-8")

    with pytest.raises(PlanRefused):
        load(place, KEY, unsigned=False, now=now())


@pytest.mark.parametrize("value", ["", "\u20ac", "\ud800", None, 7, []])
def test_an_invalid_signature_is_refused(place: Path, document: Document, value: object) -> None:
    signed = sign(document, KEY)
    place.write_text(json.dumps({**signed, "signature": {**signed["signature"], "value": value}}), "utf-8")

    with pytest.raises(PlanRefused):
        load(place, KEY, unsigned=False, now=now())


def test_an_unsigned_plan_with_strange_types_is_read_or_refused_in_one_line(place: Path, document: Document) -> None:
    for changed in edited(document):
        place.write_text(json.dumps(sign(changed, None)), "utf-8")
        try:
            plan = load(place, None, unsigned=True, now=now())
        except (PlanRefused, UsageError) as error:
            refused = str(error)
        else:
            refused = ""
            assert all(host.host and host.policy for host in plan.hosts)
            steps = [step.to_json() for host in plan.hosts for step in host.steps]
            assert all(not misfits(SCHEMA["$defs"]["step"], step) for step in steps)
        assert "\n" not in refused
        assert not refused or "was not assessed" in refused or misfits(SCHEMA, sign(changed, None)), refused


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", '"text"', "{}", '{"format": "provmode-plan"}', "[" * 100_000, '{"a":' * 50_000],
)
def test_a_file_that_is_not_a_plan_is_refused_in_one_line(place: Path, text: str) -> None:
    place.write_text(text)

    with pytest.raises((UsageError, PlanRefused)) as raised:
        load(place, KEY, unsigned=True, now=now())
    assert "\n" not in str(raised.value)


def test_a_binary_file_is_not_a_plan(place: Path) -> None:
    place.write_bytes(b"\xff\xfe\x00\xd8{}")

    with pytest.raises(PlanRefused, match="not valid JSON"):
        load(place, KEY, unsigned=True, now=now())


def _with_step(document: Document, **step: Any) -> Document:
    changing = copy.deepcopy(next(host for host in document["hosts"] if host["steps"]))
    return sign({**document, "hosts": [{**changing, "steps": [step]}]}, None)


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "mode", "enabled": True, "before": "false"},
        {"kind": "mode", "enabled": "false", "before": "true"},
        {"kind": "mode", "enabled": 0, "before": "true"},
        {"kind": "start-mode", "service": "CcmExec", "before": "Auto", "after": "Boot"},
        {"kind": "service-state", "service": "CcmExec", "before": "Running", "after": "Stopped"},
        {"kind": "file", "path": "C:\\boot.ini", "before": "a" * 64, "after": None, "diff": [], "backup": "x"},
        {"kind": "registry-key", "key": "HKLM\\SOFTWARE", "present": False},
        {"kind": "policy", "and": "more"},
    ],
)
def test_a_plan_contains_only_steps_that_lead_out_of_the_mode(place: Path, document: Document, step: Document) -> None:
    write(place, _with_step(document, **step))

    with pytest.raises(PlanRefused, match="step"):
        load(place, None, unsigned=True, now=now())


def test_a_plan_with_a_host_twice_is_refused(place: Path, document: Document) -> None:
    write(place, sign({**document, "hosts": [document["hosts"][0]] * 2}, KEY))

    with pytest.raises(PlanRefused, match="twice"):
        load(place, KEY, unsigned=False, now=now())


# -- keys and files ---------------------------------------------------------------------------------------------------


def test_the_key_comes_from_a_file_or_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY + b"\n")
    (tmp_path / "short").write_bytes(b"short\n")

    assert key_from(tmp_path / "key", {KEY_ENVIRONMENT: "x" * 40}) == SharedKey(KEY)
    assert key_from(None, {KEY_ENVIRONMENT: KEY.decode()}) == SharedKey(KEY)
    assert key_from(None, {}) is None
    for file, environment in ((tmp_path / "short", {}), (tmp_path / "no", {}), (None, {KEY_ENVIRONMENT: ""})):
        with pytest.raises(UsageError):
            key_from(file, environment)


def test_a_plan_is_written_whole_or_not_at_all(tmp_path: Path, document: Document) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*plan\.json: No such file"):
        write(tmp_path / "missing" / "plan.json", document)

    write(tmp_path / "plan.json", document)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("mask", [0o022, 0o000])
def test_only_its_owner_can_read_a_new_plan(tmp_path: Path, document: Document, mask: int) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "plan.json", document)
    finally:
        os.umask(before)

    assert (tmp_path / "plan.json").stat().st_mode & 0o777 == 0o600


def test_a_plan_keeps_names_that_are_not_unicode(place: Path, document: Document) -> None:
    write(place, sign({**document, "inventory": "Flotte-\udce4.py", "by": "Jörg@büro"}, KEY))

    plan = load(place, KEY, unsigned=False, now=now())
    assert (plan.inventory, plan.by) == ("Flotte-\udce4.py", "Jörg@büro")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--output", "plan.json"), "no key to sign the plan with"),
        (("--output", "plan.json", "--key-file", "no"), "cannot read the key file"),
        (("--output", "plan.json", "--unsigned", "--valid", "0"), "--valid"),
        (("--output", "plan.json", "--unsigned", "--valid", "1e12"), "--valid"),
    ],
)
def test_bad_usage_is_one_line_before_any_host_is_looked_at(
    provmode: Run, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    ran = provmode("plan", "fleet.py", *arguments)

    assert ran.returncode == 1
    assert expected in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
