"""Writing a run to the history, in one transaction.

A look at a host that is later than all others at it closes the span if the host was found otherwise, and opens a new
one; the rest is not touched. An earlier one, such as that of an old report that is imported, makes its spans anew.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Column, Table, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.engine import Connection

from provmode.history import bits
from provmode.history.database import Database
from provmode.history.gathered import Gathered
from provmode.history.look import Words
from provmode.history.names import LONGEST_NAME, name_of, storable
from provmode.history.run import NewRun, number_of, rounds_of
from provmode.history.spans import Found, Span, looks_of, spans_of
from provmode.history.tables import CHANGE, COUNT, HOST, RUN, SPAN, STATE, WORDS
from provmode.text import shortened

CHUNK = 500
"""Values in one list of a statement: SQLite takes at most 999 in old versions."""


def write(database: Database, run: NewRun) -> bool:
    """Write a run; return whether it was not there yet.

    Raises:
        HistoryError: it cannot be written; nothing of it was.
    """
    looks = run.looks if run.looks is not None else Gathered(run.rows)
    with database.writing() as connection:
        if connection.execute(select(RUN.c.id).where(RUN.c.name == run.name)).first() is not None:
            return False
        return _Writing(connection, run, looks).write()


def packed(value: Any) -> bytes:
    """Return *value* as it is stored in a row that nobody compares."""
    return zlib.compress(json.dumps(value).encode())


def unpacked(stored: bytes) -> Any:
    """Return what `packed` stored."""
    return json.loads(zlib.decompress(stored))


class _Writing:
    """One run that is being written."""

    def __init__(self, connection: Connection, run: NewRun, looks: Gathered) -> None:
        self._connection, self._run = connection, run
        self._looks, self._states = looks.by_name, looks.states
        self._hosts: dict[str, int] = {}

    def write(self) -> bool:
        self._hosts = self._host_numbers()
        (at, names), *later = rounds_of(self._run, self._looks, self._states.assessed)
        number = self._write_row(at, names, self._run.name, self._about_the_run())
        for place, (moment, found) in enumerate(later, 2):
            name = hashlib.blake2b(f"{self._run.name} round {place}".encode(), digest_size=16).hexdigest()
            self._write_row(moment, found, f"round-{name}", {**_PART, "part_of": number})
        counts = self._counts()
        _insert(
            self._connection, COUNT, [{"run_id": number, "verdict": word, "hosts": n} for word, n in counts.items()]
        )
        _insert(self._connection, CHANGE, list(self._changes(number)))
        return True

    def _write_row(self, began: int, names: Collection[str], name: str, values: Mapping[str, Any]) -> int:
        """Write what was found of hosts in one round, and the row of the round; return the row's number."""
        at, latest = self._moment(began)
        hosts = {self._hosts[each]: each for each in names}
        assessed = [number for number, each in hosts.items() if self._states.assessed(self._looks[each].key)]
        if hosts:
            later = self._looked_at_later(at) if latest is not None and at <= latest else frozenset()
            self._go_on(at, {number: each for number, each in hosts.items() if number not in later})
            self._make_anew(at, {number: each for number, each in hosts.items() if number in later})
        run = self._run
        self._connection.execute(
            insert(RUN).values(
                name=name,
                kind=run.kind,
                at=at,
                ended=number_of(run.ended),
                inventory=storable(run.inventory),
                looked=bits.packed(bits.of(hosts)),
                assessed=bits.packed(bits.of(assessed)),
                by=storable(run.by),
                version=storable(run.version)[:32],
                **values,
            )
        )
        number: int = self._connection.execute(select(RUN.c.id).where(RUN.c.name == name)).scalar_one()
        return number

    def _about_the_run(self) -> dict[str, Any]:
        run = self._run
        about = packed(dict(run.about))
        return {"complete": run.complete, "exit_code": run.exit_code, "plan": run.plan, "about": about}

    def _moment(self, at: int) -> tuple[int, int | None]:
        """Return a time at which no other run began, *at* or soon after, and when the latest run that looked began."""
        latest = self._connection.execute(select(func.max(RUN.c.at))).scalar()
        while self._connection.execute(select(RUN.c.id).where(RUN.c.at == at)).first() is not None:
            at += 1
        return at, latest

    def _host_numbers(self) -> dict[str, int]:
        """Return the numbers of hosts by name; hosts that are new get one."""
        changed = {name_of(change.host): change.host for change in self._run.changes}
        names: Collection[str] = {**self._looks, **changed} if changed else self._looks.keys()
        known = self._known_hosts(names)
        new = [name for name in names if name not in known]
        if not new:
            return known
        shown = {name: self._looks[name].host if name in self._looks else changed[name] for name in new}
        _insert(
            self._connection,
            HOST,
            [{"name": name, "shown": shortened(storable(host), LONGEST_NAME)} for name, host in shown.items()],
        )
        return {**known, **_numbers(self._connection, HOST.c.name, new)}

    def _known_hosts(self, names: Collection[str]) -> dict[str, int]:
        if len(names) <= CHUNK:
            return _numbers(self._connection, HOST.c.name, list(names))
        return {name: number for number, name in self._connection.execute(select(HOST.c.id, HOST.c.name)).all()}

    def _counts(self) -> Counter[str]:
        if self._looks:
            counts: Counter[str] = Counter()
            for key, hosts in Counter(look.key for look in self._looks.values()).items():
                counts[self._states.state(key).verdict] += hosts
            return counts
        return Counter(change.outcome for change in self._run.changes)

    def _changes(self, run: int) -> Iterator[dict[str, Any]]:
        for change in self._run.changes:
            yield {
                "run_id": run,
                "host_id": self._hosts[name_of(change.host)],
                "at": number_of(change.at),
                "outcome": change.outcome,
                "changed": change.changed,
                "body": packed([change.detail, change.cause, change.next_step, change.steps]),
            }

    def _looked_at_later(self, at: int) -> Collection[int]:
        """Return the hosts with a look after a moment, by runs and by what the spans say of runs that were pruned.

        A look at one PC that ended while a night's audit was going began after it. It must not cost that audit more
        than this one PC.
        """
        looked = 0
        for (there,) in self._connection.execute(select(RUN.c.looked).where(RUN.c.at > at)):
            looked |= bits.unpacked(there)
        spans = select(SPAN.c.host_id).where(or_(SPAN.c.since > at, SPAN.c.until > at)).distinct()
        return {*bits.numbers(looked), *self._connection.execute(spans).scalars()}

    # -- the usual case: later than all ---------------------------------------------------------------------------

    def _go_on(self, at: int, hosts: Mapping[int, str]) -> None:
        """Close and open spans of hosts that were found otherwise than by the look before; nobody looked since."""
        if not hosts:
            return
        known, away = self._open_spans(hosts, assessed=True), self._open_spans(hosts, assessed=False)
        same: Mapping[int | None, bytes] = _by_number(self._connection, STATE.c.key, {*known.values(), *away.values()})
        seen_now, not_seen = self._found(hosts)
        moved = [number for number, key in seen_now.items() if same.get(known.get(number)) != key]
        moved_away = [number for number, key in not_seen.items() if same.get(away.get(number)) != key]
        before = self._whole_spans([number for number in moved_away if number in away])
        closed = [(number, True) for number in moved if number in known]
        closed += [(number, False) for number in before]
        closed += [(number, False) for number in away.keys() & seen_now.keys()]
        if closed:
            statement = update(SPAN).where(
                SPAN.c.host_id == bindparam("host"), SPAN.c.assessed == bindparam("kind"), SPAN.c.until.is_(None)
            )
            self._connection.execute(
                statement.values(until=at), [{"host": number, "kind": assessed} for number, assessed in closed]
            )
        opened: list[tuple[int, bool, int | None, int | None, bytes]] = [
            *((number, True, None, None, seen_now[number]) for number in moved),
            *((number, False, *before.get(number, (at, None)), not_seen[number]) for number in moved_away),
        ]
        newly_away = [number for number, _, since, _, _ in opened if since == at]
        assessed_last = self._nearest(newly_away, at, RUN.c.assessed, later=False) if newly_away else {}
        states = self._state_numbers({key for *_, key in opened})
        words = self._words_numbers({number: hosts[number] for number, *_ in opened})
        _insert(
            self._connection,
            SPAN,
            [
                {
                    "host_id": number,
                    "assessed": assessed,
                    "since": at,
                    "until": None,
                    "state_id": states[key],
                    "words_id": words[number],
                    "away_since": since,
                    "seen": assessed_last.get(number, seen),
                }
                for number, assessed, since, seen, key in opened
            ],
        )

    def _found(self, hosts: Mapping[int, str]) -> tuple[dict[int, bytes], dict[int, bytes]]:
        """Return how hosts were found, by number: those that were assessed, and those that were not."""
        found = {number: self._looks[name].key for number, name in hosts.items()}
        away = {number: key for number, key in found.items() if not self._states.assessed(key)}
        return ({number: key for number, key in found.items() if number not in away} if away else found), away

    def _open_spans(self, hosts: Mapping[int, str], *, assessed: bool) -> dict[int, int]:
        """Return the number of the state of each host's open span, by host; hosts without one are left out."""
        found = select(SPAN.c.host_id, SPAN.c.state_id).where(SPAN.c.until.is_(None), SPAN.c.assessed.is_(assessed))
        if len(hosts) <= CHUNK:
            found = found.where(SPAN.c.host_id.in_(list(hosts)))
        rows: Sequence[Any] = self._connection.execute(found).all()
        return {number: state for number, state in rows}  # noqa: C416 - dict() is slower: a row is no tuple

    def _whole_spans(self, hosts: Sequence[int]) -> dict[int, tuple[int | None, int | None]]:
        """Return of hosts that are away since when they are, and when they were seen before."""
        columns = select(SPAN.c.host_id, SPAN.c.away_since, SPAN.c.seen)
        return {
            number: (since, seen)
            for chunk in chunks(hosts)
            for number, since, seen in self._connection.execute(
                columns.where(SPAN.c.until.is_(None), SPAN.c.assessed.is_(False), SPAN.c.host_id.in_(chunk))
            )
        }

    def _nearest(self, hosts: Collection[int], at: int, column: Column[Any], *, later: bool) -> dict[int, int]:
        """Return the last look before a moment, or the first one after it, at each host that has one.

        *column* says which looks: `RUN.c.looked` or `RUN.c.assessed`.
        """
        left, found = bits.of(hosts), dict[int, int]()
        beside, order = (RUN.c.at > at, RUN.c.at) if later else (RUN.c.at < at, RUN.c.at.desc())
        runs = select(RUN.c.at, column).where(beside).order_by(order)
        with self._connection.execute(runs) as rows:
            for when, stored in rows:
                there = bits.unpacked(stored) & left
                found.update(dict.fromkeys(bits.numbers(there), when))
                left &= ~there
                if not left:
                    break
        return found

    # -- an earlier run -------------------------------------------------------------------------------------------

    def _make_anew(self, at: int, hosts: Mapping[int, str]) -> None:
        """Make the spans of hosts anew, with the looks of this run among the others.

        Of the others only those count that began a span, and those beside this one: the rest found the same again.
        """
        if not hosts:
            return
        seen = self._nearest(hosts, at, RUN.c.assessed, later=False)
        following = self._nearest(hosts, at, RUN.c.looked, later=True)
        seen_again = self._nearest(hosts, at, RUN.c.assessed, later=True)
        states = self._state_numbers({self._looks[name].key for name in hosts.values()})
        words = self._words_numbers(hosts)
        for chunk in chunks(list(hosts)):
            rows = self._connection.execute(
                select(SPAN).where(SPAN.c.host_id.in_(chunk)).order_by(SPAN.c.host_id, SPAN.c.since)
            )
            before = {
                host: [
                    Span(row.assessed, row.since, row.until, row.state_id, row.words_id, row.away_since, row.seen)
                    for row in spans
                ]
                for host, spans in groupby(rows, key=lambda row: row.host_id)
            }
            made: list[dict[str, Any]] = []
            for number in chunk:
                key = self._looks[hosts[number]].key
                look = Found(at, self._states.assessed(key), states[key], words[number])
                looked = [(each[number], True) for each in (seen, seen_again) if number in each]
                if number in following and following[number] != seen_again.get(number):
                    looked.append((following[number], False))
                every = sorted([*looks_of(before.get(number, ()), looked), look], key=lambda each: each.at)
                made += [_row(number, span) for span in spans_of(every)]
            self._connection.execute(delete(SPAN).where(SPAN.c.host_id.in_(chunk)))
            _insert(self._connection, SPAN, made)

    # -- what is stored once --------------------------------------------------------------------------------------

    def _state_numbers(self, keys: set[bytes]) -> dict[bytes, int]:
        """Return the numbers of states by their digests; those that are new are stored."""
        known = _numbers(self._connection, STATE.c.key, list(keys))
        new = [key for key in keys if key not in known]
        states = [(key, self._states.state(key)) for key in new]
        _insert(
            self._connection,
            STATE,
            [
                {
                    "key": key,
                    "verdict": state.verdict,
                    "rule": state.rule,
                    "cause": state.cause,
                    "bad": state.bad,
                    "body": state.body(),
                }
                for key, state in states
            ],
        )
        return {**known, **_numbers(self._connection, STATE.c.key, new)}

    def _words_numbers(self, hosts: Mapping[int, str]) -> dict[int, int]:
        """Return the numbers of the words about hosts, by the host's number; those that are new are stored."""
        words: dict[bytes, Words] = {}
        of_host: dict[int, bytes] = {}
        for number, name in hosts.items():
            said = self._looks[name].words()
            key = of_host[number] = said.key
            words[key] = said
        known = _numbers(self._connection, WORDS.c.key, list(words))
        new = [key for key in words if key not in known]
        _insert(self._connection, WORDS, [{"key": key, "body": words[key].body()} for key in new])
        numbers = {**known, **_numbers(self._connection, WORDS.c.key, new)}
        return {number: numbers[key] for number, key in of_host.items()}


_PART: Mapping[str, Any] = {"complete": False, "exit_code": None, "plan": None, "about": packed({})}


def _row(host: int, span: Span) -> dict[str, Any]:
    return {
        "host_id": host,
        "assessed": span.assessed,
        "since": span.since,
        "until": span.until,
        "state_id": span.state,
        "words_id": span.words,
        "away_since": span.away_since,
        "seen": span.seen,
    }


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _numbers(connection: Connection, column: Column[Any], values: Sequence[Any]) -> dict[Any, int]:
    """Return the ids of rows by a column that has each value once."""
    table = column.table
    return {
        value: number
        for chunk in chunks(values)
        for number, value in connection.execute(select(table.c.id, column).where(column.in_(chunk)))
    }


def _by_number(connection: Connection, column: Column[Any], numbers: Iterable[int]) -> dict[Any, Any]:
    """Return the values of a column by the ids of their rows."""
    table = column.table
    return {
        number: value
        for chunk in chunks(list(numbers))
        for number, value in connection.execute(select(table.c.id, column).where(table.c.id.in_(chunk)))
    }


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield *values* in parts that one statement takes."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
