"""The page of a run in the history: what it found, what changed since the run before, and how it came so far."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from provmode.ccm.verdict import AT_WORK_TOO_LONG, Outcome, Verdict, outcome
from provmode.errors import UsageError
from provmode.fleet.configuration import toml
from provmode.fleet.results import EXIT_CODES
from provmode.history import bits, drifting
from provmode.history.drift import Drifted, Word
from provmode.history.names import name_of
from provmode.history.reader import History, HostState, LastKnown
from provmode.history.run import LOOKS
from provmode.history.run import Run as PastRun
from provmode.history.waived import uses, waived_in
from provmode.report.page.data import Became, HostRow, Made, Moment, Names, PageData, Run, Since
from provmode.report.page.groups import parts_of
from provmode.report.page.known import in_order, known_waiver, next_step_of

RUNS_IN_TREND = 400
"""How many runs the trend has: over a year of nights."""
NAMES_OF_A_WORD = 10
"""How many PCs are named beside a word."""
CHANGES_FOR, RUNS_THAT_CHANGED = timedelta(days=30), 20
"""For how long before the run, and of how many runs, changes are on the page."""
_AGE_OF_THE_FIRST_LOOK = re.compile(r"( since \d{4}-\d\d-\d\d \d\d:\d\d UTC) \([^)]*\)")
_IN_THE_MODE = (Verdict.STUCK, Verdict.OVERDUE, Verdict.SELF_HEALING, Verdict.IN_PROGRESS)


def run_of_page(history: History, *, run: str | None, inventory: str | None) -> PastRun:
    """Return the run that a page is of: *run*, or the last complete audit of an inventory, or of any.

    Raises:
        UsageError: there is none.
    """
    if run is not None:
        found = history.run(run)
        if found.kind not in LOOKS or not found.looked:
            raise UsageError(
                f"run {found.number} ({found.kind}) looked at no host", next_step="give an audit or a plan"
            )
        return found
    return drifting.latest(history, inventory)


def page_of_history(connection: Connection, run: PastRun, made: datetime, name: str) -> PageData:
    """Return the page of a run; *made* is now, and *name* what the history is called."""
    history = History(connection)
    before = drifting.earlier(history, run)
    trend = history.trend(run.inventory, until=run.began, runs=RUNS_IN_TREND)
    waived = {name_of(host): fields for host, fields in waived_in(run.about)}
    return PageData(
        made,
        run=_run(run, name),
        since=_since(connection, before, run) if before is not None else None,
        no_before="" if before is not None else "There is no earlier run of the whole inventory in the history.",
        trend=tuple(map(_moment, trend)),
        waivers=in_order(
            known_waiver(each, each["covered"], uses(each, (past.about for past in trend)))
            for each in run.about.get("waivers", ())
        ),
        changes=tuple(_changes(history, run, made)),
        **parts_of([_row(state, run.began, waived) for state in history.state(run)], made),
    )


def _run(run: PastRun, name: str) -> Run:
    codes = EXIT_CODES[run.kind].meanings if run.kind in EXIT_CODES else {}
    return Run(
        run.inventory,
        run.began,
        run.ended,
        run=run.name,
        kind=f"{run.kind}, number {run.number}",
        version=run.version,
        limit=Names.of(run.about.get("limit", ())),
        exclude=Names.of(run.about.get("exclude", ())),
        who=run.by,
        exit_code=run.exit_code,
        exit_meaning=codes.get(run.exit_code, "") if run.exit_code is not None else "",
        policy=_policy(run),
        source=f"the history {name}",
        change=str(run.about.get("change", "")),
        lowered=tuple((str(each["says"]), Names.of(each["hosts"])) for each in run.about.get("lowered_protection", ())),
    )


def _policy(run: PastRun) -> str:
    """Return the policy that a run gave to every host; the inventory may have said more of some."""
    if "policy" not in run.about:
        return ""
    return ", ".join(f"{key} = {toml(value)}" for key, value in run.about["policy"].items()) or "the defaults"


def _row(state: HostState, at: datetime, waived: Mapping[str, Mapping[str, str]]) -> HostRow:
    fields = waived.get(name_of(state.host)) if state.bad else None
    known, away = state.known, state.away
    verdict = Verdict(state.verdict)
    if away is not None:
        return HostRow(
            state.host,
            verdict,
            away.reason,
            away.cause,
            away.next_step,
            since=away.since,
            last_verdict=Verdict(known.verdict) if known is not None else None,
            last_seen=known.seen if known is not None else None,
        )
    if known is None:
        return HostRow(state.host, verdict, "")
    return HostRow(
        state.host,
        verdict,
        _AGE_OF_THE_FIRST_LOOK.sub(r"\1", known.reason),
        in_mode=_in_mode(known, at) if verdict in _IN_THE_MODE else None,
        since=known.since,
        findings=tuple(text for _, text in known.findings),
        next_step=next_step_of(fields) if fields is not None else "",
        at_work_too_long=any(code == AT_WORK_TOO_LONG for code, _ in known.findings),
        waived=fields is not None,
    )


def _in_mode(known: LastKnown, at: datetime) -> int | None:
    """Return for how many seconds a PC had been in the mode at a moment, if it says since when."""
    entered = known.facts.get("enabled_time", {}).get("known")
    try:
        return max(0, round((at - datetime.fromisoformat(entered)).total_seconds())) if entered else None
    except (TypeError, ValueError, OverflowError):
        return None  # a time that nothing can be counted from


def _moment(run: PastRun) -> Moment:
    """Return a run of the trend; a verdict that needs something is one that is pending or failed."""
    counted = dict.fromkeys(Outcome, 0)
    for word, number in run.counts.items():
        counted[outcome(Verdict(word))] += number
    needs = counted[Outcome.PENDING] + counted[Outcome.FAILED]
    return Moment(
        run.began, counted[Outcome.COMPLIANT], counted[Outcome.LEFT_ALONE], needs, counted[Outcome.UNASSESSED]
    )


# -- since the run before -------------------------------------------------------------------------------------------


def _since(connection: Connection, before: PastRun, run: PastRun) -> Since:
    found = drifting.drift(connection, before, run)
    became = [Became(word.value, _names(us), _names(others)) for word, us, others in _by_word(found.hosts)]
    return Since(before.began, f"number {before.number}", tuple(became))


def _by_word(hosts: Iterable[Drifted]) -> Iterator[tuple[Word, list[Drifted], list[Drifted]]]:
    found: dict[Word, tuple[list[Drifted], list[Drifted]]] = {}
    for host in hosts:
        found.setdefault(host.word, ([], []))[0 if host.by_us else 1].append(host)
    yield from ((word, *found[word]) for word in Word if word in found)


def _names(hosts: list[Drifted]) -> Names:
    some = hosts[:NAMES_OF_A_WORD]
    return Names(len(hosts), tuple(host.host for host in some), tuple(map(_note, some)))


def _note(host: Drifted) -> str:
    """Return what there is to say of a host beside its word."""
    before = host.before.verdict if host.before is not None else ""
    after = host.after.verdict if host.after is not None else ""
    if host.word is Word.CHANGED:
        return f"{before}, now {after}"
    if host.word is Word.FIXED:
        return f"was {before}"
    if host.word is Word.LOST:
        return host.cause
    if host.word is Word.RETURNED and host.earlier is not None:
        times = f"{host.earlier.times} time{'s' if host.earlier.times > 1 else ''}"
        return f"{after}; {times} before, until {host.earlier.ended:%Y-%m-%d}"
    return before if host.word is Word.VANISHED else after


# -- changes --------------------------------------------------------------------------------------------------------


def _changes(history: History, run: PastRun, made: datetime) -> Iterator[Made]:
    """Yield the runs that changed PCs of *run*, the latest first: those before it, and if it is the last, after it."""
    later = history.runs(kinds=("audit",), inventory=run.inventory, complete=True, limit=1)
    until = run.ended if any(each.at > run.at for each in later) else made
    found: dict[int, tuple[PastRun, dict[str, list[str]]]] = {}
    for changing, host, change in history.changes(after=run.began - CHANGES_FOR, until=until):
        if bits.has(run.looked, host):
            found.setdefault(changing.number, (changing, {}))[1].setdefault(change.outcome, []).append(change.host)
    for changing, outcomes in sorted(found.values(), key=lambda each: -each[0].at)[:RUNS_THAT_CHANGED]:
        yield Made(
            changing.plan or "",
            changing.kind,
            changing.began,
            changing.by,
            tuple((word, Names.of(hosts)) for word, hosts in outcomes.items()),
            change=str(changing.about.get("change", "")),
        )
