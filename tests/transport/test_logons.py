"""Who waits for a fuse, over many sessions of one process: against the lab, and with connections that wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import gevent
import pytest
from gevent.event import Event

from provmode.errors import AuthenticationFailed, DeadlineExceeded, HostError, ProtocolError
from provmode.lab.process import Host, LabProcess
from provmode.transport.base import Connection, ConnectionLost, LogonNotSent, NotRenewed
from provmode.transport.logons import LogonNotTried, Logons, Refusals
from provmode.transport.session import Session
from provmode.transport.target import Counters, Credentials, Endpoint, Target
from provmode.wsman import Get, Identify, Resource

NOW = datetime(2026, 8, 20, 9, 10, tzinfo=timezone.utc)
CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))


class Pc:
    """A PC whose answer to a logon is given from outside: ``None`` accepts, an error refuses."""

    computer = None
    """It does not say what it is called."""

    def __init__(self, name: str) -> None:
        self.name, self.logons, self.answer = name, 0, Event()
        self.error: HostError | None = None

    def __call__(self, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> Connection:
        return self

    def dial(self) -> None:
        pass

    def authenticate(self) -> None:
        self.logons += 1
        self.answer.wait()
        if self.error is not None:
            raise self.error

    def exchange(self, message: bytes) -> tuple[int, bytes]:
        raise ConnectionLost("nothing is answered here", sent=False)

    def close(self) -> None:
        pass

    def says(self, error: HostError | None) -> None:
        """Let the PC answer its logon, and let everybody run until all wait."""
        self.error = error
        self.answer.set()
        settle()


def settle() -> None:
    """Let the greenlets run until all of them wait."""
    for _ in range(20):
        gevent.idle()


class Memory:
    """A memory in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Refusals | None] = {}

    def recall(self, user: str, password: str) -> Refusals | None:
        return self.kept.get((user, password))

    def keep(self, user: str, password: str, refusals: Refusals | None) -> None:
        self.kept[user, password] = refusals


class Run:
    """Many PCs that are logged on to at once."""

    def __init__(self, count: int, logons: Logons | None = None, *, user: str = "LAB\\provmode") -> None:
        self.logons = logons or Logons(lambda: NOW)
        self.pcs = [Pc(f"PC-{number}") for number in range(count)]
        self.errors: dict[str, Exception] = {}
        self.sessions = []
        for pc in self.pcs:
            target = Target(Endpoint(pc.name, pc.name), Credentials("ntlm", user, "secret"))
            self.sessions.append(Session(target, read_only=True, connect=pc, logons=self.logons))
        self.greenlets = [gevent.spawn(self._connect, session) for session in self.sessions]
        settle()

    def _connect(self, session: Session) -> None:
        try:
            session.connect()
        except HostError as error:
            self.errors[session.target.endpoint.name] = error
        finally:
            session.close()

    @property
    def asked(self) -> list[str]:
        """The PCs that were asked with the password."""
        return [pc.name for pc in self.pcs if pc.logons]

    def end(self) -> None:
        for pc in self.pcs:
            pc.answer.set()
        gevent.joinall(self.greenlets)


REFUSED = AuthenticationFailed("PC refused LAB\\provmode (ntlm)")


def test_three_are_asked_at_a_time_until_the_first_success_then_all_are() -> None:
    run = Run(50)
    assert run.asked == ["PC-0", "PC-1", "PC-2"]

    run.pcs[1].says(None)

    assert len(run.asked) == 50
    run.end()
    assert run.errors == {}


def test_after_three_refusals_nobody_else_is_asked() -> None:
    run = Run(50)

    for pc in run.pcs[:3]:
        pc.says(REFUSED)
    run.end()

    assert run.asked == ["PC-0", "PC-1", "PC-2"]
    assert [type(run.errors[pc.name]) for pc in run.pcs[:4]] == [AuthenticationFailed] * 3 + [LogonNotTried]
    error = run.errors["PC-49"]
    assert isinstance(error, LogonNotTried)
    assert str(error.cause) == "auth"
    assert error.what == ("not tried: 3 PCs refused this account (LAB\\provmode), the last on 2026-08-20 09:10 UTC")


