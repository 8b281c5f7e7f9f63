"""Steps about packages, on a PC of the lab: what they change, refuse and prove, and what they never leave behind."""

from __future__ import annotations

import dataclasses
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from provmode.errors import AccessDenied, AnswerLost, HostError
from provmode.lab.packages import traces, trust
from provmode.lab.packages.catalogue import CANARY, made, signer
from provmode.lab.packages.engine import KEPT, Faults
from provmode.lab.packages.writer import Description, Setting, command, package
from provmode.lab.windows.store import HKLM, RegType
from provmode.packages.preview import NOT_TAKEN_BACK
from provmode.remediation.execute import ALREADY, CHANGED
from provmode.remediation.package_rules import check_size
from provmode.remediation.steps import AddPackage, RemovePackage, SetTrustedProvisioner, step_from_json
from provmode.remediation.steps.base import StaleStep
from provmode.remediation.steps.package import StillApplying
from provmode.remediation.uploads import uploaded
from provmode.windows.files import MAX_SIZE, sha256
from provmode.windows.scripts import DELETE_FILE, REMOVE_PACKAGE, SWAP_BYTES, TRUST_CERTIFICATE
from provmode.wsman import CommandLine, Completed, Invoke

ID = "{a1b2c3d4-0000-4000-8000-000000000001}"
OTHER = "{a1b2c3d4-0000-4000-8000-000000000002}"
POWER = "Policies/Start/HidePowerButton"
CERTIFICATE = signer().certificate.public_bytes(serialization.Encoding.DER)
REQUESTS = 18
"""Of adding a package with a policy to a PC that has no other package."""


def file_of(version: str = "1.0", *settings: Setting, **told: Any) -> bytes:
    """Return the bytes of a package."""
    wanted = settings or (Setting(POWER, "1"), Setting("Accounts/Users/User[UserName=kim]/Password", CANARY))
    return package(Description(told.pop("id", ID), "Pins", version=version, settings=wanted, **told))


DATA = file_of()


def adding(data: bytes = DATA, version: str = "1.0", **told: Any) -> AddPackage:
    """Return the step that adds a package."""
    return AddPackage(
        **{"file": "pins.ppkg", "name": "Pins", "id": ID, "version": version, **told}, sha256=sha256(data)
    )


def line(data: bytes = DATA, version: str = "1.0") -> str:
    return f"{version} (SHA-256 {sha256(data)})"


def policy(windows: Any, name: str, value: int) -> None:
    windows.pc.registry.set(HKLM, traces.SECURITY, name, RegType.DWORD, value)


def nothing_sent(windows: Any) -> bool:
    """Return whether nothing was sent that changes the PC, and nothing was announced."""
    changing = ("DISM", SWAP_BYTES, DELETE_FILE, REMOVE_PACKAGE, TRUST_CERTIFICATE)
    return not windows.announced and not [each for each in windows.lines if each.startswith(changing)]


def never(*_: Any) -> None:
    return None


# -- adding -----------------------------------------------------------------------------------------------------------


def test_a_package_is_added_proved_and_not_added_again(windows: Any) -> None:
    step = adding(wins=("Start/HidePowerButton",))

    assert windows.carry_out(step, data=DATA) == CHANGED
    assert len(windows.asked) == REQUESTS
    assert windows.announced == [None], "the bytes hold secrets: no journal may have them"
    assert windows.pc.files.read(f"{KEPT}\\provmode-{sha256(DATA)}.ppkg") == DATA
    assert windows.uploads == []

    before = list(windows.pc.mutations)
    assert windows.carry_out(step, data=DATA) == ALREADY
    assert windows.pc.mutations == before
    assert nothing_sent(windows)


def test_an_undo_removes_what_was_added_and_says_what_stays(windows: Any) -> None:
    step = adding()
    windows.carry_out(step, data=DATA)
    back = step.undo

    assert back == RemovePackage("Pins", ID, (line(), "applied"), NOT_TAKEN_BACK)
    assert windows.carry_out(back) == CHANGED
    assert windows.pc.files.get(f"{KEPT}\\provmode-{sha256(DATA)}.ppkg") is None
    assert windows.carry_out(back) == ALREADY
    assert adding(before=("0.9 (SHA-256 x)",)).undo is None, "nothing brings back the version before"


