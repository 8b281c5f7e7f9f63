"""Forgetting what is old.

The last complete audit of each inventory stays, and so does what was last known of a host, whatever its age. The last
run of all stays too: the writer knows by it whether a run is later than every look.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, func, select
from sqlalchemy.engine import Connection

from provmode.history.database import Database
from provmode.history.run import number_of
from provmode.history.tables import CHANGE, HOST, RUN, SPAN, STATE, WORDS


@dataclass(frozen=True)
class Pruned:
    """What was forgotten."""

    runs: int
    spans: int
    hosts: int


def prune(database: Database, before: datetime, *, dry: bool = False) -> Pruned:
    """Forget runs that began before a moment, and what only they knew; with *dry* only say how much that is.

    Raises:
        HistoryError: it cannot be written; nothing was forgotten.
    """
    with database.writing() as connection:
        pruned = _prune(connection, number_of(before))
        if dry:
            connection.rollback()
    if not dry and pruned.runs:
        database.compact()
    return pruned


def _prune(connection: Connection, before: int) -> Pruned:
    last = select(func.max(RUN.c.at)).where(RUN.c.kind == "audit", RUN.c.complete.is_(True)).group_by(RUN.c.inventory)
    latest = select(RUN.c.id, RUN.c.part_of).order_by(RUN.c.at.desc()).limit(1)
    whole = [part_of or number for number, part_of in connection.execute(latest)]
    kept = {
        *connection.execute(last).scalars(),
        *connection.execute(select(RUN.c.at).where(RUN.c.id.in_(whole))).scalars(),
    }
    runs_before = select(RUN.c.at).where(RUN.c.at < before, RUN.c.part_of.is_(None))  # rounds go with their run
    old = [at for at in connection.execute(runs_before).scalars() if at not in kept]
    if not old:
        return Pruned(0, 0, 0)
    runs = sum(
        connection.execute(delete(RUN).where(RUN.c.at.in_(old[start : start + 500]))).rowcount
        for start in range(0, len(old), 500)
    )
    first = connection.execute(select(func.min(RUN.c.at)).where(RUN.c.at >= before)).scalar()
    ended = SPAN.c.until.is_not(None) if first is None else SPAN.c.until <= first
    # of an inventory that nobody looks at any more the last audit stays, but not the spans of all that came after it
    in_a_kept_run = exists().where(RUN.c.at < before, RUN.c.at >= SPAN.c.since, RUN.c.at < SPAN.c.until)
    spans = connection.execute(delete(SPAN).where(ended, ~in_a_kept_run)).rowcount
    connection.execute(delete(STATE).where(STATE.c.id.not_in(select(SPAN.c.state_id))))
    connection.execute(delete(WORDS).where(WORDS.c.id.not_in(select(SPAN.c.words_id))))
    known = select(SPAN.c.host_id).union(select(CHANGE.c.host_id))
    hosts = connection.execute(delete(HOST).where(HOST.c.id.not_in(known))).rowcount
    return Pruned(runs, spans, hosts)
