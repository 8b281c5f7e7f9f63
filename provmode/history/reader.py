"""Reading the history: runs, what was known of every host at a run, one host's timeline, counts over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.engine import Connection

from provmode.errors import UsageError
from provmode.history import bits
from provmode.history.look import Words, facts_of
from provmode.history.names import name_of, storable
from provmode.history.run import Change, Run, number_of, time_of
from provmode.history.tables import CHANGE, COUNT, HOST, RUN, SPAN, STATE, WORDS
from provmode.history.waived import Use, waived_in
from provmode.history.writer import CHUNK, chunks, unpacked

_Row = Any
"""A row of a statement: its columns by their names."""
_WHOLE = RUN.c.part_of.is_(None)
"""The condition for runs, without their later rounds."""


class LastKnown(NamedTuple):
    """What a PC was in when it was assessed last."""

    verdict: str
    rule: str
    bad: bool
    reason: str
    """In the words of the first look that found it so."""
    findings: tuple[tuple[str, str], ...]
    """Code and text of each."""
    since: datetime
    """The first look that found it so."""
    seen: datetime | None
    """The last look that found it so; ``None``: longer ago than the history remembers."""
    facts: Mapping[str, Any]
    """As in a report, without what changes with every look."""


class HostState(NamedTuple):
    """What was known of one host at a run."""

    host: str
    known: LastKnown | None
    """``None``: it was never assessed."""
    away: Away | None = None
    """Why it could not be assessed; ``None``: it was."""

    @property
    def verdict(self) -> str:
        """The verdict of the run itself."""
        return "unassessed" if self.away is not None or self.known is None else self.known.verdict

    @property
    def bad(self) -> bool:
        """Whether the run found that somebody has to do something about it; what is last known does not count."""
        return self.away is None and self.known is not None and self.known.bad


class Away(NamedTuple):
    """Why a host could not be assessed."""

    cause: str
    reason: str
    next_step: str
    since: datetime
    """Since when it cannot be assessed, whatever the causes were."""


@dataclass(frozen=True)
class Stay:
    """One span of a timeline."""

    assessed: bool
    verdict: str
    rule: str
    cause: str | None
    bad: bool
    since: datetime
    until: datetime | None
    """``None``: it lasts."""
    reason: str
    next_step: str
    findings: tuple[tuple[str, str], ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Timeline:
    """Everything that is known of one host."""

    host: str
    stays: tuple[Stay, ...]
    changes: tuple[tuple[Run, Change], ...]
    looked: datetime | None
    """The last look at it; ``None``: longer ago than the history remembers."""
    seen: datetime | None
    """The last look that assessed it."""
    waived: tuple[Use, ...] = ()
    """The waivers that covered what was found on it, the first used first."""


class History:
    """A history to read. It holds one transaction: what is read fits together."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # -- runs -----------------------------------------------------------------------------------------------------

    def runs(
        self,
        *,
        kinds: Sequence[str] = (),
        inventory: str | None = None,
        complete: bool = False,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """Return runs, the latest first."""
        wanted: list[ColumnElement[bool]] = [_WHOLE]
        if kinds:
            wanted.append(RUN.c.kind.in_(kinds))
        if inventory is not None:
            wanted.append(RUN.c.inventory == storable(inventory))
        if complete:
            wanted.append(RUN.c.complete.is_(True))
        if until is not None:
            wanted.append(RUN.c.at <= number_of(until))
        statement = select(RUN).where(*wanted).order_by(RUN.c.at.desc()).limit(limit)
        return self._runs(self._connection.execute(statement).all())

    def run(self, word: str) -> Run:
        """Return the run that a person means: by its number, by the beginning of its id, or ``last``.

        Raises:
            UsageError: there is none, or there are several.
        """
        statement = select(RUN).where(_WHOLE).order_by(RUN.c.at.desc())
        if word == "last":
            found = self._connection.execute(statement.limit(1)).all()
        else:
            number = word.removeprefix("#")
            is_number = number.isascii() and number.isdigit() and len(number) < 10
            found = self._connection.execute(statement.where(RUN.c.id == int(number))).all() if is_number else []
            if not found and len(word) >= 4:
                found = self._connection.execute(
                    statement.where(RUN.c.name.startswith(storable(word), autoescape=True)).limit(2)
                ).all()
        if len(found) != 1:
            what = "several runs begin" if found else "no run of the history begins"
            raise UsageError(f"{what} with {word}", next_step="provmode history runs lists them")
        return self._runs(found)[0]

    def inventories(self) -> list[str]:
        """Return the inventories of complete audits, that of the latest first."""
        latest = func.max(RUN.c.at)
        statement = (
            select(RUN.c.inventory)
            .where(RUN.c.kind == "audit", RUN.c.complete.is_(True))
            .group_by(RUN.c.inventory)
            .order_by(latest.desc())
        )
        return list(self._connection.execute(statement).scalars())

    def trend(self, inventory: str, *, until: datetime, runs: int) -> list[Run]:
        """Return the last complete audits of an inventory, the earliest first."""
        found = self.runs(kinds=("audit",), inventory=inventory, complete=True, until=until, limit=runs)
        return found[::-1]

    def _runs(self, rows: Sequence[_Row]) -> list[Run]:
        counts: dict[int, dict[str, int]] = {}
        rounds: dict[int, list[tuple[int, int]]] = {}
        for some in chunks([row.id for row in rows]):
            for count in self._connection.execute(select(COUNT).where(COUNT.c.run_id.in_(some))):
                counts.setdefault(count.run_id, {})[count.verdict] = count.hosts
            later = select(RUN.c.part_of, RUN.c.at, RUN.c.looked).where(RUN.c.part_of.in_(some)).order_by(RUN.c.at)
            for run, at, found in self._connection.execute(later):
                rounds.setdefault(run, []).append((at, bits.unpacked(found)))
        return [
            Run(
                number=row.id,
                name=row.name,
                kind=row.kind,
                began=time_of(row.at),
                ended=time_of(row.ended),
                inventory=row.inventory,
                complete=row.complete,
                exit_code=row.exit_code,
                by=row.by,
                version=row.version,
                plan=row.plan,
                counts=counts.get(row.id, {}),
                about=unpacked(row.about),
                looked=bits.union(bits.unpacked(row.looked), *(found for _, found in rounds.get(row.id, ()))),
                assessed=bits.union(bits.unpacked(row.assessed), *(found for _, found in rounds.get(row.id, ()))),
                rounds=tuple(rounds.get(row.id, ())),
            )
            for row in rows
        ]

    # -- hosts at a run -------------------------------------------------------------------------------------------

    def state(self, run: Run) -> Iterator[HostState]:
        """Yield what was known of every host that a run looked at, by name."""
        known = self._spans_at(run.at, assessed=True)
        away = self._spans_at(run.at, assessed=False)
        looked_at: dict[int, int] = {}
        for at, found in run.rounds:
            later = list(bits.numbers(found))
            looked_at.update(dict.fromkeys(later, at))
            for host in later:
                away.pop(host, None)
            for some in chunks(later):
                known.update(self._spans_at(at, assessed=True, hosts=some))
        texts = _Texts(self._connection)
        texts.load({span.words_id for span in known.values()} | {span.words_id for span in away.values()})
        states = _States(self._connection)
        states.load({span.state_id for span in known.values()} | {span.state_id for span in away.values()})
        looked = set(bits.numbers(run.looked))
        for host, name, shown in self._connection.execute(
            select(HOST.c.id, HOST.c.name, HOST.c.shown).order_by(HOST.c.name)
        ).all():
            if host not in looked:
                continue
            there, gone = known.get(host), away.get(host)
            seen = looked_at.get(host, run.at) if gone is None else gone.seen
            yield HostState(
                shown,
                _known(there, name, seen, states, texts) if there is not None else None,
                _away(gone, states, texts) if gone is not None else None,
            )

    def _spans_at(self, at: int, *, assessed: bool, hosts: Sequence[int] | None = None) -> dict[int, _Row]:
        """Return the spans that a moment is in, by host; of all hosts, or of some."""
        statement = select(
            SPAN.c.host_id, SPAN.c.since, SPAN.c.state_id, SPAN.c.words_id, SPAN.c.away_since, SPAN.c.seen
        ).where(
            SPAN.c.assessed.is_(assessed),
            SPAN.c.since <= at,
            or_(SPAN.c.until.is_(None), SPAN.c.until > at),
        )
        if hosts is not None:
            statement = statement.where(SPAN.c.host_id.in_(hosts))
        return {span.host_id: span for span in self._connection.execute(statement).all()}

    # -- one host -------------------------------------------------------------------------------------------------

    def timeline(self, host: str) -> Timeline:
        """Return everything that is known of a host.

        Raises:
            UsageError: the history does not know it.
        """
        name = name_of(host)
        found = self._connection.execute(select(HOST.c.id, HOST.c.shown).where(HOST.c.name == name)).first()
        if found is None:
            raise UsageError(f"the history knows no host {host}", next_step=self._alike(name))
        rows = self._connection.execute(
            select(SPAN, STATE, WORDS.c.body.label("words"))
            .join(STATE, SPAN.c.state_id == STATE.c.id)
            .join(WORDS, SPAN.c.words_id == WORDS.c.id)
            .where(SPAN.c.host_id == found.id)
            .order_by(SPAN.c.since, SPAN.c.assessed.desc())
        ).all()
        looked, seen = self._last_looks(found.id)
        changes = self.changes(hosts=[found.id])
        return Timeline(
            found.shown,
            tuple(_stay(row, name) for row in rows),
            tuple((run, change) for run, _, change in changes),
            time_of(looked) if looked is not None else None,
            time_of(seen) if seen is not None else None,
            self._waived(name),
        )

    def _waived(self, name: str) -> tuple[Use, ...]:
        """Return the waivers that covered what was found on a host, and in how many runs."""
        found: dict[tuple[str, ...], Use] = {}
        statement = select(RUN.c.at, RUN.c.about).order_by(RUN.c.at)
        with self._connection.execute(statement, execution_options={"yield_per": 50}) as runs:
            for at, about in runs:
                for host, waived in waived_in(unpacked(about)):
                    if name_of(host) == name:
                        key, moment = tuple(waived.values()), time_of(at)
                        before = found.get(key, Use(waived, moment, moment, 0))
                        found[key] = replace(before, last=moment, runs=before.runs + 1)
        return tuple(found.values())

    def _alike(self, name: str) -> str:
        """Return a hint: names that begin alike."""
        short = name.partition(".")[0]
        names = self._connection.execute(
            select(HOST.c.shown).where(HOST.c.name.startswith(short, autoescape=True)).limit(3)
        ).scalars()
        alike = ", ".join(names)
        return f"did you mean {alike}?" if alike else "give it as the inventory has it"

    def _last_looks(self, host: int) -> tuple[int | None, int | None]:
        """Return when a host was looked at last, and when it was assessed last."""
        looked: int | None = None
        statement = select(RUN.c.at, RUN.c.looked, RUN.c.assessed).order_by(RUN.c.at.desc())
        with self._connection.execute(statement, execution_options={"yield_per": 50}) as runs:
            for at, all_, there in runs:
                if not bits.has(bits.unpacked(all_), host):
                    continue
                looked = at if looked is None else looked
                if bits.has(bits.unpacked(there), host):
                    return looked, at
        return looked, None

    # -- changes --------------------------------------------------------------------------------------------------

    def changes(
        self,
        *,
        after: datetime | None = None,
        until: datetime | None = None,
        hosts: Iterable[int] | None = None,
        run: Run | None = None,
        changed: bool = False,
    ) -> list[tuple[Run, int, Change]]:
        """Return how hosts ended in runs that change PCs, with the run and the host's number, in order of time."""
        wanted: list[ColumnElement[bool]] = []
        if after is not None:
            wanted.append(CHANGE.c.at > number_of(after))
        if until is not None:
            wanted.append(CHANGE.c.at <= number_of(until))
        if hosts is not None:
            wanted.append(CHANGE.c.host_id.in_(list(hosts)))
        if run is not None:
            wanted.append(CHANGE.c.run_id == run.number)
        if changed:
            wanted.append(CHANGE.c.changed.is_(True))
        rows = self._connection.execute(
            select(CHANGE, HOST.c.shown)
            .join(HOST, CHANGE.c.host_id == HOST.c.id)
            .where(and_(True, *wanted))
            .order_by(CHANGE.c.at, CHANGE.c.id)
        ).all()
        numbers = sorted({row.run_id for row in rows})
        runs = {
            run.number: run
            for some in chunks(numbers)
            for run in self._runs(self._connection.execute(select(RUN).where(RUN.c.id.in_(some))).all())
        }
        found = []
        for row in rows:
            detail, cause, next_step, steps = unpacked(row.body)
            change = Change(
                row.shown, time_of(row.at), row.outcome, row.changed, detail, cause, next_step, tuple(steps)
            )
            found.append((runs[row.run_id], row.host_id, change))
        return found

    def changes_of(self, run: Run) -> list[Change]:
        """Return how hosts ended in one run, in order of time."""
        return [change for _, _, change in self.changes(run=run)]


class _Texts:
    """Words by their numbers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stored: dict[int, bytes] = {}
        self._read: dict[int, Words] = {}

    def load(self, numbers: set[int]) -> None:
        for row in _rows(self._connection, WORDS, (WORDS.c.id, WORDS.c.body), numbers):
            self._stored[row.id] = row.body

    def of(self, number: int) -> Words:
        words = self._read.get(number)
        if words is None:
            words = self._read[number] = Words.read(self._stored[number])
        return words


class _States:
    """States by their numbers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[int, _Row] = {}

    def load(self, numbers: set[int]) -> None:
        columns = (STATE.c.id, STATE.c.verdict, STATE.c.rule, STATE.c.cause, STATE.c.bad, STATE.c.body)
        self._rows.update((row.id, row) for row in _rows(self._connection, STATE, columns, numbers))

    def of(self, number: int) -> _Row:
        return self._rows[number]


def _rows(connection: Connection, table: Any, columns: Sequence[Any], numbers: set[int]) -> Iterator[_Row]:
    """Yield the rows of a table that have these numbers; of many, all rows are read, and the others left out."""
    if len(numbers) > 20 * CHUNK:
        yield from (row for row in connection.execute(select(*columns)).all() if row.id in numbers)
        return
    for some in chunks(sorted(numbers)):
        yield from connection.execute(select(*columns).where(table.c.id.in_(some)))


@dataclass(frozen=True)
class _Facts(Mapping[str, Any]):
    """Facts that are unpacked if somebody looks at them: most readers do not."""

    stored: bytes
    host: str

    def _all(self) -> dict[str, Any]:
        return facts_of(self.stored, self.host)[1]

    def __getitem__(self, name: str) -> Any:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _known(span: _Row, host: str, seen: int | None, states: _States, texts: _Texts) -> LastKnown:
    state, words = states.of(span.state_id), texts.of(span.words_id)
    return LastKnown(
        state.verdict,
        state.rule,
        state.bad,
        words.reason,
        words.findings,
        time_of(span.since),
        time_of(seen) if seen is not None else None,
        _Facts(state.body, host),
    )


def _away(span: _Row, states: _States, texts: _Texts) -> Away:
    words = texts.of(span.words_id)
    since = span.away_since if span.away_since is not None else span.since
    return Away(states.of(span.state_id).cause or "", words.reason, words.next_step, time_of(since))


def _stay(row: _Row, host: str) -> Stay:
    words = Words.read(row.words)
    return Stay(
        row.assessed,
        row.verdict,
        row.rule,
        row.cause,
        row.bad,
        time_of(row.since),
        time_of(row.until) if row.until is not None else None,
        words.reason,
        words.next_step,
        words.findings,
        _Facts(row.body, host),
    )
