"""The lease on a PC: one run holds it and others learn which, however commands interleave and answers get lost."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provmode.errors import AccessDenied, AnswerLost, HostError, RemoteFault
from provmode.lab.windows import cmd, configmgr
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC
from provmode.remediation.lease import (
    ABANDONED,
    EMPTY_PAUSE,
    LOOK,
    RENEW,
    WATCH,
    LeaseLost,
    LeaseRefused,
    LeaseTaken,
    Token,
    check_held,
    holder,
    release,
    renew,
    take,
)
from provmode.transport.write_gate import changes
from provmode.windows.conversation import Pause
from provmode.wsman import CommandLine, Completed, Enumerate, Instance

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
MINE, OTHER = "0123456789abcdef", "fedcba9876543210"
FOLDER = "C:\\Windows\\ccmsetup\\provmode-claim"
LOST = AnswerLost("the connection broke")
NOTHING = Completed(1, b"", b"File Not Found\r\nFile Not Found\r\n")
DENIED = Completed(1, b"", b"Access is denied.\r\n")
Talk = Generator[Any, Any, Any]


class Windows:
    """A modelled PC that answers what a conversation asks."""

    def __init__(self) -> None:
        self.pc = PC("PC-1", Clock(START, lambda: 0.0))
        configmgr.install(self.pc, "5.00.9128.1007")
        self.pc.start_recording()
        self.asked: list[str] = []

    def run(self, line: str) -> Completed:
        running = cmd.start(self.pc, line, codepage=65001)
        out, err = running.read()
        assert running.exit_code is not None
        return Completed(running.exit_code, out, err)

    def answer(self, asked: Any) -> Any:
        if isinstance(asked, CommandLine):
            self.asked.append(asked.line)
            return self.run(asked.line)
        if isinstance(asked, Pause):
            return self.pc.advance(asked.seconds)
        assert isinstance(asked, Enumerate)
        now = self.pc.now().isoformat().replace("+00:00", "Z")
        return [Instance("XmlFragment", {"LocalDateTime": now, "CurrentTimeZone": "0"})]

    def converse(self, talk: Talk, *, losing: Callable[[str], bool] = lambda line: False) -> Any:
        """Carry out a conversation; the answer to a line that changes the PC is lost if *losing* returns true."""
        try:
            asked = next(talk)
            while True:
                answer = self.answer(asked)
                lost = isinstance(asked, CommandLine) and changes(asked) and losing(asked.line)
                asked = talk.throw(LOST) if lost else talk.send(answer)
        except StopIteration as stop:
            return stop.value

    def make(self, name: str = "") -> None:
        assert self.run(f'mkdir "{FOLDER}{name and chr(92)}{name}"').exit_code == 0

    def left(self) -> list[str] | None:
        return self.pc.files.listdir(FOLDER)


@pytest.fixture
def windows() -> Windows:
    return Windows()


def ago(age: timedelta, run: str = OTHER) -> str:
    return str(Token(START - age, run))


# -- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_read_as_it_is_written() -> None:
    token = Token(START, MINE)

    assert str(token) == "20260302T080000Z-0123456789abcdef"
    assert Token.parse(str(token)) == token


@pytest.mark.parametrize("text", ["", "provmode-claim", "20261332T080000Z-0123456789abcdef", "20260302T080000Z-12"])
def test_a_text_that_is_not_a_token_is_none(text: str) -> None:
    assert Token.parse(text) is None


# -- taken and released ---------------------------------------------------------------------------------------------


def test_a_free_lease_is_taken_by_one_command_line_and_released_by_one(windows: Windows) -> None:
    announced: list[Token] = []

    token = windows.converse(take(MINE, announced.append))
    held = windows.left()
    released = windows.converse(release(token))

    assert held == [str(token)] == [str(Token(START, MINE))]
    assert announced == [token]
    assert released
    assert windows.left() is None
    assert len(windows.asked) == 2
    assert [change.what for change in windows.pc.mutations] == [
        f"folder {FOLDER} made",
        f"folder {FOLDER}\\{token} made",
        f"folder {FOLDER}\\{token} removed",
        f"folder {FOLDER} removed",
    ]


def test_the_lease_is_announced_before_anything_is_sent_and_an_error_there_stops_it(windows: Windows) -> None:
    def full(token: Token) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        windows.converse(take(MINE, full))
    assert windows.asked == []


def test_the_lease_of_another_run_is_left_alone_and_named(windows: Windows) -> None:
    windows.make(ago(ABANDONED))

    with pytest.raises(LeaseTaken, match=r"since 2026-03-02 07:45:00 UTC by its clock \(lease 20260302T074500Z-fe"):
        windows.converse(take(MINE))
    assert windows.converse(release(Token(START, MINE)))
    assert windows.left() == [ago(ABANDONED)]


@pytest.mark.parametrize("age", [timedelta(minutes=15, seconds=1), timedelta(days=3), -timedelta(minutes=16)])
def test_an_abandoned_lease_is_taken_over(windows: Windows, age: timedelta) -> None:
    windows.make(ago(age))

    token = windows.converse(take(MINE))

    assert windows.left() == [str(token)]


def test_the_token_that_was_announced_before_a_crash_is_taken_over_without_waiting(windows: Windows) -> None:
    before = Token(START - timedelta(minutes=2), OTHER)
    windows.make(str(before))

    token = windows.converse(take(MINE, earlier=[before]))

    assert windows.left() == [str(token)] == [str(Token(START, MINE))]
    assert windows.pc.now() == START


def test_another_token_of_the_same_run_is_not_taken_over(windows: Windows) -> None:
    before = Token(START - timedelta(minutes=2), OTHER)
    windows.make(str(before))

    with pytest.raises(LeaseTaken):
        windows.converse(take(OTHER, earlier=[Token(START - timedelta(minutes=1), OTHER)]))
    assert windows.left() == [str(before)]


def test_of_two_resumes_that_know_one_token_one_takes_it_over(windows: Windows) -> None:
    before = Token(START - timedelta(minutes=2), "0" * 16)
    windows.make(str(before))

    ends = in_turns(windows, take(MINE, earlier=[before]), take(OTHER, earlier=[before]))

    assert [type(end) for end in ends] == [Token, LeaseTaken]
    assert windows.left() == [str(ends[0])]


def test_each_host_of_a_run_and_each_run_is_another_holder() -> None:
    holders = {holder(run, host) for run in (MINE, OTHER) for host in ("PC-1", "10.0.0.5")}

    assert len(holders) == 4
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in holders)


def test_of_two_runs_that_find_an_abandoned_lease_one_takes_it_over(windows: Windows) -> None:
    windows.make(ago(timedelta(hours=1), "0" * 16))

    ends = in_turns(windows, take(MINE), take(OTHER))

    assert [type(end) for end in ends] == [Token, LeaseTaken]
    assert windows.left() == [str(ends[0])]


def in_turns(windows: Windows, *talks: Talk) -> list[Any]:
    """Carry out conversations in turns, so that all look before one acts; return their results and refusals."""
    asked = [next(talk) for talk in talks]
    ends: list[Any] = [None for _ in talks]
    while None in ends:
        for number, talk in enumerate(talks):
            if ends[number] is None:
                try:
                    asked[number] = talk.send(windows.answer(asked[number]))
                except StopIteration as stop:
                    ends[number] = stop.value
                except LeaseTaken as taken:
                    ends[number] = taken
    return ends


# -- renewed, watched and lost --------------------------------------------------------------------------------------


def test_an_old_token_is_taken_over_only_after_it_was_watched(windows: Windows) -> None:
    windows.make(ago(timedelta(hours=1)))

    windows.converse(take(MINE))

    assert windows.pc.now() - START >= timedelta(seconds=WATCH)


@pytest.mark.parametrize("jump", [timedelta(minutes=16), timedelta(days=9 * 365), -timedelta(days=9 * 365)])
def test_a_run_that_renews_keeps_its_lease_however_the_clock_of_the_pc_jumps(windows: Windows, jump: timedelta) -> None:
    token = windows.converse(take(MINE))
    windows.pc.clock.advance(jump)
    stranger = take(OTHER)
    asked, paused = next(stranger), 0.0

    while paused <= WATCH / 2:
        paused += asked.seconds if isinstance(asked, Pause) else 0
        asked = stranger.send(windows.answer(asked))
    token = windows.converse(renew(token, Token(token.since + timedelta(seconds=paused), MINE)))
    answer = windows.answer(asked)

    with pytest.raises(LeaseTaken):
        stranger.send(answer)
    assert windows.left() == [str(token)]
    windows.converse(check_held(token))


def test_an_old_token_that_is_released_while_it_is_watched_makes_room(windows: Windows) -> None:
    old = Token(START - timedelta(hours=1), OTHER)
    windows.make(str(old))
    talk = take(MINE)
    asked = next(talk)
    while not isinstance(asked, Pause):
        asked = talk.send(windows.answer(asked))
    windows.converse(release(old))

    def rest() -> Talk:
        nonlocal asked
        answer = windows.answer(asked)
        while True:
            try:
                asked = talk.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = yield asked

    assert windows.left() in (None, [])
    token = windows.converse(rest())
    assert windows.left() == [str(token)]


def test_a_run_whose_lease_was_taken_over_notices(windows: Windows) -> None:
    token = windows.converse(take(MINE))
    other = Token(START + timedelta(hours=1), OTHER)
    windows.converse(renew(token, other))  # as a stranger takes over

    with pytest.raises(LeaseLost, match=str(other)):
        windows.converse(check_held(token))
    with pytest.raises(LeaseLost, match=str(other)):
        windows.converse(renew(token, Token(START + timedelta(minutes=2), MINE)))
    windows.converse(release(token))
    assert windows.left() == [str(other)]


def test_a_run_beside_which_another_token_stays_does_not_go_on(windows: Windows) -> None:
    token = windows.converse(take(MINE))
    windows.make(ago(timedelta(0)))

    with pytest.raises(LeaseLost):
        windows.converse(check_held(token))


def test_a_renewal_whose_answer_was_lost_keeps_whichever_token_is_there(windows: Windows) -> None:
    token, new = windows.converse(take(MINE)), Token(START + timedelta(minutes=2), MINE)

    assert windows.converse(renew(token, new), losing=lambda line: True) == new
    windows.converse(check_held(token, new))


def test_a_renewal_that_never_arrived_keeps_the_token(drive: Callable[..., Any]) -> None:
    token = Token(START, MINE)
    there = Completed(0, f"provmode-claim\r\n{token}\r\n".encode())

    assert drive(renew(token, Token(START + timedelta(minutes=2), MINE)), LOST, there) == token


def test_a_folder_that_stays_empty_is_taken_over_after_a_pause(windows: Windows) -> None:
    windows.make()

    token = windows.converse(take(MINE))

    assert windows.left() == [str(token)]
    assert windows.pc.now() == START + timedelta(seconds=EMPTY_PAUSE)


def test_an_empty_folder_that_another_run_fills_during_the_pause_is_taken(drive: Callable[..., Any]) -> None:
    busy = Completed(1, b"", b"A subdirectory or file already exists.\r\n")
    empty = Completed(1, b"provmode-claim\r\n", b"File Not Found\r\n")
    filled = Completed(0, f"provmode-claim\r\n{ago(timedelta(0))}\r\n".encode())

    with pytest.raises(LeaseTaken):
        drive(take(MINE), clock_says(START), busy, empty, None, filled)


def test_a_lease_that_is_released_between_our_command_and_our_look_is_tried_again(drive: Callable[..., Any]) -> None:
    busy = Completed(1, b"", b"A subdirectory or file already exists.\r\n")
    mine = Completed(0, f"{Token(START, MINE)}\r\n".encode())

    assert drive(take(MINE), clock_says(START), busy, NOTHING, mine) == Token(START, MINE)


def clock_says(when: datetime) -> list[Instance]:
    return [Instance("XmlFragment", {"LocalDateTime": when.isoformat(), "CurrentTimeZone": "0"})]


# -- refused --------------------------------------------------------------------------------------------------------


def test_a_refusal_quotes_the_message_of_the_pc(drive: Callable[..., Any]) -> None:
    with pytest.raises(LeaseRefused, match=r"provmode-claim could not be made: Access is denied\."):
        drive(take(MINE), clock_says(START), DENIED, NOTHING, DENIED, NOTHING)


def test_an_account_that_cannot_write_there_is_refused(windows: Windows) -> None:
    windows.pc.protected = ("c:\\windows\\ccmsetup",)

    with pytest.raises(LeaseRefused, match="Access is denied"):
        windows.converse(take(MINE))
    assert windows.pc.mutations == []


@pytest.mark.parametrize(
    ("path", "words"),
    [(FOLDER, "directory name is invalid"), (f"{FOLDER}\\of somebody else.txt", "directory is not empty")],
)
def test_a_file_that_is_in_the_way_is_kept(windows: Windows, path: str, words: str) -> None:
    windows.pc.files.write(path, b"x", START)

    with pytest.raises(LeaseRefused, match=words):
        windows.converse(take(MINE))
    assert windows.pc.files.read(path) == b"x"


def test_without_the_clock_of_the_pc_no_lease_is_taken(drive: Callable[..., Any]) -> None:
    with pytest.raises(HostError, match="clock cannot be read"):
        drive(take(MINE), [])


def test_the_write_gate_lets_the_look_pass_and_knows_the_other_lines_as_changes() -> None:
    lines: list[CommandLine] = []
    for start, talk in ((None, take(MINE)), (Token(START, MINE), release(Token(START, MINE)))):
        asked = next(talk)
        lines.append(talk.send(clock_says(START)) if start is None else asked)

    assert not changes(LOOK)
    assert [changes(line) for line in lines] == [True, True]


# -- lost answers ---------------------------------------------------------------------------------------------------


def test_after_a_lost_answer_the_run_looks_whether_it_holds_the_lease(windows: Windows) -> None:
    token = windows.converse(take(MINE), losing=lambda line: True)

    assert windows.left() == [str(token)]
    assert [line for line in windows.asked if "mkdir" in line] == windows.asked[:1], "it was not sent twice"
    assert windows.converse(release(token), losing=lambda line: True)
    assert windows.left() is None


def test_a_command_line_that_never_arrived_is_sent_again(drive: Callable[..., Any]) -> None:
    mine = Completed(0, f"{Token(START, MINE)}\r\n".encode())

    assert drive(take(MINE), clock_says(START), LOST, NOTHING, mine) == Token(START, MINE)


def test_a_lease_that_another_run_holds_after_a_lost_answer_is_taken(drive: Callable[..., Any]) -> None:
    his = Completed(0, f"provmode-claim\r\n{ago(timedelta(0))}\r\n".encode())

    with pytest.raises(LeaseTaken):
        drive(take(MINE), clock_says(START), LOST, his)


def test_a_lease_whose_token_cannot_be_removed_is_not_released(drive: Callable[..., Any]) -> None:
    token = Token(START, MINE)
    there = Completed(0, f"provmode-claim\r\n{token}\r\n".encode())

    assert drive(release(token), *(DENIED, there) * 6) is False


# -- line by line ---------------------------------------------------------------------------------------------------

Converse = Callable[..., Any]
PLACE = "%windir%\\ccmsetup\\provmode-claim"
HERS = Token(START - timedelta(minutes=15), OTHER)
OLD, OLDER = Token(START - timedelta(hours=1), OTHER), Token(START - timedelta(hours=2), "0" * 16)
OURS, RENEWED = Token(START, MINE), Token(START + timedelta(minutes=2), MINE)
LOOKED = f'dir /b "{PLACE}*" & dir /b "{PLACE}"'
CLOCK = (
    "winrm enumerate wmicimv2/* -dialect:WQL "
    '-filter:"SELECT CSName,LocalDateTime,CurrentTimeZone,LastBootUpTime FROM Win32_OperatingSystem"'
)
MADE = f'mkdir "{PLACE}" && mkdir "{PLACE}\\{OURS}" && dir /b "{PLACE}"'
CLEARED = f'rmdir "{PLACE}" && {MADE}'
BUSY = Completed(1, b"", b"A subdirectory or file\r\n provmode-claim already exists.\r\n")
EMPTY = Completed(1, b"provmode-claim\r\n", b"File Not Found\r\n")
TAKEN = "LeaseTaken: another controller is at work on it since {:%Y-%m-%d %H:%M:%S} UTC by its clock (lease {}); "
WAIT = "apply again when it is done"
REFUSED = (
    f"LeaseRefused: {PLACE} could not be made: {{}}; look at the account's rights there, and at what is in the way"
)


def lists(*tokens: Token, exists: bool = True) -> Completed:
    """Return the listing of a look; without *exists* that of a command line, which lists only the folder."""
    names = (["provmode-claim"] if exists else []) + [str(token) for token in tokens]
    return Completed(0, "".join(f"{name}\r\n" for name in names).encode())


def taken(token: Token) -> str:
    return TAKEN.format(token.since, token) + WAIT


def renamed(token: Token, new: Token = OURS) -> str:
    return f'ren "{PLACE}\\{token}" "{new}" & dir /b "{PLACE}"'


def removed(token: Token) -> str:
    return f'rmdir "{PLACE}\\{token}" && rmdir "{PLACE}" && echo @provmode released'


GONE = Completed(0, b"@provmode released\r\n")
HELD = lists(OURS, exists=False)
WATCHED = ["pause 60", LOOKED] * 7


@pytest.mark.parametrize(
    ("answers", "asked", "end"),
    [
        ((HELD,), [MADE], OURS),
        ((LOST, lists(OURS)), [MADE, LOOKED], OURS),
        ((BUSY, EMPTY, lists(OURS)), [MADE, LOOKED, "pause 2", LOOKED], OURS),
        ((BUSY, EMPTY, EMPTY, HELD), [MADE, LOOKED, "pause 2", LOOKED, CLEARED], OURS),
        ((BUSY, EMPTY, NOTHING, HELD), [MADE, LOOKED, "pause 2", LOOKED, MADE], OURS),
        ((BUSY, lists(HERS)), [MADE, LOOKED], taken(HERS)),
        ((BUSY, lists(HERS, OLD)), [MADE, LOOKED], taken(HERS)),
        ((BUSY, lists(OLD, HERS)), [MADE, LOOKED], taken(HERS)),
        ((BUSY, lists(OLD), *[lists(OLD)] * 7, HELD), [MADE, LOOKED, *WATCHED, renamed(OLD)], OURS),
        (
            (BUSY, lists(OLD, OLDER), *[lists(OLDER, OLD)] * 7, HELD),
            [
                *(MADE, LOOKED, *WATCHED),
                f'rmdir "{PLACE}\\{OLD}" && rmdir "{PLACE}\\{OLDER}" && {CLEARED}',
            ],
            OURS,
        ),
        ((BUSY, lists(OLD), NOTHING, HELD), [MADE, LOOKED, "pause 60", LOOKED, renamed(OLD)], OURS),
        ((BUSY, lists(OLD), lists(OLDER)), [MADE, LOOKED, "pause 60", LOOKED], taken(OLDER)),
        ((BUSY, lists(OLD), lists(OLD, OLDER)), [MADE, LOOKED, "pause 60", LOOKED], taken(OLD)),
        ((LOST, lists(HERS, OURS), GONE), [MADE, LOOKED, removed(OURS)], taken(HERS)),
        ((DENIED, NOTHING, DENIED, NOTHING), [MADE, LOOKED] * 2, REFUSED.format("Access is denied.")),
        ((Completed(1, b"", b"\xff denied"), NOTHING) * 2, [MADE, LOOKED] * 2, REFUSED.format("\ufffd denied")),
        (
            (DENIED, NOTHING, BUSY, NOTHING),
            [MADE, LOOKED] * 2,
            REFUSED.format("A subdirectory or file provmode-claim already exists."),
        ),
        ((Completed(1), NOTHING) * 2, [MADE, LOOKED] * 2, REFUSED.format("the PC did not say why")),
        ((LOST, NOTHING) * 6, [MADE, LOOKED] * 6, REFUSED.format("the PC did not say why")),
        (
            (BUSY, *(EMPTY, EMPTY, BUSY) * 2, EMPTY, EMPTY),
            [MADE, LOOKED, "pause 2", LOOKED, *[CLEARED, LOOKED, "pause 2", LOOKED] * 2],
            REFUSED.format("A subdirectory or file provmode-claim already exists."),
        ),
        (
            (BUSY, lists(OLD), NOTHING, BUSY, NOTHING, BUSY, NOTHING, HELD),  # others come and go all the time
            [MADE, LOOKED, "pause 60", LOOKED, renamed(OLD), LOOKED, MADE, LOOKED, MADE],
            OURS,
        ),
    ],
)
def test_the_lease_is_taken_line_by_line(converse: Converse, answers: Any, asked: list[str], end: Any) -> None:
    talk = converse(take(MINE), clock_says(START + timedelta(microseconds=999_999)), *answers)

    assert (talk.asked, talk.end) == ([CLOCK, *asked], end)


def test_a_pc_whose_time_is_known_is_not_asked_for_it(converse: Converse) -> None:
    talk = converse(take(MINE, now=START + timedelta(microseconds=999_999)), HELD)

    assert (talk.asked, talk.end) == ([MADE], OURS)


def test_only_a_single_token_that_was_announced_is_taken_over_at_once(converse: Converse) -> None:
    talk = converse(take(MINE, earlier=[HERS, OLD]), clock_says(START), BUSY, lists(HERS), HELD)
    two = converse(take(MINE, earlier=[HERS, OLD]), clock_says(START), BUSY, lists(HERS, OLD))

    assert (talk.asked[3:], talk.end) == ([renamed(HERS)], OURS)
    assert two.end == taken(HERS)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (AccessDenied("access denied"), "access denied"),
        (RemoteFault("no such class", code=1, kind="not-found"), "no such class"),
    ],
)
def test_a_clock_that_cannot_be_read_is_said_in_one_line(converse: Converse, fault: HostError, reason: str) -> None:
    end = converse(take(MINE), fault).end

    assert end == f"HostError: the PC's clock cannot be read: {reason}; look at the account's rights"


OVERTAKEN = "LeaseLost: another controller took over ({}): its work was overtaken; plan anew"


@pytest.mark.parametrize(
    ("answers", "asked", "end"),
    [
        ((lists(RENEWED, exists=False),), [], RENEWED),
        ((lists(OURS, RENEWED, exists=False),), [], RENEWED),
        ((lists(OURS, exists=False),), [], OURS),
        ((LOST, lists(RENEWED)), [LOOKED], RENEWED),
        ((LOST, lists(OURS)), [LOOKED], OURS),
        ((lists(HERS, exists=False),), [], OVERTAKEN.format(f"lease {HERS}")),
        ((NOTHING,), [], OVERTAKEN.format("and has ended")),
    ],
)
def test_the_lease_is_renewed_line_by_line(converse: Converse, answers: Any, asked: list[str], end: Any) -> None:
    talk = converse(renew(OURS, RENEWED), *answers)

    assert (talk.asked, talk.end) == ([renamed(OURS, RENEWED), *asked], end)


@pytest.mark.parametrize(
    ("listings", "end"),
    [
        ([[OURS]], None),
        ([[RENEWED]], None),
        ([[OURS, HERS], [OURS]], None),
        ([[OURS, HERS], [HERS, OURS], [OURS]], None),
        ([[OURS, HERS]] * 3, OVERTAKEN.format(f"lease {OURS}")),
        ([[OURS, HERS], [HERS]], OVERTAKEN.format(f"lease {HERS}")),
        ([[]], OVERTAKEN.format("and has ended")),
    ],
)
def test_the_lease_is_held_by_one_of_our_tokens_alone(converse: Converse, listings: Any, end: Any) -> None:
    talk = converse(check_held(OURS, RENEWED), *(lists(*tokens) for tokens in listings))

    assert talk.end == end
    assert talk.asked == [LOOKED, *["pause 2", LOOKED] * (len(listings) - 1)]


@pytest.mark.parametrize(
    ("answers", "asked", "end"),
    [
        ((GONE,), [removed(RENEWED)], True),
        ((DENIED, NOTHING), [removed(RENEWED), LOOKED], True),
        ((LOST, lists(HERS)), [removed(RENEWED), LOOKED], True),
        ((DENIED, lists(HERS, OURS), GONE), [removed(RENEWED), LOOKED, removed(OURS)], True),
        ((DENIED, lists(OURS)) * 6, [removed(RENEWED), LOOKED, *[removed(OURS), LOOKED] * 5], False),
    ],
)
def test_the_lease_is_released_line_by_line(converse: Converse, answers: Any, asked: list[str], end: Any) -> None:
    talk = converse(release(OURS, RENEWED), *answers)

    assert (talk.asked, talk.end) == (asked, end)


@pytest.mark.parametrize(("more", "seen"), [(0, True), (1, False)])
def test_of_a_listing_64_kilobytes_are_read(converse: Converse, more: int, seen: bool) -> None:
    filler = b"\xff" * (64 * 1024 - len(str(OURS)) - 2 + more) + b"\r\n"
    listing = Completed(0, filler + str(OURS).encode())

    assert len(listing.stdout) == 64 * 1024 + more
    assert (converse(renew(RENEWED, OURS), listing).end == OURS) is seen


def test_a_token_is_written_in_utc_and_the_holder_is_the_hash_of_run_and_host() -> None:
    token = Token(datetime(2026, 3, 2, 10, 30, tzinfo=timezone(timedelta(hours=2))), MINE)

    assert str(token) == "20260302T083000Z-0123456789abcdef"
    assert holder("run", "PC-1") == hashlib.sha256(b"run\nPC-1").hexdigest()[:16]


# -- interleaved commands -------------------------------------------------------------------------------------------


def one_by_one(windows: Windows, line: str) -> Generator[None, None, Completed]:
    """Run a line command by command; other runs can go between two of them."""
    out = err = b""
    done = Completed(0)
    for glue, command in re.findall(r"(?:^| (&&?) )((?:(?! &&? ).)+)", line):
        if glue != "&&" or done.exit_code == 0:
            yield
            done = windows.run(command)
            out, err = out + done.stdout, err + done.stderr
    return Completed(done.exit_code, out, err)


BOTH_CLEAR = [*[0] * 8, *[1] * 8, 0, 0, 1, 1, 0, 0, 1, 1]
"""Two runs find the folder empty; one makes it anew, the other clears that one, and both put their token in."""


@example("empty", BOTH_CLEAR, [], False)
@given(
    st.sampled_from(["nothing", "empty", "abandoned"]),
    st.lists(st.integers(0, 2), max_size=120),
    st.lists(st.booleans(), max_size=12),
    st.booleans(),
)
def test_however_the_commands_of_three_runs_interleave_only_one_works_at_a_time(
    before: str, turns: list[int], losses: list[bool], jumps: bool
) -> None:
    """A pause of a run that watches is as long as whoever works needs for a turn: it renews its token then."""
    windows, working, lost, worked = Windows(), set[int](), list(losses), [0, 0, 0]
    if before != "nothing":
        windows.make(ago(timedelta(hours=1), "0" * 16) if before == "abandoned" else "")

    def talk(conversation: Talk) -> Generator[None, None, Any]:
        try:
            asked = next(conversation)
            while True:
                if isinstance(asked, CommandLine):
                    answer: Any = yield from one_by_one(windows, asked.line)
                else:
                    yield
                    seen = {number: worked[number] for number in working}
                    while isinstance(asked, Pause) and any(
                        number in working and worked[number] == turn for number, turn in seen.items()
                    ):
                        yield
                    answer = windows.answer(asked)
                gone = isinstance(asked, CommandLine) and changes(asked) and bool(lost) and lost.pop()
                asked = conversation.throw(LOST) if gone else conversation.send(answer)
        except StopIteration as stop:
            return stop.value

    def controller(number: int) -> Generator[None, None, None]:
        run, announced = f"{number + 1:x}" * 16, list[Token]()
        try:
            token = yield from talk(take(run, announced.append))
        except (LeaseTaken, LeaseRefused):
            pass
        else:
            working.add(number)
            if jumps:
                windows.pc.clock.advance(timedelta(days=9 * 365))
            for turn in range(3):
                assert len(working) == 1
                yield
                announced.append(Token(token.since + timedelta(seconds=RENEW * (turn + 1)), run))
                token = yield from talk(renew(token, announced[-1]))
                yield from talk(check_held(*announced))
                worked[number] += 1
            working.discard(number)
        yield from talk(release(*announced))

    controllers = {number: controller(number) for number in range(3)}
    for number in [*turns, *(turn % 3 for turn in range(600))]:
        if number in controllers and next(controllers[number], "ended") == "ended":
            del controllers[number]
    assert controllers == {}
    assert windows.left() in (None, []), "no token is left"
