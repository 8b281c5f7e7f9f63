"""Plans of packages are applied, resumed, undone and remembered like any other, and no byte of a package is shown."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from provmode.fleet.journal import read
from provmode.lab.packages.catalogue import CANARY, made, signer
from provmode.lab.packages.engine import Faults
from provmode.lab.windows.deployments import ServiceWindow, WindowType
from provmode.lab.windows.store import HKLM, RegType

SETTLED = "its packages are as the inventory wants them"
TCF = "C:\\Windows\\ccmsetup\\MobileClient.TCF"
UPLOADS = "C:\\Windows\\System32\\config\\systemprofile"


def absent(name: str) -> dict[str, Any]:
    """Return how the inventory says that a package of the catalogue should not be there."""
    return {"id": made(name).id, "present": False}


def uploads(pc: Any) -> list[str]:
    """Return the files that provmode put on a PC and that are still there."""
    return [name for name in pc.machine.files.listdir(UPLOADS) or [] if "provmode" in name]


def trusting(fleet: Any) -> list[dict[str, Any]]:
    """Return how the inventory names the lab's signer."""
    (fleet.folder / "signer.cer").write_bytes(signer().certificate.public_bytes(Encoding.DER))
    return [{"file": "signer.cer"}]


def at_work(pc: Any) -> Callable[[], object]:
    """Return what begins a task sequence on a PC."""
    start = pc.machine.processes.start
    return lambda: start("TSManager.exe", "C:\\Windows\\CCM\\TSManager.exe", pc.bench.now())


# -- plan, apply, undo ------------------------------------------------------------------------------------------------


def test_a_plan_is_applied_and_undone_and_each_look_says_how_it_is(fleet: Any) -> None:
    wanted = (fleet.file("signed"), absent("kiosk"), fleet.file("base"))
    pc = fleet.pc(*wanted, trust=trusting(fleet))

    fleet.plan(code=2)
    first = fleet.ends(code=0)["PC-1"]
    assert (first["ended"], len(first["steps"])) == ("changed", 3)
    assert fleet.installed(pc) == ["Contoso Signed 1.0", "Contoso Base 1.2"]
    assert uploads(pc) == []

    assert fleet.plan("--output", "second.json", code=0)["PC-1"]["left_alone"] == SETTLED

    dry = json.loads(fleet.run("undo", "--dry", "--format", "json").out)["hosts"][0]
    assert dry["would_end"] == "restored"
    undone = fleet.ends("undo", code=0)["PC-1"]
    assert (undone["ended"], len(undone["restored"])) == ("restored", 3)
    assert undone["restored"] == dry["would_restore"]
    assert any("a removal does not take back: Policies" in line for line in undone["cannot"])
    assert fleet.installed(pc) == []
    assert pc.machine.packages.trusted(pc.machine) == {}
    assert len(fleet.plan("--output", "third.json", code=2)["PC-1"]["steps"]) == 3