@pytest.mark.parametrize("number", range(REQUESTS))
def test_whichever_answer_is_lost_the_package_is_added_once_and_no_file_is_left(windows: Any, number: int) -> None:
    step = adding(wins=("Start/HidePowerButton",))
    windows.lose = number

    first = windows.carry_out(step, data=DATA)
    assert first in (CHANGED, ALREADY) or isinstance(first, HostError)
    assert windows.uploads == []
    windows.lose = None
    assert windows.carry_out(step, data=DATA) in (CHANGED, ALREADY)
    assert windows.uploads == []
    added = [each for each in windows.pc.events.read(traces.CHANNEL)[1] if each.number == 20]
    assert len(added) == 1
    assert windows.carry_out(step, data=DATA) == ALREADY


def test_a_request_that_never_arrived_leaves_no_file_either(windows: Any) -> None:
    for number in range(REQUESTS):
        asked = iter(range(REQUESTS * 100))
        windows.instead = lambda _, asked=asked, at=number: AnswerLost("gone") if next(asked) == at else None
        windows.carry_out(adding(), data=DATA)
        assert windows.uploads == []
    windows.instead = never
    assert windows.carry_out(adding(), data=DATA) == ALREADY


@pytest.mark.parametrize("code", [0x80070005, 0x80070057, 0xC0000061])
def test_what_dism_refuses_is_said_with_its_number_and_the_file_is_deleted(windows: Any, code: int) -> None:
    windows.engine.faults = Faults(add=code)

    ended = windows.carry_out(adding(), data=DATA)

    shown = code & 0xFFFF if code >> 16 == 0x8007 else code
    assert isinstance(ended, HostError)
    assert ended.what == f"DISM refused it: 0x{shown:08X}"
    assert windows.uploads == []
    assert CANARY not in repr(ended)


@pytest.mark.parametrize("code", [-1073741727, 0xC0000061])
def test_an_exit_code_is_one_number_with_sign_and_without(windows: Any, code: int) -> None:
    windows.instead = lambda asked: Completed(code) if str(getattr(asked, "line", "")).startswith("DISM") else None
    assert windows.carry_out(adding(), data=DATA).what == "DISM refused it: 0xC0000061"


def test_a_restart_that_dism_wants_is_no_failure(windows: Any) -> None:
    class Restart:
        """DISM's work, with the other exit code."""

        def __call__(self, asked: Any) -> Any:
            if not str(getattr(asked, "line", "")).startswith("DISM"):
                return None
            windows.instead = never
            return Completed(3010, windows.converse(iterate(asked)).stdout)

    def iterate(asked: Any) -> Any:
        return (yield asked)

    windows.instead = Restart()
    assert windows.carry_out(adding(), data=DATA) == CHANGED
    assert "/NoRestart" in next(each for each in windows.lines if each.startswith("DISM"))


def test_another_file_in_the_uploads_place_is_replaced(windows: Any) -> None:
    path = uploaded(sha256(DATA)).replace("%windir%", "C:\\Windows")
    windows.pc.files.write(path, b"half of it", windows.pc.now())

    assert windows.carry_out(adding(), data=DATA) == CHANGED
    assert windows.uploads == []


def test_the_same_file_left_by_an_earlier_run_is_used_and_deleted(windows: Any) -> None:
    windows.pc.files.write(uploaded(sha256(DATA)).replace("%windir%", "C:\\Windows"), DATA, windows.pc.now())

    assert windows.carry_out(adding(), data=DATA) == CHANGED
    assert SWAP_BYTES not in windows.lines
    assert windows.uploads == []


def test_a_file_that_cannot_be_deleted_is_named_whatever_else_failed(windows: Any) -> None:
    windows.instead = lambda asked: AccessDenied("denied") if getattr(asked, "line", "") == DELETE_FILE else None

    ended = windows.carry_out(adding(), data=DATA)
    assert ended.what == f"{uploaded(sha256(DATA))}, which may hold secrets, could not be deleted: denied"
    assert "provmode traces" in ended.next_step
    assert windows.lines.count(DELETE_FILE) > 1

    windows.engine.faults = Faults(add=0x80070005)
    ended = windows.carry_out(adding(file_of("2.0"), "2.0", before=(line(), "applied")), data=file_of("2.0"))
    assert ended.what.startswith("DISM refused it: 0x00000005; %windir%")


@pytest.mark.parametrize("data", [None, b"", b"another"])
def test_other_bytes_than_the_planned_ones_are_never_sent(windows: Any, data: bytes | None) -> None:
    assert "not those that were planned" in str(windows.carry_out(adding(), data=data))
    assert windows.asked == []


