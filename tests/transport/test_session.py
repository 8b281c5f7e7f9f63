"""One conversation with one PC, through the real server: what is repeated, what never is, what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provmode.errors import (
    AccessDenied,
    AnswerLost,
    AuthenticationFailed,
    Cause,
    CertificateUntrusted,
    DeadlineExceeded,
    HostError,
    ProtocolError,
    QuotaExceeded,
    ReadOnlyRefused,
    RemoteFault,
    Unreachable,
    UsageError,
)
from provmode.lab.fleet import compose
from provmode.lab.process import Host, LabProcess
from provmode.lab.server.build import build_fleet
from provmode.transport.pywinrm import PywinrmConnection
from provmode.transport.session import Session
from provmode.transport.target import Counters, Deadlines, Target, Trust
from provmode.windows.file_changes import put_file, swap_file
from provmode.windows.files import StaleFile, read_file, sha256
from provmode.windows.registry import Key, get_value
from provmode.wsman import CommandLine, Enumerate, Get, Identify, Invoke, Resource, text

Connect = Callable[..., Session]
PROCESSES = Enumerate.query("root/cimv2", "SELECT Name,ProcessId FROM Win32_Process")
CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))
EXIT = Invoke(Resource.cim("root/ccm", "SMS_Client"), "SetClientProvisioningMode", (("bEnable", "false"),))
MODE = get_value(Key.parse("HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec"), "ProvisioningMode")


def requests_of(lab: LabProcess, host: Host) -> int:
    """Return how many HTTP requests a PC has received."""
    return int(lab.counters(host.name)["requests"])


# -- reaching a PC ------------------------------------------------------------------------------------------------


def test_ntlm_over_http_is_sealed_and_authenticates_once(
    lab: LabProcess, healthy: Host, connect: Connect, stack: str
) -> None:
    before = lab.counters(healthy.name)["handshakes"]
    tokens = 3 if stack == "pywinrm" else 2  # pywinrm asks without a token first
    session = connect(lab, healthy)

    for _ in range(5):
        assert text(session.send(CLIENT), "ClientVersion")

    assert lab.counters(healthy.name)["handshakes"] == before + tokens
    assert session.counters.requests == tokens + 5
    assert session.counters.connections == 1


def test_identify_returns_the_version_of_windows(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    assert connect(lab, healthy).send(Identify()).version.startswith("OS: 10.0.")


@pytest.mark.parametrize("authentication", ["ntlm", "basic"])
def test_https_is_validated_against_the_given_ca(
    secure_lab: LabProcess, authentication: str, connect: Connect, of_persona: Any
) -> None:
    session = connect(secure_lab, of_persona(secure_lab, "healthy"), authentication=authentication)

    session.connect()

    assert text(session.send(CLIENT), "ClientVersion")


def test_a_certificate_of_an_unknown_ca_is_refused(secure_lab: LabProcess, connect: Connect, of_persona: Any) -> None:
    session = connect(secure_lab, of_persona(secure_lab, "healthy"), trust=Trust())

    with pytest.raises(CertificateUntrusted, match="set winrm_ca"):
        session.connect()


def test_a_certificate_for_another_name_is_refused(secure_lab: LabProcess, connect: Connect, of_persona: Any) -> None:
    with pytest.raises(CertificateUntrusted):
        connect(secure_lab, of_persona(secure_lab, "bad-certificate")).connect()


def test_a_session_that_is_connected_dials_no_second_time(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    session = connect(lab, healthy)
    session.connect()

    session.dial()

    assert session.counters.connections == 1


def test_validation_can_be_turned_off_explicitly(secure_lab: LabProcess, connect: Connect, of_persona: Any) -> None:
    session = connect(secure_lab, of_persona(secure_lab, "healthy"), trust=Trust(validate=False))

    session.connect()

    assert text(session.send(CLIENT), "ClientVersion")


def test_basic_over_plain_http_is_refused_unless_asked_for(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    with pytest.raises(UsageError, match="winrm_basic_over_http"):
        connect(lab, healthy, authentication="basic").connect()


def test_a_wrong_password_is_tried_once(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    before = lab.counters(healthy.name)["refused_logins"]

    with pytest.raises(AuthenticationFailed, match="accounts lock") as refused:
        connect(lab, healthy, password="not the password").connect()

    assert refused.value.cause is Cause.AUTH
    assert lab.counters(healthy.name)["refused_logins"] == before + 1


def test_an_unreadable_ca_is_the_callers_mistake(secure_lab: LabProcess, connect: Connect, tmp_path: Any) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")

    for path in (broken, tmp_path / "missing.pem"):
        with pytest.raises(UsageError, match=r"cannot read the CA bundle .*\.pem"):
            connect(secure_lab, secure_lab.hosts[0], trust=Trust(ca=path)).connect()


@pytest.mark.parametrize(
    ("persona", "cause"),
    [("refused", "refused"), ("black-hole", "connect-timeout"), ("unresolvable-name", "name-resolution")],
)
def test_each_reason_why_a_pc_cannot_be_reached_has_its_own_cause(
    lab: LabProcess, persona: str, cause: str, connect: Connect, of_persona: Any
) -> None:
    silent = cause == "connect-timeout"
    deadlines = Deadlines(connect=0.5 if silent else 30, read=20, host=60)
    session = connect(lab, of_persona(lab, persona), deadlines=deadlines)

    with pytest.raises(Unreachable) as unreachable:
        session.connect()

    assert str(unreachable.value.cause) == cause


# -- what is asked again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "cut-answer", "quota"])
def test_a_reading_is_asked_again_on_a_new_connection(
    lab: LabProcess, healthy: Host, connect: Connect, kind: str
) -> None:
    session = connect(lab, healthy)
    session.send(CLIENT)
    lab.inject(healthy.name, kind=kind, action="Get")

    assert text(session.send(CLIENT), "ClientVersion")
    assert session.counters.retries == 1


def test_a_change_that_lost_its_answer_is_not_repeated(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    session = connect(lab, healthy)
    before = len(lab.mutations(healthy.name))
    lab.inject(healthy.name, kind="drop-after", action="TriggerSchedule")
    trigger = Invoke(
        Resource.cim("root/ccm", "SMS_Client"),
        "TriggerSchedule",
        (("sScheduleID", "{00000000-0000-0000-0000-000000000021}"),),
    )

    with pytest.raises(AnswerLost, match="may have happened"):
        session.send(trigger)

    assert len(lab.mutations(healthy.name)) == before + 1


@pytest.mark.parametrize("action", ["Command", "Receive"])
def test_a_command_that_makes_a_folder_and_lost_its_answer_is_not_repeated(
    lab: LabProcess, healthy: Host, connect: Connect, action: str, stack: str
) -> None:
    session = connect(lab, healthy)
    before = len(lab.mutations(healthy.name))
    lab.inject(healthy.name, kind="drop-after", action=action)

    with pytest.raises(AnswerLost, match="may have happened"):
        session.send(CommandLine(f'mkdir "C:\\{stack}-{action}"'))

    changes = [change["what"] for change in lab.mutations(healthy.name)[before:]]
    assert changes == [f"folder C:\\{stack}-{action} made"]


def test_a_change_refused_by_quota_is_asked_again(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    session = connect(lab, healthy)
    before = len(lab.mutations(healthy.name))
    lab.inject(healthy.name, kind="quota", action="TriggerSchedule")
    trigger = Invoke(
        Resource.cim("root/ccm", "SMS_Client"),
        "TriggerSchedule",
        (("sScheduleID", "{00000000-0000-0000-0000-000000000022}"),),
    )

    session.send(trigger)

    assert len(lab.mutations(healthy.name)) == before + 1


TRIGGER = Invoke(
    Resource.cim("root/ccm", "SMS_Client"),
    "TriggerSchedule",
    (("sScheduleID", "{00000000-0000-0000-0000-000000000022}"),),
)
SHUTTING_DOWN, CALL_FAILED, NOT_READY, ABORTED, BUSY = 0x80041033, 0x800706BE, 0x80070015, 995, 170
NOTHING_YET = 0x80338029


@pytest.mark.parametrize("code", [SHUTTING_DOWN, CALL_FAILED, NOT_READY, ABORTED, BUSY])
def test_a_reading_is_asked_again_while_a_pc_is_busy_starting_or_stopping(
    lab: LabProcess, healthy: Host, connect: Connect, code: int
) -> None:
    session = connect(lab, healthy)
    lab.inject(healthy.name, kind="fault", code=code, action="Get")

    assert text(session.send(CLIENT), "ClientVersion")
    assert session.counters.retries == 1


def test_a_change_is_sent_again_if_the_fault_says_that_nothing_was_done(
    lab: LabProcess, healthy: Host, connect: Connect
) -> None:
    session = connect(lab, healthy)
    before = len(lab.mutations(healthy.name))
    lab.inject(healthy.name, kind="fault", code=SHUTTING_DOWN, action="TriggerSchedule")

    session.send(TRIGGER)

    assert len(lab.mutations(healthy.name)) == before + 1


@pytest.mark.parametrize("code", [CALL_FAILED, NOT_READY, ABORTED, BUSY])
def test_a_change_that_failed_halfway_may_have_happened_and_is_not_repeated(
    lab: LabProcess, healthy: Host, connect: Connect, code: int
) -> None:
    session, line = connect(lab, healthy), "mkdir C:\\halfway"
    changes = len(lab.mutations(healthy.name))
    for action in ("TriggerSchedule", "Command"):
        lab.inject(healthy.name, kind="fault", code=code, action=action)

    for operation in (TRIGGER, CommandLine(line)):
        with pytest.raises(AnswerLost, match="may have happened"):
            session.send(operation)

    assert session.counters.retries == 0
    assert len(lab.mutations(healthy.name)) == changes


@pytest.mark.parametrize("code", [CALL_FAILED, NOT_READY, ABORTED, BUSY])
def test_a_change_is_sent_again_if_the_fault_came_before_it(
    lab: LabProcess, healthy: Host, connect: Connect, code: int, stack: str
) -> None:
    session, line = connect(lab, healthy), f"echo {code}> C:\\Windows\\CCM\\again-{stack}.txt"
    lab.inject(healthy.name, kind="fault", code=code, action="Create")

    assert session.send(CommandLine(line)).exit_code == 0
    assert lab.counters(healthy.name)["commands"].count(line) == 1


def test_a_pc_in_sysprep_is_told_so_in_words(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    lab.inject(healthy.name, kind="fault", code=NOT_READY, text="Not ready.", action="Get", times=None)

    with pytest.raises(RemoteFault, match=r"ERROR_NOT_READY.*sysprep") as fault:
        connect(lab, healthy).send(CLIENT)

    assert (fault.value.kind, fault.value.code) == ("unavailable", NOT_READY)


def test_input_that_a_busy_program_did_not_take_is_sent_again(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    session, data = connect(lab, healthy), os.urandom(75_000).hex().encode()
    lab.inject(healthy.name, kind="fault", code=BUSY, action="Send", skip=1)
    lab.inject(healthy.name, kind="fault", code=NOTHING_YET, action="Receive")

    assert session.send(CommandLine("more", stdin=data)).stdout == data


def test_a_lasting_quota_fault_is_an_error_after_four_attempts(
    lab: LabProcess, healthy: Host, connect: Connect
) -> None:
    lab.inject(healthy.name, kind="quota", action="Get", times=None)
    session = connect(lab, healthy)

    with pytest.raises(QuotaExceeded):
        session.send(CLIENT)

    assert session.counters.retries == 3


def test_a_connection_that_breaks_in_every_answer_is_an_error_after_four_attempts(
    lab: LabProcess, healthy: Host, connect: Connect
) -> None:
    lab.inject(healthy.name, kind="cut-answer", times=None)

    with pytest.raises(ProtocolError, match="4 attempts"):
        connect(lab, healthy).send(CLIENT)


def test_no_answer_in_time_is_a_deadline(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    lab.inject(healthy.name, kind="stall", action="Get")

    with pytest.raises(DeadlineExceeded, match="read deadline"):
        connect(lab, healthy, deadlines=Deadlines(connect=5, read=1, host=30)).send(CLIENT)


def test_pauses_count_against_the_hosts_deadline(lab: LabProcess, healthy: Host, make_target: Any) -> None:
    lab.inject(healthy.name, kind="quota", action="Get", times=None)
    clock = iter(range(0, 10_000, 7))  # the clock advances 7 seconds each time it is read
    session = Session(make_target(lab, healthy), read_only=True, seconds=lambda: next(clock), pause=lambda _: None)

    with pytest.raises((QuotaExceeded, DeadlineExceeded)):
        session.send(CLIENT)
    session.close()


# -- a connection that the PC closes ----------------------------------------------------------------------------------

HEALTHY = {"healthy": 1.0}
AGES = {spec.name: spec.options.stack.command_options for spec in build_fleet(compose(4, 4, HEALTHY))}
"""Whether a PC has the WinRM of Server 2012: its first answer to an enumeration holds one object."""


@pytest.fixture(scope="module")
def old_and_new() -> Iterator[LabProcess]:
    """A lab of PCs with the WinRM of Server 2012 and with a later one."""
    with LabProcess(4, 4, mix=HEALTHY) as running:
        yield running


@pytest.fixture
def old(old_and_new: LabProcess) -> Iterator[Host]:
    """A PC whose enumerations take several messages."""
    host = next(host for host in old_and_new.hosts if AGES[host.name])
    yield host
    old_and_new.heal(host.name)


def test_an_enumeration_goes_on_over_new_connections(old_and_new: LabProcess, old: Host, connect: Connect) -> None:
    expected = connect(old_and_new, old).send(PROCESSES)
    session = connect(old_and_new, old)
    before = old_and_new.counters(old.name)["actions"]
    old_and_new.inject(old.name, kind="close-after", times=None)

    found = session.send(PROCESSES)

    after = old_and_new.counters(old.name)["actions"]
    pulls = after["Pull"] - before["Pull"]
    assert found == expected
    assert len(found) > 40
    assert after["Enumerate"] - before["Enumerate"] == 1
    assert pulls >= 1
    assert session.counters.connections == 1 + pulls


def test_a_command_goes_on_over_new_connections_and_runs_once(
    old_and_new: LabProcess, old: Host, connect: Connect, stack: str
) -> None:
    session, line = connect(old_and_new, old), f"more> C:\\Windows\\CCM\\once-{stack}.txt"
    old_and_new.inject(old.name, kind="close-after", times=None)

    assert session.send(CommandLine(line, stdin=b"x")).exit_code == 0
    session.close()
    counters = old_and_new.counters(old.name)
    assert counters["commands"].count(line) == 1
    assert counters["actions"]["Delete"] == counters["actions"]["Create"]


class Vanishing:
    """Makes a connection; every further one is refused."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> PywinrmConnection:
        self.made += 1
        if self.made > 1:
            raise Unreachable("the PC is gone")
        return PywinrmConnection(target, counters=counters, seconds=seconds)