def test_the_same_plan_applied_again_changes_nothing(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base"), absent("kiosk"), kind="inbox", trust=trusting(fleet))
    fleet.plan(code=2)
    fleet.ends(code=0)
    changes = len(pc.machine.mutations)

    again = fleet.ends("apply", "--journal", "second.journal", code=0)["PC-1"]

    assert (again["ended"], again["detail"], again["steps"]) == ("already", "its packages are as planned", [])
    assert [each.what for each in pc.machine.mutations[changes:] if "provmode" not in each.what] == []


def test_a_removal_is_applied_and_said_to_be_none_that_can_be_undone(fleet: Any) -> None:
    pc = fleet.pc(absent("base"), kind="newer")
    fleet.plan(code=2)

    assert fleet.ends(code=0)["PC-1"]["ended"] == "changed"
    assert fleet.installed(pc) == []
    (undone,) = fleet.ends("undo", code=0).values()
    assert undone["ended"] == "nothing"
    assert [line.rpartition(": ")[2] for line in undone["cannot"]] == ["cannot be undone"]


def test_a_higher_version_replaces_a_lower_one_and_no_undo_is_promised(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base-new"), kind="applied")
    fleet.plan(code=2)

    assert fleet.ends(code=0)["PC-1"]["ended"] == "changed"
    assert fleet.installed(pc) == ["Contoso Base 1.10"]
    assert fleet.plan("--output", "second.json", code=0)["PC-1"]["left_alone"] == SETTLED
    assert fleet.ends("undo", code=0)["PC-1"]["ended"] == "nothing"


@pytest.mark.parametrize(("only", "left"), [("packages", []), ("tcf", ["Contoso Base 1.2"])])
def test_an_undo_can_be_of_packages_alone(fleet: Any, only: str, left: list[str]) -> None:
    pc = fleet.pc(fleet.file("base"))
    fleet.plan()
    fleet.ends(code=0)

    fleet.run("undo", "--only", only)

    assert fleet.installed(pc) == left


def test_a_german_pc_is_worked_on_like_any_other(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("kiosk"), absent("base"), kind="applied", trust=trusting(fleet))
    pc.machine.german = True
    fleet.plan(code=2)

    assert fleet.ends(code=0)["PC-1"]["ended"] == "changed"
    assert fleet.installed(pc) == ["Contoso Kiosk 1.0"]
    assert fleet.ends("undo", code=0)["PC-1"]["ended"] == "restored"


# -- whatever breaks --------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The program ends at once."""


def requests_of(fleet: Any) -> int:
    """Return how many requests the apply of a plan needs."""
    pc = fleet.pc(fleet.file("base"), trust=trusting(fleet))
    fleet.plan(code=2)
    before = len(pc.actions)
    fleet.ends(code=0)
    return len(pc.actions) - before


@pytest.mark.parametrize("part", range(6))
def test_a_run_that_crashes_at_any_request_is_resumed_and_does_each_step_once(fleet: Any, part: int) -> None:
    count = requests_of(fleet)
    assert count > 30
    fleet.data.clear()
    for number in range(part, count + 1, 6):
        fleet.bench.pcs.clear()
        (fleet.folder / "plan.json.journal").unlink(missing_ok=True)
        pc = fleet.pc(fleet.file("base"), trust=trusting(fleet))
        fleet.plan(code=2)
        at = len(pc.actions) + number

        def crash(pc: Any = pc, at: int = at, answer: Any = pc.answer) -> Any:
            def answering(message: bytes) -> Any:
                answered = answer(message)
                if len(pc.actions) > at:
                    raise Crash
                return answered

            return answering

        answer, pc.answer = pc.answer, crash()
        try:
            fleet.run("apply")
        except Crash:
            pass
        pc.answer = answer
        ended = fleet.ends("apply", "--resume", code=0)["PC-1"]

        assert ended["ended"] in ("changed", "already"), number
        assert fleet.installed(pc) == ["Contoso Base 1.2"]
        assert uploads(pc) == []
        added = [each.what for each in pc.machine.mutations if "PackageInfo\\{" in each.what]
        assert len(added) <= 1, "it was added once"
        state = read(fleet.folder / "plan.json.journal", None).hosts["PC-1"]
        endings = [step.ending for step in state.steps]
        assert endings == ["changed"] * len(endings)


def test_a_package_that_a_dead_run_left_is_found_and_removed_without_a_copy(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("join"))
    fleet.plan(code=2)

    def crash() -> None:
        raise Crash

    pc.before("DISM", crash)
    with pytest.raises(Crash):
        fleet.run("apply")
    assert len(uploads(pc)) == 1
    fleet.bench.wait(3600)

    found = json.loads(fleet.commands.run("traces", fleet.inventory, "--format", "json").out)["hosts"][0]
    assert {trace["kind"] for trace in found["traces"] if trace["removable"]} == {"lease", "upload"}
    ran = fleet.commands.run("plan", fleet.inventory, "--remove-traces", "--output", "clean.json", "--unsigned")
    assert ran.code == 2, ran.err
    assert fleet.commands.run("apply", "clean.json", "--unsigned").code == 0

    assert uploads(pc) == []
    assert not any(form in (fleet.folder / "clean.json.journal").read_bytes() for form in forms(CANARY))


def test_an_answer_lost_at_any_request_is_no_reason_to_add_twice(fleet: Any) -> None:
    fleet.pc(fleet.file("base"))
    fleet.plan(code=2)
    pc = fleet.bench.pcs["PC-1"]
    before = len(pc.actions)
    fleet.ends(code=0)
    count = len(pc.actions) - before
    for number in range(0, count, 3):
        fleet.bench.pcs.clear()
        (fleet.folder / "plan.json.journal").unlink(missing_ok=True)
        pc = fleet.pc(fleet.file("base"))
        fleet.plan(code=2)
        pc.refuse("", kind="drop-after", skip=number)
        ended = fleet.ends()["PC-1"]["ended"]
        if ended != "changed":
            ended = fleet.ends("apply", "--resume", code=0)["PC-1"]["ended"]
        assert ended in ("changed", "already")
        assert fleet.installed(pc) == ["Contoso Base 1.2"]
        assert uploads(pc) == []


def test_the_answer_of_dism_that_is_lost_is_made_up_for_by_reading_back(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base"))
    fleet.plan(code=2)
    begun: list[int] = []

    def lose() -> None:
        begun.append(len(pc.actions))
        pc.refuse("", kind="drop-after", action="Receive")

    pc.before("DISM", lose)

    assert fleet.ends(code=0)["PC-1"]["ended"] == "changed"
    assert begun
    assert fleet.installed(pc) == ["Contoso Base 1.2"]
    assert uploads(pc) == []


def test_a_package_that_is_still_applied_is_proved_by_the_run_that_resumes(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("apps"))
    pc.machine.packages.command_time = timedelta(minutes=10)
    fleet.plan(code=2)

    first = fleet.ends(code=4)["PC-1"]
    assert (first["ended"], first["next_step"][:8]) == ("failed", "--resume")
    assert "is still being applied" in first["detail"]
    assert fleet.ends("apply", "--resume", code=4)["PC-1"]["ended"] == "failed"
    fleet.bench.wait(1800)
    last = fleet.ends("apply", "--resume", code=0)["PC-1"]

    assert (last["ended"], len(last["steps"])) == ("changed", 1)
    assert fleet.ends("undo", code=0)["PC-1"]["ended"] == "restored"


def test_a_part_that_fails_is_said_and_the_other_steps_are_not_begun(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("kiosk"), fleet.file("oem"))
    pc.machine.packages.faults = Faults(categories={"Policies": (0x8007054B, "Policies/Start")})
    fleet.plan(code=2)

    ended = fleet.ends(code=4)["PC-1"]

    assert ended["ended"] == "failed"
    assert "failed: 0x8007054B at Policies/Start" in ended["detail"]
    assert fleet.installed(pc) == ["Contoso Kiosk 1.0"]
    assert fleet.ends("undo", code=0)["PC-1"]["ended"] == "restored"
    assert fleet.installed(pc) == []


def test_what_windows_refuses_is_said_with_its_number(fleet: Any) -> None:
    fleet.pc(fleet.file("base"), kind="refuses")
    fleet.plan(code=2)
    ran = fleet.run("apply")
    assert ran.code == 4
    assert "failed  1 of 1  a step failed, or reading back does not show what was planned" in ran.out
    assert "DISM refused it: 0x000000B7; nothing was done before" in ran.out


# -- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["changed", "gone", "folder", "pipe", "device", "large"])
def test_a_file_that_is_not_what_was_planned_ends_the_run_before_the_first_pc(fleet: Any, what: str) -> None:
    entry = fleet.file("base")
    pc, other = fleet.pc(fleet.file("kiosk")), fleet.pc(entry)
    fleet.plan(code=2)
    path = fleet.folder / entry["file"]
    if what == "changed":
        path.write_bytes(made("base-new").data)
    elif what == "large":
        os.truncate(path, 1 << 40)
    else:
        path.unlink()
        if what == "folder":
            path.mkdir()
        elif what == "pipe":
            os.mkfifo(path)
        elif what == "device":
            path.symlink_to("/dev/zero")
    before = [len(each.actions) for each in (pc, other)]

    ran = fleet.run("apply")

    assert (ran.code, ran.out) == (1, "")
    assert str(path) in ran.err
    assert [len(each.actions) for each in (pc, other)] == before
    assert not (fleet.folder / "plan.json.journal").exists()


def test_only_the_files_of_chosen_hosts_are_needed(fleet: Any) -> None:
    entry = fleet.file("base")
    fleet.pc(fleet.file("kiosk"))
    other = fleet.pc(entry)
    fleet.plan(code=2)
    (fleet.folder / entry["file"]).unlink()
    before = len(other.actions)

    assert list(fleet.ends("apply", "--limit", "PC-1", code=0)) == ["PC-1"]
    assert len(other.actions) == before
    assert fleet.run("apply", "--exclude", "PC-1", "--journal", "second.journal").code == 1


# -- secrets ----------------------------------------------------------------------------------------------------------


def forms(text: str) -> list[bytes]:
    """Return how a text may stand in something."""
    data = [text.encode(), text.encode("utf-16-le")]
    inner = [base64.b64encode(each[cut:])[4:-4] for each in data for cut in range(3)]
    return [*data, *inner]


def test_no_secret_and_no_byte_of_a_package_is_in_anything_that_is_written(
    fleet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    (fleet.folder / "provmode.toml").write_text("[history]\nurl = 'sqlite:///history.sqlite'\n")
    pc = fleet.pc(fleet.file("join"), fleet.file("token"))
    refusing = fleet.pc(fleet.file("join"), kind="refuses")
    plan = ("plan", fleet.inventory, "--packages", "--output", "plan.json", "--unsigned", "--debug")
    undo = ("undo", "plan.json.journal", "--inventory", "fleet.py", "--unsigned")
    said = [
        fleet.commands.run(*command)
        for command in (
            ("audit", fleet.inventory),
            *((*plan, *more) for more in ((), ("--format", "json"))),
            ("show", "plan.json"),
            ("apply", "plan.json", "--unsigned", "--max-failures", "none", "--debug"),
            ("show", "plan.json.journal"),
            ("history", "host", "PC-1"),
            ("report", "--output", "page.html"),
            (*undo, "--dry"),
            (*undo, "--yes", "--debug"),
        )
    ]

    assert [each.code for each in said] == [0, 2, 2, 0, 4, 0, 0, 0, 2, 0], [each.err for each in said]
    assert fleet.installed(pc) == fleet.installed(refusing) == []
    assert "package Contoso Join" in said[6].out
    written = [path.read_bytes() for path in fleet.folder.rglob("*") if path.is_file() and path.suffix != ".ppkg"]
    written += [(each.out + each.err).encode() for each in said] + [caplog.text.encode()]
    data = made("join").data
    assert any(form in data for form in forms(CANARY)[:2])
    pieces = [base64.b64encode(data[at : at + 30]) for at in range(300, 303)]
    for form in (*forms(CANARY), *pieces):
        assert [each[:80] for each in written if form in each] == []


# -- PCs at work, and those that must not be touched ------------------------------------------------------------------


@pytest.mark.parametrize("words", ["Win32_Process", "windows/shell/Send", "StdRegProv", "certutil"])
def test_work_that_begins_after_the_plan_keeps_the_pc_as_it_is(fleet: Any, words: str) -> None:
    pc = fleet.pc(fleet.file("base"), trust=trusting(fleet))
    fleet.plan(code=2)
    pc.before(words, at_work(pc))

    ended = fleet.ends(code=2)["PC-1"]

    assert ended["ended"] == "stale"
    assert "at work now, and not touched" in ended["detail"]
    assert fleet.installed(pc) == []


def test_windows_setup_that_begins_after_the_plan_keeps_the_pc_as_it_is(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base"))
    fleet.plan(code=2)
    pc.machine.registry.set(HKLM, "SYSTEM\\Setup", "OOBEInProgress", RegType.DWORD, 1)
    before = len(pc.machine.mutations)

    assert "Windows Setup in progress" in fleet.ends(code=2)["PC-1"]["detail"]
    assert len(pc.machine.mutations) == before, "not even a lease was taken"


def test_a_read_only_host_is_not_changed(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base"), winrm_read_only=True)
    pc.read_only = True
    fleet.plan(code=2)
    assert "winrm_read_only" in fleet.ends(code=4)["PC-1"]["detail"]
    assert pc.changes == []


def test_another_version_that_came_in_between_is_left_as_it_is(fleet: Any) -> None:
    pc, removed = fleet.pc(fleet.file("base")), fleet.pc(absent("base"), kind="applied")
    fleet.plan(code=2)
    for each in (pc, removed):
        each.machine.files.write("C:\\Windows\\Temp\\x.ppkg", made("base-new").data, fleet.bench.now())
        each.machine.packages.add(each.machine, "C:\\Windows\\Temp\\x.ppkg")

    found = fleet.ends(code=2)

    assert [host["ended"] for host in found.values()] == ["stale", "stale"]
    assert all("1.10 (SHA-256" in host["detail"] for host in found.values())
    assert [fleet.installed(each) for each in (pc, removed)] == [["Contoso Base 1.10"]] * 2


def test_the_same_package_that_came_in_between_is_no_change_of_ours(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base"))
    fleet.plan(code=2)
    pc.machine.files.write("C:\\Windows\\Temp\\x.ppkg", made("base").data, fleet.bench.now())
    pc.machine.packages.add(pc.machine, "C:\\Windows\\Temp\\x.ppkg")

    assert fleet.ends(code=0)["PC-1"]["ended"] == "already"
    assert fleet.ends("undo", code=0)["PC-1"]["ended"] == "nothing"
    assert fleet.installed(pc) == ["Contoso Base 1.2"]


@pytest.mark.parametrize(
    ("policy", "value", "kind", "wanted", "words"),
    [
        ("AllowAddProvisioningPackage", 0, "inbox", "base", "a policy forbids adding packages"),
        ("RequireProvisioningPackageSignature", 1, "inbox", "base", "this one is unsigned"),
        ("RequireProvisioningPackageSignature", 1, "inbox", "signed", "does not trust the signer of this one"),
        ("AllowRemoveProvisioningPackage", 0, "applied", None, "a policy forbids removing packages"),
    ],
)
def test_a_policy_that_came_in_between_is_heeded(
    fleet: Any, policy: str, value: int, kind: str, wanted: str | None, words: str
) -> None:
    pc = fleet.pc(fleet.file(wanted) if wanted else absent("base"), kind=kind)
    fleet.plan(code=2)
    before = fleet.installed(pc)
    fleet.policy(pc, policy, value)

    assert words in fleet.ends(code=4)["PC-1"]["detail"]
    assert (fleet.installed(pc), pc.changes) == (before, [])


@pytest.mark.parametrize("what", ["shells", "language", "rights"])
def test_a_pc_on_which_nothing_can_be_run_stays_as_it_is(
    fleet: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pc = fleet.pc(fleet.file("base"))
    fleet.plan(code=2)
    if what == "shells":
        for words in ("/shell/Command", "transfer/Create"):
            pc.refuse(words, kind="fault", times=None, code=0x803381AC, text="no shells")
    elif what == "language":
        pc.machine.constrained_language = True
    else:
        pc.refuse("certutil", times=None)

    ended = fleet.ends()["PC-1"]

    assert ended["ended"] in ("failed", "unreached")
    assert fleet.installed(pc) == []
    assert uploads(pc) == []


def test_two_hosts_that_have_become_one_pc_are_changed_once(fleet: Any) -> None:
    first, second = fleet.pc(fleet.file("base")), fleet.pc(fleet.file("base"))
    fleet.plan(code=2)
    second.machine, second.service = first.machine, first.service

    found = fleet.ends(code=4)

    assert [host["ended"] for host in found.values()] == ["changed", "stale"]
    assert "it leads to another computer than when the plan was made" in found["PC-2"]["detail"]


# -- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_goes_in_waves_within_its_failure_budget(fleet: Any) -> None:
    for kind in ("inbox", "refuses", "inbox", "inbox"):
        fleet.pc(fleet.file("base"), kind=kind)
    fleet.plan(code=2)

    found = fleet.ends("apply", "--wave", "1", "--max-failures", "0", code=6)

    assert [host["ended"] for host in found.values()] == ["changed", "failed", "not-started", "not-started"]


def test_a_client_that_falls_back_is_no_relapse_of_a_run_about_packages(fleet: Any) -> None:
    first, second = fleet.pc(fleet.file("base")), fleet.pc(fleet.file("base"))
    fleet.plan(code=2)
    second.before("", lambda: first.machine.files.write(TCF, b"SMSPROVISIONINGMODE=1\r\n", fleet.bench.now()))

    ran = fleet.run("apply", "--wave", "1,1", "--soak", "0.01", "--look-again", "--format", "json")

    document = json.loads(ran.out)
    assert (ran.code, [host["ended"] for host in document["hosts"]]) == (0, ["changed", "changed"])
    assert "looked_again" not in document
    assert fleet.ends("apply", "--resume", "--soak", "0.01", "--look-again", code=0)["PC-1"]["ended"] == "changed"


def test_the_client_may_be_in_any_state(fleet: Any) -> None:
    for persona in ("stuck-old-client", "client-broken", "no-client", "overdue", "armed"):
        fleet.pc(fleet.file("base"), persona=persona)
    fleet.plan(code=2)
    began = fleet.bench.seconds
    for pc in fleet.bench.pcs.values():
        silent = {"kind": "fault", "code": 0x800706BA, "times": None}
        pc.before("DISM", lambda pc=pc, silent=silent: pc.refuse("SMS_Client", **silent))

    found = fleet.ends("apply", "--wave", "all", code=0)

    assert {host["ended"] for host in found.values()} == {"changed"}
    assert fleet.bench.seconds - began < 60, "a client that does not answer is not waited for"


def test_a_window_that_closes_defers_the_rest_and_the_next_run_goes_on(fleet: Any, closes: Any) -> None:
    first, second = fleet.pc(fleet.file("base")), fleet.pc(fleet.file("base"))
    fleet.plan("--valid", "72", code=2)
    closes(first)

    found = fleet.ends("apply", "--window", "open.ics", "--wave", "1,1", code=2)

    assert [host["ended"] for host in found.values()] == ["changed", "deferred"]
    assert fleet.installed(second) == []
    assert fleet.run("apply", "--resume", "--window", "open.ics").code == 3
    fleet.bench.wait(18 * 3600)
    found = fleet.ends("apply", "--resume", "--window", "open.ics", code=0)
    assert [host["ended"] for host in found.values()] == ["changed", "changed"]


@pytest.fixture
def closes(fleet: Any, near: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Open a window for today, and one for tomorrow; return what lets today's close once a PC was worked on."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0"]
    for day in (26, 27):
        times = [f"DTSTART:202611{day}T080000Z", f"DTEND:202611{day}T200000Z"]
        lines += ["BEGIN:VEVENT", f"UID:{day}", *times, "END:VEVENT"]
    (fleet.folder / "open.ics").write_text("\r\n".join((*lines, "END:VCALENDAR", "")))
    path = fleet.folder / "provmode.toml"
    path.write_text('[windows]\nzone = "UTC"\n')
    path.chmod(0o600)
    monkeypatch.setattr("provmode.cli.windows.monotonic", fleet.bench.clock)

    def after(pc: Any) -> None:
        runner = near.in_turn(fleet.bench, may_only_look=True)

        def closed() -> None:
            runner.at_end_of.clear()
            fleet.bench.wait(9 * 3600)

        runner.at_end_of[pc.name] = closed
        monkeypatch.setattr("provmode.fleet.visit.GeventRunner", lambda working=1: runner)

    return after


def test_a_pc_waits_for_a_maintenance_window_of_its_own(fleet: Any) -> None:
    policy = {"only_in_maintenance_window": True}
    first, second = (fleet.pc(fleet.file("base"), provmode_policy=policy) for _ in range(2))
    hour, week = timedelta(hours=1), timedelta(days=7)
    for pc, begins in ((first, -0.5), (second, 20)):
        opens = fleet.bench.now() + timedelta(hours=begins)
        pc.machine.client.service_windows = [ServiceWindow("{1}", WindowType.ALL_PROGRAMS, opens, hour, week)]
    fleet.plan(code=2)

    found = fleet.ends(code=2)

    assert [host["ended"] for host in found.values()] == ["changed", "deferred"]
    assert found["PC-2"]["detail"] == "no maintenance window of this PC is open"
    assert fleet.installed(second) == []
    fleet.bench.wait(20.1 * 3600)
    assert fleet.ends("apply", "--resume", code=0)["PC-2"]["ended"] == "changed"


def test_a_hold_that_came_in_between_is_heeded(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base"))
    fleet.plan(code=2)
    (fleet.folder / "waivers.toml").write_text(
        'zone = "Europe/Berlin"\n[[waiver]]\nowner = "Anna"\nreason = "known"\nticket = "CHG1"\n'
        'created = 2026-11-20\nexpires = 2026-12-31\nhost = "PC-1"\neffect = "hold"\n'
    )

    ended = fleet.ends("apply", "--waivers", "waivers.toml", code=2)["PC-1"]

    assert (ended["ended"], "CHG1" in ended["detail"]) == ("not-started", True)
    assert pc.changes == []