def test_a_refusal_leaves_less_room_for_others() -> None:
    run = Run(50)

    run.pcs[0].says(REFUSED)

    assert run.asked == ["PC-0", "PC-1", "PC-2"], "with one refused, two in flight are the most"
    run.pcs[1].says(DeadlineExceeded("it did not answer"))
    assert run.asked == ["PC-0", "PC-1", "PC-2", "PC-3"]
    run.pcs[2].says(None)
    assert len(run.asked) == 50
    run.end()


@pytest.mark.parametrize(
    "error",
    [DeadlineExceeded("no answer"), ConnectionLost("gone", sent=True), LogonNotSent("offers Kerberos, not ntlm")],
)
def test_what_is_no_answer_about_the_password_counts_neither_way(error: HostError) -> None:
    run = Run(50)

    for pc in run.pcs[:40]:
        pc.says(error)

    assert len(run.asked) == 43, "the next three are in flight"
    run.pcs[41].says(None)
    assert len(run.asked) == 50
    run.end()


def test_two_accounts_and_two_passwords_of_one_account_are_independent() -> None:
    logons = Logons(lambda: NOW)
    one = Run(10, logons)
    for pc in one.pcs[:3]:
        pc.says(REFUSED)

    other = Run(10, logons, user="LAB\\other")

    assert len(other.asked) == 3
    other.pcs[0].says(None)
    assert len(other.asked) == 10
    assert len(one.asked) == 3
    one.end()
    other.end()


def test_the_spelling_of_the_name_makes_no_second_account() -> None:
    logons = Logons(lambda: NOW)
    one = Run(10, logons)
    for pc in one.pcs[:3]:
        pc.says(REFUSED)

    other = Run(10, logons, user="lab\\PROVMODE")

    assert other.asked == []
    one.end()
    other.end()


def test_local_accounts_are_asked_on_every_pc() -> None:
    run = Run(10, user=".\\admin")

    for pc in run.pcs:
        pc.says(REFUSED)

    assert len(run.asked) == 10
    run.end()


def test_a_session_that_is_closed_while_its_logon_is_in_flight_gives_its_place_to_another() -> None:
    run = Run(5)

    run.greenlets[0].kill()
    settle()

    assert run.asked == ["PC-0", "PC-1", "PC-2", "PC-3"]
    run.end()


def test_who_waits_and_is_killed_holds_up_nobody() -> None:
    run = Run(5)

    run.greenlets[4].kill()
    run.pcs[0].says(None)

    assert run.asked == ["PC-0", "PC-1", "PC-2", "PC-3"]
    run.end()


def test_waiting_does_not_count_against_the_hosts_deadline() -> None:
    logons, clock = Logons(lambda: NOW), [0.0]
    run = Run(3, logons)
    pc = Pc("PC-9")
    pc.answer.set()
    target = Target(Endpoint(pc.name, pc.name), Credentials("ntlm", "LAB\\provmode", "secret"))
    session = Session(target, read_only=True, connect=pc, logons=logons, seconds=lambda: clock[0])
    waiting = gevent.spawn(session.connect)
    settle()
    assert pc.logons == 0

    clock[0] = 10_000.0
    run.pcs[0].says(None)
    waiting.join()

    assert waiting.exception is None
    with pytest.raises(ProtocolError, match="nothing is answered here"):  # and not the host deadline
        Session.send(session, Identify())
    session.close()
    run.end()


# -- from run to run ------------------------------------------------------------------------------------------------


def test_refusals_in_a_row_count_over_runs() -> None:
    memory, logons, asked = Memory(), Logons(lambda: NOW), []
    for _ in range(5):
        with logons.remembering(memory):
            run = Run(1, logons)
            run.pcs[0].says(REFUSED)
            run.end()
            asked.append(len(run.asked))

    assert asked == [1, 1, 1, 0, 0]
    assert memory.kept["LAB\\provmode", "secret"] == Refusals(("PC-0",) * 3, NOW)


