"""The shell that a session keeps for its command lines, through the real server: opened once, used again, deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provmode.errors import AnswerLost, DeadlineExceeded, ProtocolError, QuotaExceeded, Unreachable
from provmode.lab.process import Host, LabProcess
from provmode.transport.session import CommandTimedOut, Session
from provmode.transport.stack import connection
from provmode.transport.target import Deadlines
from provmode.wsman import CommandLine, Completed
from provmode.wsman.exchange import IDLE_TIMEOUT, MAX_COMMANDS

Connect = Callable[..., Session]
SHELL_MESSAGES = ("Create", "Command", "Receive", "Signal", "Delete")


@pytest.fixture(scope="module")
def lab() -> Iterator[LabProcess]:
    """A lab whose clock these tests move on."""
    with LabProcess(1, 5, mix={"healthy": 1}) as running:
        yield running


@pytest.fixture
def fresh(lab: LabProcess) -> Iterator[Host]:
    """A PC on which no shell is open."""
    lab.advance(2 * 60 * 60)
    host = lab.hosts[0]
    assert shells(lab, host) == 0
    yield host
    lab.heal(host.name)


def shells(lab: LabProcess, host: Host) -> int:
    """Return how many shells are open on a PC."""
    return int(lab.counters(host.name)["shells"])


def sent(lab: LabProcess, host: Host) -> dict[str, int]:
    """Return how many shell messages of each kind a PC has received."""
    actions = lab.counters(host.name)["actions"]
    return {name: actions.get(name, 0) for name in SHELL_MESSAGES}


def since(lab: LabProcess, host: Host, before: dict[str, int]) -> dict[str, int]:
    """Return how many shell messages of each kind a PC has received since."""
    return {name: count - before[name] for name, count in sent(lab, host).items()}


def folders(lab: LabProcess, host: Host, name: str) -> int:
    """Return how often a folder was made on a PC."""
    return sum(change["what"] == f"folder C:\\{name} made" for change in lab.mutations(host.name))


# -- a conversation without trouble ---------------------------------------------------------------------------------


def test_the_command_lines_of_a_session_share_one_shell_which_close_deletes(
    lab: LabProcess, fresh: Host, connect: Connect
) -> None:
    session, before = connect(lab, fresh), sent(lab, fresh)

    answers = [session.send(CommandLine(f"echo {number}")).stdout for number in range(3)]
    assert shells(lab, fresh) == 1
    session.close()

    assert answers == [b"0\r\n", b"1\r\n", b"2\r\n"]
    assert since(lab, fresh, before) == {"Create": 1, "Command": 3, "Receive": 3, "Signal": 2, "Delete": 1}
    assert shells(lab, fresh) == 0


def test_a_session_without_command_lines_opens_no_shell(lab: LabProcess, fresh: Host, connect: Connect) -> None:
    session, before = connect(lab, fresh), sent(lab, fresh)

    session.connect()
    session.close()
    session.close()

    assert since(lab, fresh, before) == dict.fromkeys(SHELL_MESSAGES, 0)


def test_a_session_goes_on_with_another_shell_after_its_shells_were_ended(
    lab: LabProcess, fresh: Host, connect: Connect
) -> None:
    session = connect(lab, fresh)
    session.send(CommandLine("hostname"))

    session.end_shells()
    assert shells(lab, fresh) == 0

    assert session.send(CommandLine("hostname")).exit_code == 0
    assert shells(lab, fresh) == 1


def test_each_command_line_of_a_shell_begins_anew(lab: LabProcess, fresh: Host, connect: Connect) -> None:
    session = connect(lab, fresh)

    session.send(CommandLine("set PROBE=left & cd /d C:\\Windows & chcp 850"))
    code_page = session.send(CommandLine("chcp")).stdout
    variable = session.send(CommandLine("echo [%PROBE%]")).stdout
    folder = session.send(CommandLine("cd")).stdout
    session.close()
    alone = connect(lab, fresh)

    assert code_page.strip().endswith(b"65001")
    assert variable == b"[%PROBE%]\r\n"
    assert folder == alone.send(CommandLine("cd")).stdout


def test_a_command_line_for_another_code_page_has_a_shell_of_its_own(
    lab: LabProcess, fresh: Host, connect: Connect
) -> None:
    session, before = connect(lab, fresh), sent(lab, fresh)

    for codepage, codec in ((65001, "utf-8"), (850, "cp850"), (850, "cp850")):
        completed = session.send(CommandLine("echo M\u00fcnchen", codepage=codepage))
        assert completed.stdout == "M\u00fcnchen\r\n".encode(codec)
    session.close()

    assert since(lab, fresh, before)["Create"] == since(lab, fresh, before)["Delete"] == 2
    assert shells(lab, fresh) == 0


def test_a_shell_is_replaced_after_some_command_lines(lab: LabProcess, fresh: Host, connect: Connect) -> None:
    session, before = connect(lab, fresh), sent(lab, fresh)

    for number in range(2 * MAX_COMMANDS + 1):
        assert session.send(CommandLine(f"echo {number}")).stdout == f"{number}\r\n".encode()
    session.close()

    assert since(lab, fresh, before)["Create"] == 3
    assert (session.counters.retries, shells(lab, fresh)) == (0, 0)


def test_a_command_line_without_any_time_is_not_started_in_an_open_shell_either(
    lab: LabProcess, fresh: Host, connect: Connect
) -> None:
    session = connect(lab, fresh)
    session.send(CommandLine("hostname"))
    before = sent(lab, fresh)

    with pytest.raises(CommandTimedOut):
        session.send(CommandLine("hostname", timeout=0.0))

    assert since(lab, fresh, before)["Command"] == 0


# -- the shell dies -------------------------------------------------------------------------------------------------


def test_a_question_whose_shell_has_died_since_is_asked_in_a_new_one(
    lab: LabProcess, fresh: Host, connect: Connect
) -> None:
    session = connect(lab, fresh, read_only=True)
    session.send(CommandLine("echo one"))
    lab.advance(IDLE_TIMEOUT + 1)
    assert shells(lab, fresh) == 0

    assert session.send(CommandLine("echo two")).stdout == b"two\r\n"
    session.close()

    assert (shells(lab, fresh), session.counters.retries) == (0, 0)


@pytest.mark.parametrize("how", ["idle", "restart", "restart-while-connected-anew"])
def test_a_change_whose_shell_has_died_since_is_made_once_in_a_new_one(
    lab: LabProcess, fresh: Host, connect: Connect, stack: str, how: str
) -> None:
    session, name = connect(lab, fresh), f"died-{stack}-{how}"
    if how == "restart-while-connected-anew":
        lab.inject(fresh.name, kind="close-after", action="Receive")
    session.send(CommandLine("hostname"))
    if how == "idle":
        lab.advance(IDLE_TIMEOUT + 1)
    else:
        lab.end_shells(fresh.name)

    assert session.send(CommandLine(f"mkdir C:\\{name}")).exit_code == 0

    assert folders(lab, fresh, name) == 1
    assert lab.counters(fresh.name)["commands"].count(f"mkdir C:\\{name}") == 1


def test_a_question_whose_shell_dies_under_it_is_asked_again(lab: LabProcess, fresh: Host, connect: Connect) -> None:
    session = connect(lab, fresh, read_only=True)
    session.send(CommandLine("echo one"))
    lab.inject(fresh.name, kind="fault", code=2150858843, action="Receive")

    assert session.send(CommandLine("echo two")).stdout == b"two\r\n"


def test_a_change_whose_shell_dies_under_it_may_have_happened_and_is_not_repeated(
    lab: LabProcess, fresh: Host, connect: Connect, stack: str
) -> None:
    session, line = connect(lab, fresh), f"mkdir C:\\under-{stack}"
    session.send(CommandLine("hostname"))
    lab.inject(fresh.name, kind="fault", code=2150858843, action="Receive")

    with pytest.raises(AnswerLost, match="may have happened"):
        session.send(CommandLine(line))

    assert lab.counters(fresh.name)["commands"].count(line) == 1


def test_a_change_that_was_refused_with_another_fault_is_not_repeated(
    lab: LabProcess, fresh: Host, connect: Connect, stack: str
) -> None:
    session, line = connect(lab, fresh), f"mkdir C:\\refused-{stack}"
    session.send(CommandLine("hostname"))
    before = sent(lab, fresh)
    lab.inject(fresh.name, kind="fault", code=2147943395, action="Command")  # aborted: it may have begun

    with pytest.raises(AnswerLost, match="may have happened"):
        session.send(CommandLine(line))

    assert since(lab, fresh, before)["Command"] == 1
    assert session.send(CommandLine("hostname")).exit_code == 0  # in a new shell
    assert since(lab, fresh, before)["Create"] == 1


def test_a_second_shell_that_the_pc_refuses_once_is_asked_for_again(
    lab: LabProcess, fresh: Host, connect: Connect, stack: str
) -> None:
    session, name = connect(lab, fresh), f"second-{stack}"
    session.send(CommandLine("hostname"))
    lab.advance(IDLE_TIMEOUT + 1)
    lab.inject(fresh.name, kind="shell-quota", action="Create")

    assert session.send(CommandLine(f"mkdir C:\\{name}")).exit_code == 0

    assert folders(lab, fresh, name) == 1


def test_a_second_shell_that_the_pc_always_refuses_is_its_quota_and_nothing_was_changed(
    lab: LabProcess, fresh: Host, connect: Connect, stack: str
) -> None:
    session, name = connect(lab, fresh), f"never-{stack}"
    session.send(CommandLine("hostname"))
    lab.advance(IDLE_TIMEOUT + 1)
    lab.inject(fresh.name, kind="shell-quota", action="Create", times=None)

    with pytest.raises(QuotaExceeded):
        session.send(CommandLine(f"mkdir C:\\{name}"))

    assert folders(lab, fresh, name) == 0


def test_a_change_is_sent_to_a_second_shell_however_the_pc_refuses_to_open_it_at_first(
    lab: LabProcess, fresh: Host, connect: Connect, stack: str
) -> None:
    session, name = connect(lab, fresh), f"busy-{stack}"
    session.send(CommandLine("hostname"))
    lab.advance(IDLE_TIMEOUT + 1)
    lab.inject(fresh.name, kind="fault", code=2147943395, action="Create")  # aborted: something may have begun

    assert session.send(CommandLine(f"mkdir C:\\{name}")).exit_code == 0  # but not the change

    assert folders(lab, fresh, name) == 1


# -- the connection dies --------------------------------------------------------------------------------------------


def test_the_shell_outlives_a_connection_that_the_pc_closes(lab: LabProcess, fresh: Host, connect: Connect) -> None:
    session, before = connect(lab, fresh), sent(lab, fresh)
    lab.inject(fresh.name, kind="close-after", times=None)

    assert [session.send(CommandLine("hostname")).exit_code for _ in range(3)] == [0, 0, 0]
    session.close()

    assert since(lab, fresh, before)["Create"] == since(lab, fresh, before)["Delete"] == 1
    assert shells(lab, fresh) == 0


@pytest.mark.parametrize("action", ["Command", "Receive"])
@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
def test_a_question_whose_connection_broke_is_asked_in_a_new_shell_and_no_shell_is_left(
    lab: LabProcess, fresh: Host, connect: Connect, action: str, kind: str
) -> None:
    session = connect(lab, fresh, read_only=True)
    session.send(CommandLine("echo one"))
    lab.inject(fresh.name, kind=kind, action=action)

    assert session.send(CommandLine("echo two")).stdout == b"two\r\n"
    assert shells(lab, fresh) == 2
    session.close()

    assert shells(lab, fresh) == 0


def test_a_change_whose_connection_broke_goes_on_in_its_shell_which_is_idle_soon(
    lab: LabProcess, fresh: Host, connect: Connect, stack: str
) -> None:
    session = connect(lab, fresh)
    session.send(CommandLine("hostname"))
    lab.inject(fresh.name, kind="drop-after", action="Command")

    with pytest.raises(AnswerLost):
        session.send(CommandLine(f"more > C:\\goes-on-{stack}.txt"))  # waits for its input
    assert session.send(CommandLine("hostname")).exit_code == 0  # in a shell of its own: the other is busy
    session.close()
    assert shells(lab, fresh) == 1

    lab.advance(IDLE_TIMEOUT + 1)
    assert shells(lab, fresh) == 0


def test_the_shell_of_a_controller_that_is_gone_ends_by_its_idle_time(
    lab: LabProcess, fresh: Host, make_target: Any
) -> None:
    made: list[Any] = []

    def remembered(*arguments: Any, **named: Any) -> Any:
        made.append(connection(*arguments, **named))
        return made[-1]

    session = Session(make_target(lab, fresh), read_only=True, connect=remembered)
    session.send(CommandLine("hostname"))
    made[0].close()  # and nobody is left who could delete the shell
    lab.advance(IDLE_TIMEOUT - 1)
    assert shells(lab, fresh) == 1

    lab.advance(2)
    assert shells(lab, fresh) == 0


def test_a_pc_that_does_not_answer_any_more_holds_up_the_end_for_a_moment_only(
    lab: LabProcess, fresh: Host, make_target: Any, stack: str
) -> None:
    target = make_target(lab, fresh, stack=stack, deadlines=Deadlines(read=1.0))
    session = Session(target, read_only=True, pause=lambda seconds: None)
    session.send(CommandLine("hostname"))
    lab.inject(fresh.name, kind="stall", times=None)
    began = time.monotonic()

    session.close()

    assert time.monotonic() - began < 10


def test_a_host_deadline_that_passes_in_a_command_leaves_no_shell(
    lab: LabProcess, fresh: Host, make_target: Any, stack: str
) -> None:
    received = lab.counters(fresh.name)["actions"].get("Receive", 0)

    def seconds() -> float:
        """Let a minute pass when the PC is asked for output."""
        return 60.0 * (lab.counters(fresh.name)["actions"].get("Receive", 0) - received)

    target = make_target(lab, fresh, stack=stack, deadlines=Deadlines(read=1000.0, host=30.0))
    session = Session(target, read_only=True, seconds=seconds, pause=lambda _: None)
    lab.inject(fresh.name, kind="fault", code=2150858793, action="Receive", times=None)
    with pytest.raises(DeadlineExceeded):
        session.send(CommandLine("hostname"))
    lab.heal(fresh.name)

    session.close()

    assert shells(lab, fresh) == 0


def test_a_session_that_is_closed_while_it_waits_for_an_answer_sends_nothing_in_between(
    lab: LabProcess, fresh: Host, make_target: Any
) -> None:
    class Closing:
        """A connection during whose first Receive somebody closes the session."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            self._inner = connection(*arguments, **named)

        def exchange(self, message: bytes) -> tuple[int, bytes]:
            if b"shell/Receive<" in message and not closed:
                closed.append(True)
                session.close()
            return self._inner.exchange(message)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    closed: list[bool] = []
    before = sent(lab, fresh)
    session = Session(make_target(lab, fresh), read_only=True, connect=Closing, pause=lambda seconds: None)

    assert session.send(CommandLine("echo x")).stdout == b"x\r\n"
    assert closed
    assert since(lab, fresh, before)["Delete"] == 0
    session.close()

    assert shells(lab, fresh) == 0


# -- a PC that is not one -------------------------------------------------------------------------------------------


def test_what_answers_with_nonsense_is_sent_nothing_more(lab: LabProcess, fresh: Host, connect: Connect) -> None:
    session = connect(lab, fresh, read_only=True)
    session.send(CommandLine("hostname"))
    lab.inject(fresh.name, kind="junk", text="<html>", action="Command")
    with pytest.raises(ProtocolError):
        session.send(CommandLine("hostname"))
    requests = lab.counters(fresh.name)["requests"]

    session.close()

    assert lab.counters(fresh.name)["requests"] == requests


def test_a_pc_that_is_gone_at_the_end_is_no_error(lab: LabProcess, fresh: Host, make_target: Any) -> None:
    made: list[Any] = []

    def once(*arguments: Any, **named: Any) -> Any:
        if made:
            raise Unreachable("the PC is gone")
        made.append(connection(*arguments, **named))
        return made[0]

    session = Session(make_target(lab, fresh), read_only=True, connect=once, pause=lambda seconds: None)
    assert session.send(CommandLine("echo x")) == Completed(0, b"x\r\n")
    lab.inject(fresh.name, kind="drop-before", times=None)

    session.close()

    assert session.counters.connections == 1