def test_a_package_over_the_limit_is_refused_by_name_before_anything_is_asked(windows: Any) -> None:
    data = b"x" * (MAX_SIZE + 1)
    ended = windows.carry_out(adding(data), data=data)
    assert ended.what == f"pins.ppkg: {MAX_SIZE + 1:,} bytes are over the {MAX_SIZE:,} that are sent to a PC"
    assert windows.asked == []
    check_size("pins.ppkg", data[1:])


def test_a_newer_version_there_is_not_replaced_by_an_older_one(windows: Any) -> None:
    newer = file_of("1.10")
    windows.carry_out(adding(newer, "1.10"), data=newer)

    ended = windows.carry_out(
        adding(file_of("1.9"), "1.9", before=(line(newer, "1.10"), "applied")), data=file_of("1.9")
    )
    assert ended.what == "the PC has the newer version 1.10"
    assert nothing_sent(windows)

    odd = file_of("one")
    ended = windows.carry_out(adding(odd, "one", before=(line(newer, "1.10"), "applied")), data=odd)
    assert "could not tell whether the version '1.10' there is newer than 'one'" in ended.what
    assert nothing_sent(windows)


def test_a_newer_version_is_added_over_an_older_one(windows: Any) -> None:
    windows.carry_out(adding(), data=DATA)
    newer = file_of("1.1")

    assert windows.carry_out(adding(newer, "1.1", before=(line(), "applied")), data=newer) == CHANGED
    assert windows.carry_out(adding(newer, "1.1"), data=newer) == ALREADY


def test_another_state_than_the_planned_one_is_stale(windows: Any) -> None:
    windows.carry_out(adding(), data=DATA)
    newer = file_of("1.1")

    ended = windows.carry_out(adding(newer, "1.1"), data=newer)
    assert isinstance(ended, StaleStep)
    assert nothing_sent(windows)


def test_a_package_that_windows_skips_is_not_called_added(windows: Any) -> None:
    windows.carry_out(adding(), data=DATA)
    windows.carry_out(adding().undo)

    ended = windows.carry_out(adding(), data=DATA)
    assert ended.what == f"package Pins {ID} is absent as before, and Windows refused nothing"
    assert windows.uploads == []


# -- what policies say ------------------------------------------------------------------------------------------------


def test_a_policy_that_forbids_adding_is_heeded(windows: Any) -> None:
    policy(windows, "AllowAddProvisioningPackage", 0)
    assert "AllowAddProvisioningPackage" in windows.carry_out(adding(), data=DATA).what
    assert nothing_sent(windows)


def test_only_a_package_whose_signer_is_trusted_is_added_where_a_signature_is_required(windows: Any) -> None:
    policy(windows, "RequireProvisioningPackageSignature", 1)
    signed = made("signed")
    step = adding(signed.data, signed.version, id=signed.id, signer=signer().thumbprint.lower())

    assert "this one is unsigned" in windows.carry_out(adding(), data=DATA).what
    assert "does not trust the signer" in windows.carry_out(step, data=signed.data).what
    assert nothing_sent(windows)
    trust.trust(windows.pc.registry, signer().certificate)
    assert windows.carry_out(step, data=signed.data) == CHANGED


def test_a_package_that_was_changed_behind_its_signature_is_refused_by_windows(windows: Any) -> None:
    tampered = made("tampered")
    step = adding(tampered.data, tampered.version, id=tampered.id, signer=signer().thumbprint.lower())
    assert windows.carry_out(step, data=tampered.data).what == "DISM refused it: 0x80096010"
    assert windows.uploads == []


def test_policies_that_could_not_be_read_are_not_taken_for_permission(windows: Any) -> None:
    def denied(asked: Any) -> Any:
        return AccessDenied("denied") if isinstance(asked, Invoke) and "Security" in str(asked.parameters) else None

    windows.carry_out(adding(), data=DATA)
    for name, step in (("Add", adding(file_of("2"), "2", before=(line(), "applied"))), ("Remove", adding().undo)):
        windows.instead = denied
        ended = windows.carry_out(step, data=file_of("2"))
        assert f"could not tell what the policy Allow{name}ProvisioningPackage says" in ended.what
        assert nothing_sent(windows)


def test_who_forbids_removing_is_heeded(windows: Any) -> None:
    windows.carry_out(adding(), data=DATA)
    policy(windows, "AllowRemoveProvisioningPackage", 0)
    assert "AllowRemoveProvisioningPackage" in windows.carry_out(adding().undo).what
    assert nothing_sent(windows)


