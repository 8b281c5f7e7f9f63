"""Finding out of the history what changed between two runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.engine import Connection

from provmode.errors import UsageError
from provmode.history import bits
from provmode.history.drift import Drift, Drifted, Episode, Side, Word, words_for
from provmode.history.names import name_of
from provmode.history.reader import History
from provmode.history.run import STEPS, Change, Run, time_of
from provmode.history.tables import HOST, SPAN, STATE, WORDS
from provmode.history.waived import waived_in
from provmode.history.writer import CHUNK, chunks


def latest(history: History, inventory: str | None = None) -> Run:
    """Return the last complete audit of an inventory; without one, of that which was audited last.

    Raises:
        UsageError: there is none.
    """
    runs = history.runs(kinds=("audit",), inventory=inventory, complete=True, limit=1)
    if not runs:
        raise UsageError(
            f"the history has no complete audit of {inventory or 'any inventory'}",
            next_step="audit it without --limit and --exclude; provmode history runs lists what there is",
        )
    return runs[0]


def earlier(history: History, run: Run, until: datetime | None = None) -> Run | None:
    """Return the last complete audit of the same inventory before a run, or at a moment; ``None`` if there was none."""
    moment = min(until, run.began) if until is not None else run.began
    runs = history.runs(kinds=("audit",), inventory=run.inventory, complete=True, until=moment, limit=2)
    return next((each for each in runs if each.at < run.at), None)


def before(history: History, run: Run, until: datetime | None = None) -> Run:
    """Return what `earlier` does.

    Raises:
        UsageError: there was none.
    """
    found = earlier(history, run, until)
    if found is None:
        when = f"that began by {until:%Y-%m-%d %H:%M} UTC" if until is not None else f"before run #{run.number}"
        raise UsageError(
            f"the history has no complete audit of {run.inventory} {when}",
            next_step="audit the whole inventory once more, or name a run; provmode history runs lists what there is",
        )
    return found


def drift(connection: Connection, before: Run, after: Run) -> Drift:
    """Return what changed from one run to a later one; both looked at hosts.

    Raises:
        UsageError: they cannot be compared.
    """
    if before.at >= after.at:
        raise UsageError(
            f"run {before.number} did not begin before run {after.number}", next_step="give an earlier run"
        )
    if not before.looked or not after.looked:
        raise UsageError("one of the two runs looked at no host", next_step="give audits or plans")
    hosts = tuple(_Comparing(connection, before, after).hosts())
    order = {word: place for place, word in enumerate(Word)}
    return Drift(before, after, tuple(sorted(hosts, key=lambda each: (order[each.word], each.host))))


class _Comparing:
    """Two runs that are compared."""

    def __init__(self, connection: Connection, before: Run, after: Run) -> None:
        self._connection, self._before, self._after = connection, before, after
        self._both = before.looked & after.looked
        self._changes: dict[int, tuple[Run, Change]] = {}
        self._waived_before = {name_of(host) for host, _ in waived_in(before.about)}
        self._waived = {name_of(host): waived for host, waived in waived_in(after.about)}

    def hosts(self) -> Iterator[Drifted]:
        before, after, both = self._before, self._after, self._both
        # every word about a state is about one that needs something, before or now
        moved = (self._bad(before) | self._bad(after)) & set(bits.numbers(after.assessed))
        lost = set(bits.numbers(both & before.assessed & ~after.assessed))
        found = set(bits.numbers(both & after.assessed & ~before.assessed))
        # only a run that looked at the whole of the same inventory can say that a host is not in it
        same = before.inventory == after.inventory
        gone = set(bits.numbers(before.looked & ~after.looked)) if same and after.complete else set()
        new = set(bits.numbers(after.looked & ~before.looked)) if same and before.complete else set()
        concerned = moved | lost | found | gone | new
        sides_before, sides_after = self._sides(concerned, before), self._sides(concerned, after)
        names = self._names(concerned)
        self._changes = self._changes_between(concerned)
        earlier = self._earlier({host for host in moved if not _bad(sides_before.get(host))})
        causes = self._causes(lost)
        for host in concerned:
            one, two = sides_before.get(host), sides_after.get(host)
            words: list[Word] = []
            if host in moved:
                words += words_for(one, two, was_bad=host in earlier)
            for word, those in ((Word.LOST, lost), (Word.FOUND, found), (Word.APPEARED, new), (Word.VANISHED, gone)):
                if host in those:
                    words.append(word)
            for word in words:
                run, change = self._changes.get(host, (None, None))
                name, of_state = name_of(names[host]), _bad(two) and word not in _NOT_OF_THE_STATE
                yield Drifted(
                    word,
                    names[host],
                    one,
                    two,
                    change,
                    run.plan if run is not None else None,
                    earlier[host] if word is Word.RETURNED else None,
                    causes.get(host, "") if word is Word.LOST else "",
                    self._waived.get(name) if of_state else None,
                    of_state and name in self._waived_before and name not in self._waived,
                )

    def _bad(self, run: Run) -> set[int]:
        """Return the hosts that were known to need something at a run."""
        found: set[int] = set()
        for at, hosts in _moments(run):
            bad = (
                select(SPAN.c.host_id)
                .join(STATE, SPAN.c.state_id == STATE.c.id)
                .where(STATE.c.bad.is_(True), *_at(at, assessed=True))
            )
            needing = set(self._connection.execute(bad).scalars())
            found = needing if hosts is None else (found - hosts) | (needing & hosts)
        return found

    def _sides(self, hosts: set[int], run: Run) -> dict[int, Side]:
        """Return what was last known of hosts at a run."""
        found: dict[int, Side] = {}
        for at, those in _moments(run):
            found.update(self._sides_at(hosts if those is None else hosts & those, at))
        return found

    def _sides_at(self, hosts: Iterable[int], at: int) -> dict[int, Side]:
        statement = select(SPAN.c.host_id, SPAN.c.state_id, SPAN.c.words_id).where(*_at(at, assessed=True))
        spans = [tuple(row) for row in self._some(statement, hosts)]
        # many hosts share a state and its words: each is looked up once, and not joined to every span
        states = self._by_number(
            {state for _, state, _ in spans}, STATE.c.id, STATE.c.verdict, STATE.c.rule, STATE.c.bad
        )
        words = self._by_number({said for *_, said in spans}, WORDS.c.id, WORDS.c.body)
        return {host: Side(*states[state], *words[said]) for host, state, said in spans}

    def _by_number(self, numbers: set[int], number: Any, *columns: Any) -> dict[int, Sequence[Any]]:
        """Return the values of columns by the number of their row."""
        return {row[0]: row[1:] for row in self._some(select(number, *columns), numbers, column=number)}

    def _causes(self, hosts: Iterable[int]) -> dict[int, str]:
        statement = (
            select(SPAN.c.host_id, STATE.c.cause)
            .join(STATE, SPAN.c.state_id == STATE.c.id)
            .where(*_at(self._after.at, assessed=False))
        )
        return {row.host_id: row.cause or "" for row in self._some(statement, hosts)}

    def _names(self, hosts: Iterable[int]) -> dict[int, str]:
        statement = select(HOST.c.id.label("host_id"), HOST.c.shown)
        return {row.host_id: row.shown for row in self._some(statement, hosts, column=HOST.c.id)}

    def _earlier(self, hosts: Iterable[int]) -> dict[int, Episode]:
        """Return the times before both runs in which hosts needed something."""
        statement = (
            select(SPAN.c.host_id, SPAN.c.since, SPAN.c.until, STATE.c.bad)
            .join(STATE, SPAN.c.state_id == STATE.c.id)
            .where(SPAN.c.assessed.is_(True), SPAN.c.since <= self._before.at)
            .order_by(SPAN.c.host_id, SPAN.c.since)
        )
        found: dict[int, Episode] = {}
        last: tuple[int, bool] | None = None
        for row in self._some(statement, hosts):
            going_on = last == (row.host_id, True)
            last = (row.host_id, row.bad)
            if row.bad and row.until is not None:
                times = found[row.host_id].times if row.host_id in found else 0
                found[row.host_id] = Episode(times if going_on else times + 1, time_of(row.until))
        return found

    def _changes_between(self, hosts: set[int]) -> dict[int, tuple[Run, Change]]:
        """Return the last change that a run of ours made on clients from the first run on to the end of the second."""
        changes = History(self._connection).changes(after=self._before.began, until=self._after.ended, changed=True)
        return {host: (run, change) for run, host, change in changes if host in hosts and STEPS not in run.about}

    def _some(self, statement: Any, hosts: Iterable[int], *, column: Any = SPAN.c.host_id) -> Iterator[Any]:
        """Yield the rows about *hosts*, whose number is the first column; of many, all are read, and some left out."""
        wanted = set(hosts)
        if len(wanted) > 20 * CHUNK:
            yield from (row for row in self._connection.execute(statement).all() if row[0] in wanted)
            return
        for some in chunks(sorted(wanted)):
            yield from self._connection.execute(statement.where(column.in_(some)))


_NOT_OF_THE_STATE = (Word.LOST, Word.FOUND, Word.APPEARED, Word.VANISHED)
"""Words that are about whether a host was there and assessed, and not about what was found."""


def _moments(run: Run) -> Iterator[tuple[int, set[int] | None]]:
    """Yield the moments that count at a run: when it began, for all hosts, and each later round, for those it found."""
    yield run.at, None
    for at, found in run.rounds:
        yield at, set(bits.numbers(found))


def _at(at: int, *, assessed: bool) -> tuple[Any, ...]:
    """Return the conditions for the spans that a moment is in."""
    return SPAN.c.assessed.is_(assessed), SPAN.c.since <= at, or_(SPAN.c.until.is_(None), SPAN.c.until > at)


def _bad(side: Side | None) -> bool:
    return side is not None and side.bad