def test_a_blown_fuse_is_kept_at_once_and_cleared_by_a_success_of_a_retry() -> None:
    memory, logons = Memory(), Logons(lambda: NOW)
    with logons.remembering(memory):
        run = Run(9, logons)
        for pc in run.pcs[:3]:
            pc.says(REFUSED)
        assert memory.kept["LAB\\provmode", "secret"] == Refusals(("PC-0", "PC-1", "PC-2"), NOW)
        run.end()

    with logons.remembering(memory, retry=True):
        run = Run(9, logons)
        assert len(run.asked) == 3
        run.pcs[0].says(None)
        run.end()

    assert memory.kept["LAB\\provmode", "secret"] is None


def test_a_retry_that_asked_nobody_clears_nothing() -> None:
    blown = Refusals(("PC-0", "PC-1", "PC-2"), NOW)
    memory, logons = Memory(), Logons(lambda: NOW)
    memory.kept["LAB\\provmode", "secret"] = blown
    with logons.remembering(memory, retry=True):
        run = Run(1, logons)
        run.pcs[0].says(DeadlineExceeded("no answer"))
        run.end()

    assert memory.kept["LAB\\provmode", "secret"] == blown


# -- one PC ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forever", [True, False])
def test_a_pc_that_accepts_the_logon_and_then_denies_it_gets_one_further_logon(
    lab: LabProcess, healthy: Host, connect: Callable[..., Session], forever: bool, stack: str
) -> None:
    before = lab.counters(healthy.name)["handshakes"]
    lab.inject(healthy.name, kind="status", code=401, times=None if forever else 1)
    session = connect(lab, healthy)

    if forever:
        with pytest.raises(AuthenticationFailed, match=r"after 2 logons in a row; .* accounts lock"):
            session.send(CLIENT)
    else:
        assert session.send(CLIENT)

    assert lab.counters(healthy.name)["handshakes"] == before + 2 * (3 if stack == "pywinrm" else 2)


def test_a_pc_that_breaks_off_every_logon_gets_two_of_them() -> None:
    pc = Pc("PC-0")
    pc.says(ConnectionLost("it broke off", sent=True))
    target = Target(Endpoint(pc.name, pc.name), Credentials("ntlm", "LAB\\provmode", "secret"))
    session = Session(target, read_only=True, connect=pc, pause=lambda seconds: None)

    with pytest.raises(ProtocolError, match="it broke off, after 2 logons in a row") as broken:
        session.send(Identify())

    assert pc.logons == 2
    assert not broken.value.passes


def test_a_refusal_of_basic_in_a_message_counts(secure_lab: LabProcess, make_target: Any, of_persona: Any) -> None:
    logons = Logons(lambda: NOW)
    pc = of_persona(secure_lab, "healthy")
    for kind in (AuthenticationFailed, AuthenticationFailed, AuthenticationFailed, LogonNotTried):
        target = make_target(secure_lab, pc, authentication="basic", password="not the password")
        session = Session(target, read_only=True, logons=logons)
        with pytest.raises(kind) as refused:
            session.connect()
        session.close()
        assert type(refused.value) is kind


# -- a password that is changed by itself where it is kept ------------------------------------------------------------


class Kept:
    """Where a password is kept, which finds *newer* when it is asked, or says that there is none."""

    def __init__(self, newer: str | None = "newer", takes: Callable[[], object] = lambda: None) -> None:
        self.newer, self.takes, self.asked = newer, takes, 0

    def __call__(self) -> tuple[str, str]:
        self.asked += 1
        self.takes()
        if self.newer is None:
            raise NotRenewed("LAPS has no other password for it")
        return ".\\admin", self.newer