@pytest.mark.parametrize(("action", "error"), [("Create", Unreachable), ("Command", AnswerLost)])
def test_a_pc_that_vanished_after_it_accepted_a_change_may_have_made_it(
    old_and_new: LabProcess, old: Host, make_target: Any, action: str, error: type[HostError]
) -> None:
    session = Session(make_target(old_and_new, old), read_only=False, connect=Vanishing(), pause=lambda seconds: None)
    old_and_new.inject(old.name, kind="close-after", action=action)

    with pytest.raises(error):
        session.send(CommandLine("mkdir C:\\gone"))
    session.close()


def test_the_result_is_kept_if_the_pc_vanished_before_the_clean_up(
    old_and_new: LabProcess, old: Host, make_target: Any
) -> None:
    session = Session(make_target(old_and_new, old), read_only=False, connect=Vanishing(), pause=lambda seconds: None)
    old_and_new.inject(old.name, kind="close-after", action="Receive")

    assert session.send(CommandLine("hostname")).exit_code == 0
    session.close()


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        EXIT,
        CommandLine("del C:\\x"),
        CommandLine("type C:\\x > C:\\y"),
        Invoke(Resource.cim("root/cimv2", "StdRegProv"), "SetStringValue", ()),
        Invoke(Resource.cim("root/cimv2", "Win32_Process"), "Create", (("CommandLine", "x"),)),
    ],
)
def test_a_read_only_session_refuses_changes_before_a_byte_is_sent(
    lab: LabProcess, healthy: Host, connect: Connect, operation: Any
) -> None:
    before = requests_of(lab, healthy)

    with pytest.raises(ReadOnlyRefused):
        connect(lab, healthy, read_only=True).send(operation)

    assert requests_of(lab, healthy) == before


