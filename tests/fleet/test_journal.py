"""The journal: a line torn by a crash is tolerated, a change is detected, and only one run writes at a time."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import json
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from provmode.errors import UsageError
from provmode.fleet.journal import Journal, JournalDamaged, JournalState, read
from provmode.remediation.steps import DisarmTcf, RequestPolicy, SetMode, SetStartMode

Run = Callable[..., Any]
TCF = DisarmTcf("C:\\Wärme\\MobileClient.TCF", "a" * 64, "b" * 64, "ANSI", ("-\r\x85\u2028", "+é"))
BYTES = bytes(range(256))


def now() -> datetime:
    return datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def a_run(path: Path) -> bytes:
    """Write the journal of a run over two hosts, and return its bytes."""
    journal = Journal.create(path, "plan-1", now, nonce="0f")
    journal.write("claim-begun", host="PC-Ä", token="20260102T030405Z-0123456789abcdef")
    journal.step_begun("PC-Ä", 0, TCF, BYTES)
    journal.write("step-ended", host="PC-Ä", number=0, ending="changed")
    journal.step_begun("PC-Ä", 1, SetMode(False, "true"), None)
    journal.write("claim-begun", host="PC-2", token="20260102T030406Z-0123456789abcdef")
    journal.step_begun("PC-2", 0, SetStartMode("CcmExec", "Disabled", "Auto"), None)
    journal.write("step-ended", host="PC-2", number=0, ending="stale")
    journal.write("claim-released", host="PC-2")
    journal.write("host-ended", host="PC-2", outcome="stale", detail="somebody – was\nfaster \ud800")
    journal.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return a_run(tmp_path_factory.mktemp("journal") / "whole")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "journal"


def reading(place: Path, data: bytes) -> JournalState:
    place.write_bytes(data)
    return read(place)


def test_what_was_written_is_read_back(place: Path, whole: bytes) -> None:
    state = reading(place, whole)

    assert (state.plan_id, state.lines, state.torn, state.closed) == ("plan-1", 11, False, True)
    first, second = state.hosts["PC-Ä"].steps
    assert (first.step, first.previous, first.ending) == (TCF, BYTES, "changed")
    assert (second.step, second.previous, second.ending) == (SetMode(False, "true"), None, None)
    assert state.hosts["PC-Ä"].done == {0}
    assert state.hosts["PC-Ä"].changed
    assert state.hosts["PC-Ä"].lease == "20260102T030405Z-0123456789abcdef"
    assert state.hosts["PC-2"].lease is None
    assert state.hosts["PC-2"].outcome == "stale"
    assert not state.hosts["PC-2"].changed
    assert not state.hosts["PC-2"].done


@given(st.data())
def test_a_journal_torn_at_any_byte_has_every_line_before(place: Path, whole: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(whole.index(b"\n") + 1, len(whole)))

    state = reading(place, whole[:cut])

    assert state.lines == whole[:cut].count(b"\n")
    assert state.torn is not whole[:cut].endswith(b"\n")
    assert state.size == whole[:cut].rfind(b"\n") + 1
    assert state.closed is (cut == len(whole))


@given(st.data())
def test_a_journal_torn_at_any_byte_can_be_resumed(place: Path, whole: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(whole)))
    place.write_bytes(whole[:cut])
    whole_lines = whole[:cut].count(b"\n")

    journal, state = Journal.resume(place, "plan-1", now)
    journal.write("host-ended", host="PC-9", outcome="changed", detail="")
    journal.close()

    again = read(place)
    assert state.lines == whole_lines
    assert again.lines == whole_lines + 3
    assert again.plan_id == "plan-1"
    assert again.closed
    assert again.hosts["PC-9"].outcome == "changed"


@given(st.data())
def test_a_change_of_any_byte_is_detected_or_counts_as_torn(place: Path, whole: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[position]))
    changed = whole[:position] + bytes([byte]) + whole[position + 1 :]

    if position == len(whole) - 1:  # the last line ending: as a crash leaves it
        state = reading(place, changed)
        assert state.torn
        assert not state.closed
        return
    with pytest.raises(JournalDamaged, match=f"line {whole[:position].count(10) + 1}:"):
        reading(place, changed)


@pytest.mark.parametrize("value", ['"\u0080"', '"\\ud800"', '"9"', '""', "9", "null", "[]"])
def test_an_invalid_hash_is_detected(place: Path, whole: bytes, value: str) -> None:
    digest = json.loads(whole.split(b"\n")[2])["hash"]

    with pytest.raises(JournalDamaged, match="line 3: it was changed"):
        reading(place, whole.replace(f'"hash": "{digest}"'.encode(), f'"hash": {value}'.encode()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"number": 0', b'"number":  0'),
        (b'"number": 0', b'"number": 0.0'),
        (b'"number": 0', b'"number": -0'),
        ("é".encode(), b"\\u00e9"),
        (b'{"ending": "changed", "event": "step-ended"', b'{"event": "step-ended", "ending": "changed"'),
    ],
)
def test_a_line_with_the_same_content_in_another_form_is_a_changed_line(
    place: Path, whole: bytes, before: bytes, after: bytes
) -> None:
    line = whole[: whole.index(before)].count(b"\n") + 1

    with pytest.raises(JournalDamaged) as raised:
        reading(place, whole.replace(before, after, 1))
    assert str(raised.value) == f"{place}, line {line}: it was changed"


@given(st.data())
def test_bytes_inserted_anywhere_are_detected_or_count_as_torn(place: Path, whole: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(whole)))
    extra = data.draw(st.binary(min_size=1, max_size=4))

    try:
        state = reading(place, whole[:position] + extra + whole[position:])
    except JournalDamaged:
        return
    same = whole[:position] + extra + whole[position:] == whole
    assert same or (position >= len(whole) - 1 and state.torn)


@given(st.data())
def test_a_line_removed_moved_or_repeated_is_detected(place: Path, whole: bytes, data: st.DataObject) -> None:
    lines = whole.splitlines(keepends=True)
    out = data.draw(st.integers(0, len(lines) - 2))
    into = data.draw(st.integers(0, len(lines) - 1).filter(lambda place: place != out))
    left = lines[:out] + lines[out + 1 :]
    moved = [*left[:into], lines[out], *left[into:]]

    for chosen in (left, moved, [*lines[: out + 1], *lines[out:]]):
        with pytest.raises(JournalDamaged, match="line"):
            reading(place, b"".join(chosen))


def test_missing_last_lines_leave_a_journal_that_is_not_closed(place: Path, whole: bytes) -> None:
    state = reading(place, b"".join(whole.splitlines(keepends=True)[:-1]))

    assert not state.closed


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}\n", b"[]\n", b"null\n", b"\xff\xfe\n", b'"text"\n', b"[" * 100_000 + b"\n", b"{"]
)
def test_a_file_that_is_not_a_journal_is_refused_in_one_line(place: Path, data: bytes) -> None:
    with pytest.raises(JournalDamaged) as raised:
        reading(place, data)

    assert "\n" not in str(raised.value)


def chained(*lines: dict[str, Any], key: bytes | None = None) -> bytes:
    """Return lines with their hashes, as the documentation of the journal describes them."""
    last, text = "0" * 64, b""
    for line in lines:
        data = json.dumps({**line, "prev": last}, ensure_ascii=False, sort_keys=True).encode()
        last = hmac.new(key, data, "sha256").hexdigest() if key is not None else hashlib.sha256(data).hexdigest()
        text += json.dumps({**json.loads(data), "hash": last}, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    return text


BEGUN = {"event": "run-begun", "plan": "plan-1", "signed": False}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", " is not a journal of provmode, or its first line is missing"),
        (b'{"half a line', " is not a journal of provmode, or its first line is missing"),
        (chained({"event": "coffee-made"}), " is not a journal of provmode, or its first line is missing"),
        (chained({"event": "run-ended"}), " is not a journal of provmode, or its first line is missing"),
        *((data, ", line 1: it was not written by provmode") for data in (b"\n", b"{}\n", b"[]\n", b"null\n", b"{]\n")),
        (b'{"hash": "9"}\n', ", line 1: it was not written by provmode"),
        (b'{"prev": "9"}\n', ", line 1: it was not written by provmode"),
        (chained(BEGUN) + b"{}\n", ", line 2: it was not written by provmode"),
        (chained(BEGUN).replace(b"plan-1", b"plan-2"), ", line 1: it was changed"),
        (
            chained(BEGUN) * 2,
            ", line 2: it does not follow the line before it: a line was changed, added or removed",
        ),
        (chained(BEGUN, {"event": "host-ended", "host": "PC-1"}), ", line 2: host-ended without 'outcome'"),
        (
            chained(BEGUN, {"event": "step-ended", "host": "PC-1", "number": 0, "ending": "stale"}),
            ", line 2: step-ended without step 0, which was not announced",
        ),
        (chained({**BEGUN, "plan": ""}), ", line 1: run-begun without a valid plan: ''"),
        (chained(BEGUN, {"event": "claim-begun", "token": "t"}), ", line 2: claim-begun without 'host'"),
    ],
)
def test_a_damaged_journal_is_refused_by_its_line_and_by_what_is_wrong(place: Path, data: bytes, why: str) -> None:
    with pytest.raises(JournalDamaged) as raised:
        reading(place, data)

    assert str(raised.value) == f"{place}{why}"


def test_a_line_of_a_later_version_is_skipped(place: Path) -> None:
    state = reading(place, chained({**BEGUN, "weather": "fine"}, {"event": "coffee-made", "host": 7}, {"event": 7}))

    assert (state.plan_id, state.lines, state.hosts) == ("plan-1", 3, {})


def test_the_state_of_a_journal_has_the_hashes_of_its_first_and_its_last_line(place: Path) -> None:
    data = chained(BEGUN, {"event": "run-ended"})

    state = reading(place, data + b"torn")

    assert [state.first_hash, state.last_hash] == [json.loads(line)["hash"] for line in data.splitlines()]
    assert (state.size, state.torn, state.signed, state.closed) == (len(data), True, False, True)


def test_a_journal_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "journal", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError) as raised:
            read(path)
        assert str(raised.value) == f"cannot read the journal {path}: {why}"


def test_a_resume_never_changes_a_file_that_is_not_a_journal(place: Path) -> None:
    for data in (b"[]", b"{}", b"the accounts of last year", b'{"event": "run-ended"'):
        place.write_bytes(data)
        with pytest.raises(JournalDamaged):
            Journal.resume(place, "plan-1", now)
        assert place.read_bytes() == data


def test_a_run_that_died_within_its_first_line_begins_anew(place: Path, whole: bytes) -> None:
    for cut in (0, 1, 40, whole.index(b"\n")):
        place.write_bytes(whole[:cut])
        journal, state = Journal.resume(place, "plan-1", now)
        journal.close()

        assert state.hosts == {}
        assert read(place).plan_id == "plan-1"


def test_the_journal_of_an_earlier_run_is_never_overwritten(tmp_path: Path) -> None:
    data = a_run(tmp_path / "journal")

    with pytest.raises(UsageError) as taken:
        Journal.create(tmp_path / "journal", "plan-2", now)
    with pytest.raises(UsageError) as other:
        Journal.resume(tmp_path / "journal", "plan-2", now)
    assert str(taken.value) == (
        f"there is a journal {tmp_path}/journal of an earlier run; "
        "resume that run (--resume), or write another journal (--journal FILE)"
    )
    assert str(other.value) == (
        f"the journal {tmp_path}/journal belongs to another plan; give the plan it was written for"
    )
    assert (tmp_path / "journal").read_bytes() == data


@pytest.mark.parametrize("mask", [0o022, 0o000])
def test_only_its_owner_can_read_a_journal_from_its_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    modes: list[int] = []
    fsync = os.fsync

    def watched(file: int) -> None:
        modes.append((tmp_path / "journal").stat().st_mode & 0o777)
        fsync(file)

    monkeypatch.setattr(os, "fsync", watched)
    before = os.umask(mask)
    try:
        a_run(tmp_path / "journal")
    finally:
        os.umask(before)

    assert set(modes) == {0o600}


def test_one_run_writes_at_a_time(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal", "plan-1", now)

    with pytest.raises(UsageError) as refused:
        Journal.resume(tmp_path / "journal", "plan-1", now)
    assert str(refused.value) == (f"the journal {tmp_path}/journal is being written by another run; wait until it ends")
    journal.abandon()

    second, _ = Journal.resume(tmp_path / "journal", "plan-1", now)
    second.close()


def test_a_journal_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as created:
        Journal.create(tmp_path / "missing" / "journal", "plan-1", now)
    with pytest.raises(UsageError) as absent:
        Journal.resume(tmp_path / "journal", "plan-1", now)
    with pytest.raises(UsageError) as folder:
        Journal.resume(tmp_path, "plan-1", now)

    assert str(created.value) == f"cannot write the journal {tmp_path}/missing/journal: No such file or directory"
    assert str(absent.value) == (
        f"there is no journal {tmp_path}/journal to resume; leave out --resume, or give --journal FILE"
    )
    assert str(folder.value) == f"cannot write the journal {tmp_path}: Is a directory"


def test_a_journal_that_cannot_be_locked_is_an_error_and_a_new_one_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = a_run(tmp_path / "old")

    def without_locks(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    for begin, name in ((Journal.create, "new"), (Journal.resume, "old")):
        with pytest.raises(UsageError) as raised:
            begin(tmp_path / name, "plan-1", now)
        assert str(raised.value) == f"cannot write the journal {tmp_path}/{name}: No locks available"

    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_bytes() == data


@pytest.mark.parametrize("torn", [b"", b'{"event": "half a li'])
def test_a_resume_without_room_for_its_first_line_keeps_every_whole_line(tmp_path: Path, torn: bytes) -> None:
    data = a_run(tmp_path / "journal")
    (tmp_path / "journal").write_bytes(data + torn)

    with room_for(len(data) + 30), pytest.raises(UsageError) as raised:
        Journal.resume(tmp_path / "journal", "plan-1", now)

    assert str(raised.value) == f"cannot write the journal {tmp_path}/journal: File too large"
    assert (tmp_path / "journal").read_bytes() == data


def test_a_journal_is_closed_whether_it_was_created_resumed_or_refused(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))

    Journal.create(tmp_path / "journal", "plan-1", now).abandon()
    Journal.resume(tmp_path / "journal", "plan-1", now)[0].close()
    for path, plan in (("journal", "plan-1"), ("missing/journal", "plan-1")):
        with pytest.raises(UsageError):
            Journal.create(tmp_path / path, plan, now)
    with pytest.raises(UsageError):
        Journal.resume(tmp_path / "journal", "plan-2", now)

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_new_journal_is_in_its_folder_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (forced.append(os.fstat(file).st_ino), real(file)))

    Journal.create(tmp_path / "journal", "plan-1", now).abandon()

    assert forced == [(tmp_path / "journal").stat().st_ino, tmp_path.stat().st_ino]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_each_line_has_the_time_its_event_and_its_place_in_the_chain(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal", "plan-1", now, nonce="0f")
    journal.step_begun("PC-1", 0, RequestPolicy(), b"\xff")
    journal.step_begun("PC-1", 1, RequestPolicy(), None)
    journal.close()

    first, second, third, last = lines_of(tmp_path / "journal")
    time = {"time": "2026-01-02T03:04:05+00:00"}
    step = {**time, "event": "step-begun", "host": "PC-1", "step": {"kind": "policy"}}
    links = [(line.pop("prev"), line.pop("hash")) for line in (first, second, third, last)]
    assert first == {**time, "event": "run-begun", "plan": "plan-1", "signed": False, "nonce": "0f"}
    assert second == {**step, "number": 0, "previous": "/w=="}
    assert third == {**step, "number": 1}
    assert last == {**time, "event": "run-ended"}
    assert [prev for prev, _ in links] == ["0" * 64, *(digest for _, digest in links[:-1])]


def test_a_resume_says_what_it_is_and_ends_as_what_it_is(tmp_path: Path) -> None:
    Journal.create(tmp_path / "journal", "plan-1", now).abandon()
    Journal.resume(tmp_path / "journal", "plan-1", now, nonce="1")[0].abandon()
    Journal.resume(tmp_path / "journal", "plan-1", now, event="undo-begun")[0].close("undo-ended")

    begun, resumed, undo, ended = lines_of(tmp_path / "journal")
    assert [line["event"] for line in (begun, resumed, undo, ended)] == [
        *("run-begun", "run-resumed", "undo-begun", "undo-ended")
    ]
    assert (resumed["plan"], resumed["nonce"], "nonce" in begun, "nonce" in undo) == ("plan-1", "1", False, False)


@pytest.mark.parametrize("event", ["run-resumed", "undo-begun"])
@pytest.mark.parametrize("key", [None, b"the key of the plan"])
def test_a_journal_torn_in_its_first_line_begins_anew_and_as_signed_as_its_plan(
    tmp_path: Path, key: bytes | None, event: str
) -> None:
    path = tmp_path / "journal"
    Journal.create(path, "plan-1", now, key).abandon()
    path.write_bytes(path.read_bytes()[:-1])

    journal, state = Journal.resume(path, "plan-1", now, event=event, key=key)
    journal.close()

    (begun, _) = lines_of(path)
    assert (begun["event"], begun["plan"], begun["signed"], begun["prev"]) == (
        *("run-begun", "plan-1", key is not None),
        "0" * 64,
    )
    assert state.hosts == {}
    assert read(path, key).signed is (key is not None)
    if key is not None:
        with pytest.raises(UsageError, match="is signed; give"):
            read(path)
        with pytest.raises(JournalDamaged, match="signed with another key"):
            read(path, b"another key of somebody")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond *size*: like a full disk, this can cut a line in half."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def lines_until_full(journal: Journal) -> int:
    """Write until there is no room, and return how many lines there was room for."""
    number = 0
    try:
        while True:
            journal.step_begun("PC-1", number, RequestPolicy(), None)
            number += 1
    except OSError:
        return number


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(room=st.integers(0, 900))
@example(room=0)
def test_on_a_full_disk_no_half_line_stays_and_nothing_follows(tmp_path: Path, room: int) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    journal, written = Journal.create(path, "plan-1", now), 1
    with room_for(path.stat().st_size + room):
        written += lines_until_full(journal)
        assert read(path).lines == written
    with pytest.raises(OSError, match="earlier line") as again:
        journal.write("host-ended", host="PC-1", outcome="changed", detail="")
    assert (again.value.errno, again.value.strerror) == (errno.EIO, "an earlier line could not be written")
    journal.abandon()

    resumed, state = Journal.resume(path, "plan-1", now)
    resumed.close()
    assert not state.torn
    assert len(state.hosts["PC-1"].steps if state.hosts else []) == written - 1
    assert read(path).closed


def test_a_journal_without_room_for_its_first_line_leaves_no_file(tmp_path: Path) -> None:
    with room_for(20), pytest.raises(UsageError, match="cannot write the journal"):
        Journal.create(tmp_path / "journal", "plan-1", now)

    assert list(tmp_path.iterdir()) == []


def test_a_line_is_on_disk_before_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (forced.append(os.fstat(file).st_size), real(file)))
    journal = Journal.create(tmp_path / "journal", "plan-1", now)
    journal.step_begun("PC-1", 0, RequestPolicy(), None)
    size = (tmp_path / "journal").stat().st_size
    journal.close()

    assert size in forced


def test_a_failure_of_fsync_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path / "journal", "plan-1", now)

    def broken(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        journal.step_begun("PC-1", 0, RequestPolicy(), None)
    journal.abandon()

    assert read(tmp_path / "journal").hosts == {}


def test_lines_that_are_written_together_are_forced_to_disk_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, begun = tmp_path / "journal", list[int]()
    journal = Journal.create(path, "plan-1", now)
    real, first, go_on = os.fsync, threading.Event(), threading.Event()

    def slow(file: int) -> None:
        begun.append(path.stat().st_size)
        first.set()
        assert go_on.wait(10)
        real(file)

    monkeypatch.setattr(os, "fsync", slow)
    durable: list[bool] = []

    def write(number: int) -> None:
        journal.step_begun(f"PC-{number}", 0, RequestPolicy(), None)
        at = path.read_bytes().index(b'"PC-%d"' % number)
        durable.append(any(size > at for size in begun))

    writing = [gevent.spawn(write, number) for number in range(40)]
    while not first.is_set():
        gevent.sleep(0)
    for _ in range(50):
        gevent.sleep(0)  # all of them write their lines
    go_on.set()
    gevent.joinall(writing, timeout=20, raise_error=True)
    journal.abandon()

    assert durable == [True] * 40
    assert len(begun) == 2  # the first line alone, then all that came meanwhile
    assert len(read(path).hosts) == 40


def test_a_failure_of_fsync_fails_all_that_wait_for_it_and_keeps_what_was_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    journal = Journal.create(path, "plan-1", now)
    journal.step_begun("PC-0", 0, RequestPolicy(), None)

    def broken(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)

    def write(number: int) -> str:
        with pytest.raises(OSError, match=r"Input/output|earlier line"):
            journal.step_begun(f"PC-{number}", 0, RequestPolicy(), None)
        return "refused"

    writing = [gevent.spawn(write, number) for number in range(1, 20)]
    gevent.joinall(writing, timeout=20, raise_error=True)
    journal.abandon()

    assert [one.value for one in writing] == ["refused"] * 19
    assert set(read(path).hosts) == {"PC-0"}


def test_a_step_that_is_begun_again_is_open_again_and_keeps_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal.create(path, "plan-1", now)
    journal.step_begun("PC-1", 0, TCF, b"the first")
    journal.write("step-ended", host="PC-1", number=0, ending="stale")
    journal.step_begun("PC-1", 0, TCF, b"the second")
    journal.abandon()

    (step,) = read(path).hosts["PC-1"].steps
    assert (step.ending, step.previous) == (None, b"the first")


def test_verify_lists_what_is_open_and_detects_a_change(provmode: Run, tmp_path: Path) -> None:
    data = a_run(tmp_path / "journal")
    fine = provmode("verify", "journal")
    (tmp_path / "torn").write_bytes(data[:-10])
    torn = provmode("verify", "torn")
    (tmp_path / "changed").write_bytes(data.replace(b"Disabled", b"Enabled_"))
    changed = provmode("verify", "changed")

    assert fine.returncode == 0
    assert "11 lines" in fine.stdout
    assert "open: PC-Ä: lease 20260102T030405Z-0123456789abcdef: it may still be on the PC" in fine.stdout
    assert "open: PC-Ä: ProvisioningMode true -> false" in fine.stdout
    assert "PC-2" not in fine.stdout
    assert torn.returncode == 2
    assert "torn by a crash" in torn.stdout
    assert "did not finish" in torn.stdout
    assert changed.returncode == 1
    assert "line 7: it was changed" in changed.stderr
    assert len(changed.stderr.splitlines()) == 1


def test_verify_reports_an_undo_that_did_not_finish(provmode: Run, tmp_path: Path) -> None:
    a_run(tmp_path / "journal")
    undoing, _ = Journal.resume(tmp_path / "journal", "plan-1", now, event="undo-begun")
    undoing.abandon()
    open_ = provmode("verify", "journal")
    again, _ = Journal.resume(tmp_path / "journal", "plan-1", now, event="undo-begun")
    again.close("undo-ended")
    closed = provmode("verify", "journal")

    assert (open_.returncode, closed.returncode) == (2, 0)
    assert "the undo did not finish" in open_.stdout


def test_each_run_and_each_resume_has_an_id_of_its_own(tmp_path: Path) -> None:
    one, two, plain = (
        Journal.create(tmp_path / name, "plan-1", now, nonce=nonce)
        for name, nonce in (("one", "1"), ("two", "2"), ("plain", ""))
    )
    for journal in (one, two, plain):
        journal.write("host-ended", host="PC-1", outcome="changed", detail="")
        journal.abandon()
    again, _ = Journal.resume(tmp_path / "one", "plan-1", now, nonce="3")
    again.close()

    runs = {one.run_id, two.run_id, plain.run_id, again.run_id}
    assert len(runs) == 4
    assert all(len(run) == 16 and set(run) <= set("0123456789abcdef") for run in runs)


def test_a_signed_journal_is_accepted_only_with_its_key(tmp_path: Path) -> None:
    path, key = tmp_path / "plan.journal", b"the key of the plan"
    journal = Journal.create(path, "plan-1", lambda: datetime(2026, 8, 20, tzinfo=timezone.utc), key)
    journal.write("host-ended", host="PC-1", outcome="changed", detail="")
    journal.close()

    assert read(path, key).signed
    with pytest.raises(UsageError) as without:
        read(path)
    assert str(without.value) == f"the journal {path} is signed; give --key-file or $PROVMODE_PLAN_KEY"
    with pytest.raises(JournalDamaged) as another:
        read(path, b"another key of somebody")
    assert str(another.value) == (
        f"the key fits no line of {path}: it was signed with another key, or all of it was changed; give the key that "
        "the plan was signed with"
    )
    data = path.read_bytes()
    assert data == chained(
        *({name: line[name] for name in line if name not in ("prev", "hash")} for line in lines_of(path)), key=key
    )
    path.write_bytes(data.replace(b'"changed"', b'"already"'))
    with pytest.raises(JournalDamaged) as changed:
        read(path, key)
    assert str(changed.value) == f"{path}, line 2: it was changed"


def test_a_journal_goes_on_as_it_began(tmp_path: Path) -> None:
    signed, plain, key = tmp_path / "signed", tmp_path / "plain", b"the key of the plan"
    Journal.create(signed, "plan-1", now, key).abandon()
    Journal.create(plain, "plan-1", now).abandon()

    with pytest.raises(JournalDamaged) as refused:
        Journal.resume(plain, "plan-1", now, key=key)
    with pytest.raises(UsageError, match="is signed; give"):
        Journal.resume(signed, "plan-1", now)
    Journal.resume(plain, "plan-1", now, key=key, unsigned=True)[0].close()
    Journal.resume(signed, "plan-1", now, key=key, unsigned=True)[0].close()

    assert str(refused.value) == f"{plain} is not signed, and the plan is: another program wrote it"
    assert [(line["event"], line.get("signed")) for line in lines_of(plain)[1:]] == [
        ("run-resumed", False),
        ("run-ended", None),
    ]
    assert (read(plain, key).signed, read(plain, key).closed) == (False, True)
    assert (read(signed, key).signed, read(signed, key).closed) == (True, True)


def test_a_journal_forged_without_the_key_never_counts_as_signed(tmp_path: Path) -> None:
    path = tmp_path / "forged.journal"
    journal = Journal.create(path, "plan-1", lambda: datetime(2026, 8, 20, tzinfo=timezone.utc))
    journal.close()
    forged = path.read_bytes().replace(b'"signed": false', b'"signed": true')
    (tmp_path / "turned.journal").write_bytes(forged)

    assert not read(path, b"the key of the plan").signed
    with pytest.raises(JournalDamaged):
        read(tmp_path / "turned.journal", b"the key of the plan")


def stripped(path: Path) -> bytes:
    """Return a signed journal as somebody without the key rewrites it: without signature, and without one line."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    last, text = "0" * 64, b""
    for line in (line for line in lines if line["event"] != "step-ended"):
        plain = {name: value for name, value in line.items() if name != "hash"} | {"prev": last}
        if "signed" in plain:
            plain["signed"] = False
        data = json.dumps(plain, ensure_ascii=False, sort_keys=True).encode()
        last = hashlib.sha256(data).hexdigest()
        text += json.dumps({**plain, "hash": last}, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    return text


@pytest.mark.parametrize("way", ["file", "environment"])
def test_with_a_key_verify_refuses_a_journal_whose_signature_was_stripped(
    provmode: Run, tmp_path: Path, way: str
) -> None:
    key = "0123456789abcdef0123456789abcdef"
    journal = Journal.create(tmp_path / "journal", "plan-1", now, key.encode())
    journal.step_begun("PC-1", 0, TCF, BYTES)
    journal.write("step-ended", host="PC-1", number=0, ending="changed")
    journal.close()
    (tmp_path / "stripped").write_bytes(stripped(tmp_path / "journal"))
    (tmp_path / "key").write_text(key)
    options = ("--key-file", "key") if way == "file" else ()
    environment = {"PROVMODE_PLAN_KEY": key} if way == "environment" else {}

    whole = provmode("verify", "journal", *options, environment=environment)
    refused = provmode("verify", "stripped", *options, environment=environment)
    accepted = provmode("verify", "stripped", "--unsigned", *options, environment=environment)
    without = provmode("verify", "stripped")

    assert (whole.returncode, refused.returncode, accepted.returncode, without.returncode) == (0, 1, 0, 0)
    assert "is not signed, and a key was given" in refused.stderr
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert "not signed" in accepted.stdout


def test_a_wrong_key_is_not_taken_for_a_change_alone(provmode: Run, tmp_path: Path) -> None:
    Journal.create(tmp_path / "journal", "plan-1", now, b"the key of the plan").close()

    ran = provmode("verify", "journal", environment={"PROVMODE_PLAN_KEY": "another key of somebody"})

    assert ran.returncode == 1
    assert "the key fits no line of journal: it was signed with another key, or all of it was changed" in ran.stderr
    assert "give the key that the plan was signed with" in ran.stderr
    with pytest.raises(JournalDamaged, match=r"the key fits no line"):
        read(tmp_path / "journal", b"another key of somebody")


def test_a_first_line_that_was_changed_is_not_taken_for_a_wrong_key(tmp_path: Path) -> None:
    key = b"the key of the plan"
    Journal.create(tmp_path / "journal", "plan-1", now, key).close()
    text = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(text.replace(b"plan-1", b"plan-2", 1))

    with pytest.raises(JournalDamaged, match=r"line 1: it was changed$"):
        read(tmp_path / "journal", key)