class Picky(Pc):
    """A PC that takes one password and refuses every other."""

    def __init__(self, name: str, takes: str) -> None:
        super().__init__(name)
        self.takes, self.tried = takes, list[str]()

    def __call__(self, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> Connection:
        self.now = target.credentials.password
        return self

    def authenticate(self) -> None:
        self.tried.append(self.now)
        if self.now != self.takes:
            raise self.error or AuthenticationFailed(f"{self.name} refused it", next_step="accounts lock")


def session_to(pc: Pc, kept: Kept, *, user: str = ".\\admin", logons: Logons | None = None, **options: Any) -> Session:
    target = Target(Endpoint(pc.name, pc.name), Credentials("ntlm", user, "old", renew=kept))
    return Session(target, read_only=True, connect=pc, logons=logons, **options)


def test_a_password_that_was_rotated_is_read_anew_and_tried_once() -> None:
    pc, kept = Picky("PC-0", "newer"), Kept()

    session_to(pc, kept).connect()

    assert (pc.tried, kept.asked) == (["old", "newer"], 1)


def test_a_password_that_was_not_rotated_is_not_tried_again() -> None:
    pc, kept = Picky("PC-0", "another"), Kept(None)
    session = session_to(pc, kept)

    with pytest.raises(AuthenticationFailed) as refused:
        session.connect()

    assert str(refused.value) == "PC-0 refused it; LAPS has no other password for it; accounts lock"
    assert (pc.tried, kept.asked) == (["old"], 1)


def test_one_that_was_rotated_and_is_refused_too_is_the_last_one() -> None:
    pc, kept = Picky("PC-0", "another"), Kept()
    session = session_to(pc, kept)

    for attempt in range(2):  # the second time with the newer one at once
        with pytest.raises(AuthenticationFailed, match="PC-0 refused it; so is the password that was read anew"):
            session.connect()
        assert (pc.tried, kept.asked) == (["old", "newer", "newer"][: attempt + 2], 1)


@pytest.mark.parametrize(
    "error", [LogonNotSent("it offers no NTLM"), DeadlineExceeded("no answer"), ProtocolError("?")]
)
def test_what_is_no_refusal_of_the_password_does_not_have_it_read_anew(error: HostError) -> None:
    pc, kept = Picky("PC-0", "another"), Kept()
    pc.error = error

    with pytest.raises(type(error)):
        session_to(pc, kept).connect()

    assert (pc.tried, kept.asked) == (["old"], 0)


def test_each_password_counts_for_the_fuse_by_itself() -> None:
    """Three accounts of the domain are refused with the old password, which is then not tried any more."""
    logons, pcs, kept = Logons(lambda: NOW), [Picky(f"PC-{number}", "newer") for number in range(4)], Kept()

    for pc in pcs[:3]:
        session_to(pc, kept, user="LAB\\admin", logons=logons).connect()
    with pytest.raises(LogonNotTried):
        session_to(pcs[3], kept, user="LAB\\admin", logons=logons).connect()

    assert [pc.tried for pc in pcs] == [["old", "newer"]] * 3 + [[]]
    assert kept.asked == 3


def test_local_administrators_that_are_refused_stop_nobody() -> None:
    logons, pcs = Logons(lambda: NOW), [Picky(f"PC-{number}", "another") for number in range(5)]

    for pc in pcs:
        with pytest.raises(AuthenticationFailed):
            session_to(pc, Kept(), logons=logons).connect()

    assert [pc.tried for pc in pcs] == [["old", "newer"]] * 5
    assert logons.notes() == []


def test_the_directory_does_not_count_against_the_hosts_deadline() -> None:
    now = [0.0]
    pc, kept = Picky("PC-0", "newer"), Kept(takes=lambda: now.__setitem__(0, 1000.0))
    session = session_to(pc, kept, seconds=lambda: now[0])
    session.begin()

    with pytest.raises(ProtocolError, match="nothing is answered here"):  # and not that the deadline has passed
        session.send(Identify())

    assert pc.tried[:2] == ["old", "newer"]


def test_a_pc_whose_password_was_rotated_meanwhile_answers(
    lab: LabProcess, healthy: Host, connect: Callable[..., Session]
) -> None:
    kept = Kept()
    session = connect(lab, healthy, password="old", renew=lambda: (kept() and lab.user, lab.password))

    assert session.send(CLIENT)

    assert kept.asked == 1
    assert "old" not in repr(session.target)
    assert lab.password not in repr(session.target)


def test_a_message_that_basic_refused_is_sent_again_with_the_newer_password(
    secure_lab: LabProcess, make_target: Any, of_persona: Any
) -> None:
    pc, kept = of_persona(secure_lab, "healthy"), Kept()
    renew = lambda: (kept() and secure_lab.user, secure_lab.password)  # noqa: E731
    target = make_target(secure_lab, pc, authentication="basic", password="old", renew=renew)
    session = Session(target, read_only=True, pause=lambda seconds: None)

    session.connect()
    session.close()

    assert kept.asked == 1