def test_an_answer_in_plain_text_is_refused_if_sealing_is_in_force(
    lab: LabProcess, healthy: Host, connect: Connect
) -> None:
    lab.inject(healthy.name, kind="plain-text", action="Get")

    with pytest.raises(ProtocolError, match="plain text"):
        connect(lab, healthy).send(CLIENT)


def test_a_pc_that_takes_no_unencrypted_message_is_told_from_one_without_winrm(connect: Connect) -> None:
    with LabProcess(1, 3, mix=HEALTHY, basic=True) as lab:
        session = connect(lab, lab.hosts[0], authentication="basic", basic_over_http=True)

        with pytest.raises(ProtocolError, match=r"HTTP 500 without a word .*AllowUnencrypted.*use https"):
            session.connect()


def test_an_empty_answer_to_a_sealed_message_is_called_so(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    lab.inject(healthy.name, kind="status", code=500, action="Get")

    with pytest.raises(ProtocolError, match=r"HTTP 500 without a word .*event log"):
        connect(lab, healthy).send(CLIENT)


def test_a_redirect_is_not_followed(lab: LabProcess, healthy: Host, connect: Connect, of_persona: Any) -> None:
    other = next(host for host in lab.hosts if host.persona == "armed")
    lab.inject(healthy.name, kind="redirect", action="Get", location=other.url)
    before = requests_of(lab, other)

    with pytest.raises(ProtocolError, match="redirect"):
        connect(lab, healthy).send(CLIENT)

    assert requests_of(lab, other) == before


def test_correctly_sealed_junk_is_a_protocol_error(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    for junk in ("no xml", "<a/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"):
        lab.inject(healthy.name, kind="junk", action="Get", text=junk)
        with pytest.raises(ProtocolError):
            connect(lab, healthy).send(CLIENT)


def test_a_missing_class_is_a_fault_with_its_number(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    with pytest.raises(RemoteFault) as fault:
        connect(lab, healthy).send(Get(Resource.cim("root/nowhere", "SMS_Client")))

    assert fault.value.kind == "not-found"
    assert fault.value.code


def test_a_denied_operation_is_not_a_refused_account(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    lab.inject(healthy.name, kind="access-denied", action="Get")

    with pytest.raises(AccessDenied):
        connect(lab, healthy).send(CLIENT)


# -- command lines and files ------------------------------------------------------------------------------------


def test_a_command_line_gives_exit_code_and_both_outputs(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    completed = connect(lab, healthy).send(CommandLine("echo out& nosuchprogram"))

    assert completed.stdout == b"out\r\n"
    assert b"nosuchprogram" in completed.stderr
    assert completed.exit_code == 1


def test_standard_input_arrives_whole(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    data = os.urandom(150_000).hex().encode()

    assert connect(lab, healthy).send(CommandLine("more", stdin=data)).stdout == data


def test_standard_input_ends_on_windows_of_every_age(old_and_new: LabProcess, connect: Connect) -> None:
    assert set(AGES.values()) == {True, False}  # up to Server 2012, and later

    for host in old_and_new.hosts:
        completed = connect(old_and_new, host).send(CommandLine("more", stdin=b"all of it", timeout=50))

        assert (host.name, completed.stdout, completed.exit_code) == (host.name, b"all of it", 0)


def test_output_is_in_the_requested_code_page(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    session = connect(lab, healthy)

    for codepage, codec in ((65001, "utf-8"), (437, "cp437"), (850, "cp850"), (1252, "cp1252")):
        assert session.send(CommandLine("echo M\u00fcnchen", codepage=codepage)).stdout == "M\u00fcnchen\r\n".encode(
            codec
        )


def test_a_command_that_runs_too_long_is_terminated_on_the_pc(lab: LabProcess, healthy: Host, make_target: Any) -> None:
    before = lab.counters(healthy.name)["actions"]

    def seconds() -> float:
        """Let a second pass when the PC is asked for output."""
        return float(lab.counters(healthy.name)["actions"].get("Receive", 0) - before.get("Receive", 0))

    session = Session(make_target(lab, healthy), read_only=False, seconds=seconds)

    with pytest.raises(DeadlineExceeded, match="time-out"):
        session.send(CommandLine("more", timeout=0.5))  # waits for its input
    session.close()

    assert lab.counters(healthy.name)["actions"]["Signal"] == before.get("Signal", 0) + 1


@pytest.mark.parametrize("size", [0, 1, 700_000])
def test_a_file_goes_there_and_back_byte_for_byte(lab: LabProcess, healthy: Host, connect: Connect, size: int) -> None:
    session, data = connect(lab, healthy), os.urandom(size)
    path = f"C:\\Windows\\CCM\\round-{size}.bin"

    session.converse(put_file(path, data))

    assert session.converse(read_file(path)) == data


def test_a_file_that_changed_meanwhile_is_not_overwritten(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    session, path = connect(lab, healthy), "C:\\Windows\\CCM\\swap.txt"
    session.converse(put_file(path, b"one"))
    session.converse(swap_file(path, b"two", expected=sha256(b"one")))

    with pytest.raises(StaleFile):
        session.converse(swap_file(path, b"three", expected=sha256(b"one")))

    assert session.converse(read_file(path)) == b"two"
    assert session.converse(read_file(path + ".provmode-backup")) == b"one"


def test_a_read_only_session_reads_files_and_writes_none(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    session = connect(lab, healthy, read_only=True)

    assert session.converse(read_file("C:\\Windows\\win.ini"))
    with pytest.raises(ReadOnlyRefused):
        session.converse(put_file("C:\\Windows\\CCM\\never.txt", b"x"))


def test_a_query_collects_all_pages(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    found = connect(lab, healthy).send(Enumerate.query("root/cimv2", "SELECT Name FROM Win32_Process"))

    assert len(found) > 40


@pytest.mark.parametrize("persona", ["refused", "black-hole", "wrong-password", "unresolvable-name"])
def test_every_error_is_one_line(lab: LabProcess, connect: Connect, persona: str) -> None:
    host = next(host for host in lab.hosts if host.persona == persona)

    with pytest.raises(HostError) as error:
        connect(lab, host, deadlines=Deadlines(connect=0.5, read=5, host=10)).connect()

    assert "\n" not in str(error.value)
    assert lab.password not in str(error.value)


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "quota", "fault", "junk", "plain-text"])
def test_a_command_that_was_accepted_is_never_run_twice(
    lab: LabProcess, healthy: Host, connect: Connect, kind: str
) -> None:
    session, line = connect(lab, healthy), "echo once> C:\\Windows\\CCM\\once.txt"
    before = len([command for command in lab.counters(healthy.name)["commands"] if command == line])
    lab.inject(healthy.name, kind=kind, action="Receive", code=0x80041014, text="<a/>")

    with pytest.raises(AnswerLost, match="may have happened"):
        session.send(CommandLine(line))

    ran = [command for command in lab.counters(healthy.name)["commands"] if command == line]
    assert len(ran) == before + 1


@pytest.mark.parametrize("kind", ["junk", "plain-text", "cut-answer"])
def test_a_change_with_an_unreadable_answer_may_have_happened(
    lab: LabProcess, healthy: Host, connect: Connect, kind: str
) -> None:
    lab.inject(healthy.name, kind=kind, action="CreateKey", text="<a/>")

    with pytest.raises(AnswerLost, match="may have happened"):
        connect(lab, healthy).send(Key.parse("HKLM\\SOFTWARE\\Test").invoke("CreateKey"))


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "fault", "junk"])
def test_a_finished_command_is_not_lost_when_only_the_clean_up_fails(
    lab: LabProcess, healthy: Host, connect: Connect, kind: str
) -> None:
    session, line = connect(lab, healthy), "echo done> C:\\Windows\\CCM\\done.txt"
    lab.inject(healthy.name, kind=kind, action="Delete", code=0x80041014, text="<a/>")
    before = lab.counters(healthy.name)["commands"].count(line)

    assert session.send(CommandLine(line)).exit_code == 0
    session.close()
    assert lab.counters(healthy.name)["commands"].count(line) == before + 1