# -- the state of the PC ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remove", [False, True])
def test_a_pc_at_work_is_left_alone(windows: Any, remove: bool) -> None:
    step: Any = adding()
    if remove:
        windows.carry_out(step, data=DATA)
        step = step.undo

    def look() -> Any:
        yield from ()
        raise StaleStep("Windows Setup runs: at work now, and not touched")

    assert isinstance(windows.carry_out(step, data=DATA, look=look), StaleStep)
    assert nothing_sent(windows)


def test_scripts_that_do_not_run_leave_the_pc_as_it_is(windows: Any) -> None:
    windows.instead = lambda asked: Completed(1) if "powershell" in str(getattr(asked, "line", "")) else None
    before = list(windows.pc.mutations)

    ended = windows.carry_out(adding(), data=DATA)

    assert "constrained language mode" in ended.next_step
    assert windows.pc.mutations == before
    assert not [each for each in windows.lines if each.startswith("DISM")]


def test_a_pc_that_does_not_tell_what_it_has_is_left_alone(windows: Any) -> None:
    for forbidden in (CommandLine, Invoke):
        windows.instead = lambda asked, kind=forbidden: AccessDenied("denied") if isinstance(asked, kind) else None
        assert "could not tell" in windows.carry_out(adding(), data=DATA).what
        assert nothing_sent(windows)
        assert "could not tell" in windows.carry_out(adding().undo).what
        assert nothing_sent(windows)


# -- what became of it ------------------------------------------------------------------------------------------------


def test_a_package_that_is_still_applied_is_not_called_done_and_a_later_run_proves_it(windows: Any) -> None:
    data = file_of("1.0", Setting(POWER, "1"), *command("a", "cmd /c rem"))
    windows.engine.command_time = timedelta(hours=1)
    step = adding(data)

    ended = windows.carry_out(step, data=data)
    assert isinstance(ended, StillApplying)
    assert windows.uploads == []
    assert isinstance(windows.carry_out(step, data=data), StillApplying)
    assert nothing_sent(windows)

    windows.pc.advance(3600)
    assert windows.carry_out(step, data=data) == ALREADY
    assert nothing_sent(windows)


def test_a_package_whose_commands_take_a_minute_is_waited_for(windows: Any) -> None:
    data = file_of("1.0", Setting(POWER, "1"), *command("a", "cmd /c rem"))
    windows.engine.command_time = timedelta(seconds=60)
    assert windows.carry_out(adding(data), data=data) == CHANGED


def test_a_part_that_fails_is_said_with_number_and_node(windows: Any) -> None:
    windows.engine.faults = Faults(categories={"Policies": (0x8007054B, "Policies/Start")})

    ended = windows.carry_out(adding(), data=DATA)
    assert "failed: 0x8007054B at Policies/Start" in ended.what
    assert windows.uploads == []
    again = windows.carry_out(adding(), data=DATA)
    assert again.what == ended.what, "a run that is resumed says the same, and adds nothing"
    assert nothing_sent(windows)

    windows.engine.faults = Faults()
    planned_anew = adding(before=(line(), "applied"))
    assert windows.carry_out(planned_anew, data=DATA) == CHANGED


def test_a_failure_that_only_the_events_tell_is_told(windows: Any) -> None:
    windows.carry_out(adding(), data=DATA)
    traces.event(windows.pc, 22, windows.pc.now(), PackageId=ID, HRESULT="0x80070005")
    assert "all of it failed: 0x80070005" in windows.carry_out(adding(), data=DATA).what


def test_a_policy_that_somebody_else_sets_is_not_called_the_packages(windows: Any) -> None:
    mdm = "6c9a1f30-8d52-4f0b-a7c4-0d1e2f3a4b5c"
    traces.set_policy(windows.pc.registry, mdm, "Start", "HidePowerButton", "0", is_number=True)

    ended = windows.carry_out(adding(wins=("Start/hidepowerbutton",)), data=DATA)
    assert ended.what == f"package Pins {ID} was added, and Start/HidePowerButton is that of {{{mdm}}}"


def test_other_packages_are_read_once_however_long_is_waited(windows: Any) -> None:
    data = file_of("1.0", *command("a", "cmd /c rem"))
    windows.pc.files.write(f"{KEPT}\\Other.ppkg", file_of(id=OTHER), windows.pc.now())
    windows.engine.command_time = timedelta(hours=1)

    windows.carry_out(adding(data), data=data)

    reading = [each for each in windows.asked if isinstance(each, CommandLine) and b"other.ppkg" in each.stdin.lower()]
    assert len(reading) == 1


