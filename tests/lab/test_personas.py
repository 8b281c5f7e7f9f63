"""The fleet and its personas: every PC has the verdict of its persona, and the same seed gives the same fleet."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Verdict
from provmode.lab import fleet
from provmode.lab.personas import BY_NAME, MODERN, OLD, PERSONAS, Persona, build_pc
from provmode.lab.server.hosting import Network
from provmode.lab.windows.configmgr import KEY, TCF_PATH, Client
from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HKLM

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
HOUR = 3600
SEEDS = range(40)
DOCUMENTED = {
    *("healthy", "in-progress", "self-healing", "stuck", "overdue", "half-exited", "armed", "client-broken"),
    *("no-client", "unassessed"),
}
CAUSES = {
    *("name-resolution", "connect-timeout", "refused", "tls", "auth", "access-denied", "quota", "protocol", "deadline"),
    "other-computer",
    "shells-forbidden",
}
NAMES = [persona.name for persona in PERSONAS]


def build(name: str, seed: int) -> PC:
    return build_pc(BY_NAME[name], f"PC-{seed}", seed, START, lambda: 0.0)


def client(pc: PC) -> Client:
    assert pc.client is not None
    return pc.client


def value(pc: PC, name: str) -> Any:
    found = pc.registry.get(HKLM, KEY, name)
    return None if found is None else found.data


def mode(pc: PC) -> bool:
    return str(value(pc, "ProvisioningMode")).lower() == "true"


def age(pc: PC) -> timedelta | None:
    entered = value(pc, "ProvisioningEnabledTime")
    return None if entered is None else pc.now() - datetime.fromtimestamp(int(entered), timezone.utc)


def limit(pc: PC) -> timedelta:
    return timedelta(minutes=value(pc, "ProvisioningMaxMinutes") or 2880)


def observed(pc: PC) -> str:
    """Return the verdict of a PC by the table of the design, from its visible state."""
    if pc.client is None:
        return "no-client"
    if not pc.client.wmi_present:
        return "client-broken"
    running = {process.name.lower() for process in pc.processes}
    if mode(pc):
        if running & {"tsmanager.exe", "setuphost.exe"}:
            return "in-progress"
        time, service = age(pc), pc.services.get("CcmExec")
        if time is None or pc.client.build < 8790:
            return "stuck"
        if time > limit(pc) + timedelta(minutes=60):
            return "overdue"
        return "stuck" if service is None or service.start_mode == "Disabled" else "self-healing"
    if value(pc, "SystemTaskExcludes"):
        return "half-exited"
    return "armed" if pc.client.tcf_armed(pc) else "healthy"


def state(pc: PC) -> dict[str, Any]:
    """Return the state of a PC that its seed decides."""
    return {
        "system": (pc.computer_name, pc.os_version, pc.caption, pc.utc_offset_minutes, pc.german, pc.booted, pc.now()),
        "values": pc.registry.values(HKLM, KEY),
        "files": sorted((file.path, file.data, file.modified) for file in pc.files.all()),
        "services": list(pc.services),
        "processes": list(pc.processes),
        "client": None
        if pc.client is None
        else (
            *(pc.client.version, pc.client.deployments, pc.client.task_sequences),
            *(pc.client.service_windows, pc.client.pending_restart),
        ),
    }


# -- personas ---------------------------------------------------------------------------------------------------


def test_names_of_personas_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES) == len(BY_NAME)


def test_the_verdicts_of_the_personas_are_the_documented_ones_and_all_occur() -> None:
    assert {persona.verdict for persona in PERSONAS} == DOCUMENTED == {str(verdict) for verdict in Verdict}


@pytest.mark.parametrize("persona", PERSONAS, ids=NAMES)
def test_only_unassessed_has_a_cause(persona: Persona) -> None:
    assert (persona.cause is not None) == (persona.verdict == "unassessed")
    assert persona.cause is None or persona.cause in CAUSES
    assert (persona.network != "answers") == (persona.verdict == "unassessed")
    assert Network(persona.network).value == persona.network
    assert persona.share > 0


@pytest.mark.parametrize(
    "persona", [each for each in PERSONAS if each.verdict != "unassessed"], ids=lambda each: each.name
)
def test_a_pc_has_the_verdict_of_its_persona(persona: Persona) -> None:
    assert {observed(build(persona.name, seed)) for seed in SEEDS} == {persona.verdict}


@pytest.mark.parametrize("name", NAMES)
def test_a_pc_has_the_time_of_its_clock_and_a_clean_record(name: str) -> None:
    pc = build(name, 1)
    assert pc.now() == START + BY_NAME[name].skew
    assert pc.booted < pc.now()
    assert pc.mutations == [], "building a PC is not a change"
    assert pc.computer_name == "PC-1"
    pc.files.write("C:\\new.txt", b"", START)
    assert [(item.what, item.road) for item in pc.mutations] == [("file C:\\new.txt written (0 bytes)", "hand")]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_pc_and_another_seed_another_pc(name: str) -> None:
    assert state(build(name, 5)) == state(build(name, 5))
    systems = {repr(state(build(name, seed))["system"][1:]) for seed in SEEDS}
    assert len(systems) > 10


def test_ages_keep_away_from_the_edges_of_the_default_policy() -> None:
    policy = Policy()
    for name in ("self-healing", "wrong-clock", "stuck-service-disabled", "overdue"):
        for seed in range(200):
            pc = build(name, seed)
            time = age(pc)
            assert time is not None
            assert time > timedelta(minutes=policy.minimum_age_minutes + 30)
            edge = limit(pc) + timedelta(minutes=60 + policy.grace_minutes / 2)
            assert abs(time - edge) > timedelta(hours=2), (name, seed)


def test_a_wrong_clock_is_over_its_limit_by_every_clock_but_its_own() -> None:
    policy = Policy()
    for seed in range(200):
        pc = build("wrong-clock", seed)
        time = age(pc)
        assert time is not None
        edge = limit(pc) + timedelta(minutes=60 + policy.grace_minutes)
        assert time < limit(pc) - timedelta(hours=1)
        assert time + (START - pc.now()) > edge + timedelta(minutes=30)


def test_every_client_has_non_working_hours_and_some_have_open_windows() -> None:
    met = set()
    for seed in range(100):
        pc = build("healthy", seed)
        windows = pc.enumerate("root/ccm/ClientSDK", "CCM_ServiceWindow")
        spans = [(each.properties["StartTime"], each.properties["EndTime"]) for each in windows]
        types = [each.properties["Type"] for each in windows]
        assert types.count(6) == 1
        assert set(types) <= {1, 4, 6}
        assert all(begin < end and end > pc.now() for begin, end in spans)
        met |= {(kind, begin <= pc.now()) for kind, (begin, _) in zip(types, spans, strict=True)}
    assert met == {(kind, is_open) for kind in (1, 4, 6) for is_open in (True, False)}


def test_running_personas_have_a_running_task_sequence() -> None:
    for name in ("osd-running", "upgrade-running"):
        for seed in SEEDS:
            pc = build(name, seed)
            assert client(pc).task_sequences_run(pc)
            assert pc.query("root/ccm/softmgmtagent", "SELECT * FROM CCM_TSExecutionRequest")


def test_personas_have_the_versions_they_need() -> None:
    assert all(int(version.split(".")[2]) >= 8790 for version in MODERN)
    assert all(int(version.split(".")[2]) < 8790 for version in OLD)
    assert {client(build("stuck-old-client", seed)).version for seed in range(100)} == set(OLD)
    assert {client(build("self-healing", seed)).version for seed in range(100)} == set(MODERN)


def test_an_armed_file_comes_in_several_encodings_and_is_always_found() -> None:
    marks: Counter[bytes] = Counter()
    for seed in range(100):
        data = build("armed", seed).files.read(TCF_PATH)
        assert data is not None
        marks[data[:2]] += 1
    assert {b"\xff\xfe", b"\xef\xbb"} < set(marks)


# -- over time --------------------------------------------------------------------------------------------------


def later(name: str, seed: int, hours: int) -> str:
    pc = build(name, seed)
    for _ in range(hours):
        pc.advance(HOUR)
    return observed(pc)


@pytest.mark.parametrize(
    ("name", "hours", "verdicts"),
    [
        ("healthy", 60, {"healthy"}),
        ("self-healing", 75, {"healthy"}),
        ("wrong-clock", 75, {"healthy"}),
        ("osd-running", 3, {"healthy"}),
        ("upgrade-running", 24, {"in-progress"}),
        ("stuck-old-client", 200, {"stuck"}),
        ("stuck-no-enabled-time", 200, {"stuck"}),
        ("stuck-service-disabled", 8, {"stuck"}),
        ("overdue", 48, {"overdue"}),
        ("half-exited", 200, {"half-exited"}),
        ("armed", 25, {"self-healing", "stuck"}),
        ("no-client", 60, {"no-client"}),
    ],
)
def test_a_pc_changes_over_time_as_documented(name: str, hours: int, verdicts: set[str]) -> None:
    assert {later(name, seed, hours) for seed in range(8)} <= verdicts


# -- the fleet --------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_fleet() -> None:
    assert fleet.compose(300, 7) == fleet.compose(300, 7)
    assert fleet.truth(fleet.compose(300, 7)) == fleet.truth(fleet.compose(300, 7))


def test_another_seed_gives_another_fleet() -> None:
    one, other = fleet.compose(300, 7), fleet.compose(300, 8)
    assert [item.persona.name for item in one] != [item.persona.name for item in other]
    assert {item.seed for item in one}.isdisjoint(item.seed for item in other)


def test_two_thousand_pcs_have_names_and_seeds_of_their_own() -> None:
    members = fleet.compose(2000, 1)
    assert len(members) == len({item.name for item in members}) == len({item.seed for item in members}) == 2000
    assert (members[0].name, members[-1].name) == ("PC-00001", "PC-02000")
    built = [build_pc(item.persona, item.name, item.seed, START, lambda: 0.0) for item in members]
    assert [pc.computer_name for pc in built] == [item.name for item in members]
    one, other = built[0], built[1]
    one.registry.set(HKLM, KEY, "Mine", one.registry.get(HKLM, "SYSTEM\\Setup", "CmdLine").type, "x")  # type: ignore[union-attr]
    assert other.registry.get(HKLM, KEY, "Mine") is None


def test_every_persona_is_in_a_fleet_that_is_large_enough() -> None:
    for seed in SEEDS:
        assert {item.persona.name for item in fleet.compose(len(NAMES), seed)} == set(NAMES)
    assert len(fleet.compose(len(NAMES) - 1, 0)) == len(NAMES) - 1


def test_a_fleet_follows_the_shares_of_its_personas() -> None:
    counts = Counter(item.persona.name for item in fleet.compose(10_000, 3))
    whole = sum(persona.share for persona in PERSONAS)
    for persona in PERSONAS:
        expected = 10_000 * persona.share / whole
        assert abs(counts[persona.name] - expected) < 5 * expected**0.5 + 1, persona.name


def test_a_fleet_follows_the_given_mix() -> None:
    members = fleet.compose(1000, 3, {"overdue": 3, "healthy": 1})
    counts = Counter(item.persona.name for item in members)
    assert set(counts) == {"overdue", "healthy"}
    assert 700 < counts["overdue"] < 800
    assert {item.persona.name for item in fleet.compose(2, 3, {"overdue": 1e6, "healthy": 1e-6})} == {
        "overdue",
        "healthy",
    }
    assert {item.persona.name for item in fleet.compose(5, 3, {"armed": 0.1})} == {"armed"}


@pytest.mark.parametrize(
    ("hosts", "mix", "words"),
    [
        (0, None, "give 1 or more"),
        (-5, None, "give 1 or more"),
        (5, {}, "the mix is empty"),
        (5, {"healty": 1}, "there is no persona 'healty'"),
        (5, {"healthy": 0}, "give more than 0"),
        (5, {"healthy": -1}, "give more than 0"),
        (5, {"healthy": float("nan")}, "give more than 0"),
        (5, {"healthy": float("inf")}, "give a number"),
        (5, {"healthy": 1, "armed": float("inf")}, "give a number"),
    ],
)
def test_an_invalid_fleet_is_rejected_with_a_reason(hosts: int, mix: dict[str, float] | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fleet.compose(hosts, 1, mix)


MIXES = st.dictionaries(st.sampled_from(NAMES), st.floats(0.001, 1000), min_size=1)


@given(st.integers(1, 120), st.integers(), MIXES)
def test_any_mix_gives_the_fleet_asked_for_and_its_truth(hosts: int, seed: int, mix: dict[str, float]) -> None:
    members = fleet.compose(hosts, seed, mix)
    assert len(members) == hosts
    assert {item.persona.name for item in members} <= set(mix)
    assert hosts < len(mix) or {item.persona.name for item in members} == set(mix)
    truth = fleet.truth(members)["hosts"]
    assert set(truth) == {item.name for item in members}
    for item in members:
        entry = dict(truth[item.name])
        assert entry.pop("persona") == item.persona.name
        assert entry.pop("verdict") in DOCUMENTED
        assert entry == ({} if item.persona.cause is None else {"cause": item.persona.cause})