# -- removing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(10))
def test_whichever_answer_is_lost_the_package_is_removed(windows: Any, number: int) -> None:
    windows.carry_out(adding(), data=DATA)
    windows.lose = number

    first = windows.carry_out(adding().undo)
    assert first == CHANGED or isinstance(first, HostError)
    windows.lose = None
    assert windows.carry_out(adding().undo) in (CHANGED, ALREADY)
    assert windows.engine.installed(windows.pc) == []


def test_another_version_than_was_seen_is_not_removed(windows: Any) -> None:
    windows.carry_out(adding(), data=DATA)
    ended = windows.carry_out(RemovePackage("Pins", ID, ("0.9 (SHA-256 " + "0" * 64 + ")", "applied")))
    assert isinstance(ended, StaleStep)
    assert nothing_sent(windows)


def test_what_windows_refuses_to_remove_is_said_with_its_number(windows: Any) -> None:
    windows.carry_out(adding(), data=DATA)
    windows.engine.faults = Faults(remove=0x80070020)
    assert "Windows refused it: 0x80070020 (COMException)" in windows.carry_out(adding().undo).what


# -- trust ------------------------------------------------------------------------------------------------------------


def trusting(present: bool = True, **told: Any) -> SetTrustedProvisioner:
    known = {"thumbprint": signer().thumbprint.lower(), "subject": "Contoso"}
    return SetTrustedProvisioner(**{**known, "certificate": b64encode(CERTIFICATE).decode(), **told}, present=present)


def test_a_certificate_is_trusted_and_trusted_no_more(windows: Any) -> None:
    for step in (trusting(), trusting().undo):
        assert windows.carry_out(step) == CHANGED
        assert windows.uploads == []
        assert windows.carry_out(step) == ALREADY
        assert nothing_sent(windows)
    assert trusting(present=False, certificate="").undo is None


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("present", [True, False])
def test_whichever_answer_is_lost_the_certificate_is_as_wanted(windows: Any, number: int, present: bool) -> None:
    if not present:
        windows.carry_out(trusting())
    windows.lose = number
    windows.carry_out(trusting(present))
    assert windows.uploads == []
    windows.lose = None
    assert windows.carry_out(trusting(present)) in (CHANGED, ALREADY)
    assert windows.carry_out(trusting(present)) == ALREADY
    assert windows.uploads == []


@pytest.mark.parametrize("certificate", ["", "AAAA", "AAA", b64encode(CERTIFICATE[:-1]).decode()])
def test_another_certificate_than_that_of_the_thumbprint_is_never_sent(windows: Any, certificate: str) -> None:
    ended = windows.carry_out(trusting(certificate=certificate))
    assert "the certificate given is not" in ended.what
    assert nothing_sent(windows)


def test_whom_the_pc_trusts_could_not_be_told_so_nothing_is_sent(windows: Any) -> None:
    windows.instead = lambda asked: AccessDenied("denied") if isinstance(asked, Invoke) else None
    assert "could not tell whom the PC trusts" in windows.carry_out(trusting()).what
    assert nothing_sent(windows)


# -- plans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("wins", [["Start"]]),
            ("wins", ["Start"]),
            ("wins", ["a\\b/c"]),
            ("wins", "Start/A"),
            ("wins", ["A/b\nc/d"]),
        ),
        *(("id", "{x}"), ("id", ID + "\n"), ("id", ID.upper()), ("sha256", "0"), ("signer", "zz"), ("before", "x")),
        ("wins", [f"Area{number}/P" for number in range(33)]),
    ],
)
def test_a_plan_with_other_fields_than_a_step_can_use_is_refused(name: str, value: Any) -> None:
    field = AddPackage.plan_fields[name]
    assert not field.accepts(value)


def test_fields_of_a_step_are_accepted_again() -> None:
    for step in (adding(wins=("Start/A",), before=("x",), effects=("y",)), adding().undo, trusting(), trusting(False)):
        document = step.to_json()  # type: ignore[union-attr]
        fields: Any = {name: each for name, each in document.items() if name != "kind"}
        known: Any = type(step).plan_fields
        assert set(fields) == set(known)
        assert all(known[name].accepts(value) for name, value in fields.items())
        assert step_from_json(document) == step
    assert dataclasses.is_dataclass(adding())
