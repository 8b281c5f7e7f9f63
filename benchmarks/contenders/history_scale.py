"""Writes nights of a large fleet to a history and reads them: ``history_scale.py ROWS.json HOSTS NIGHTS URL``.

The rows are those of a real report of the lab's PCs, each made another PC's. Prints one line of JSON.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from benchmarks.contenders.meter import max_rss
from provmode.history.database import Database, url_of
from provmode.history.drifting import drift
from provmode.history.gathered import Gathered
from provmode.history.reader import History
from provmode.history.run import NewRun
from provmode.history.writer import write
from provmode.process import collect_rarely

SEED = 7
FIRST = datetime(2025, 11, 1, 1, tzinfo=timezone.utc)
SHARES = {"healthy": 0.77, "unassessed": 0.20, "mode": 0.025, "other": 0.005}
"""The fleet: what part of the hosts is in what. ``other``: half out of the mode, armed, a broken client, none."""
IN_THE_MODE = ("stuck", "overdue", "self-healing", "in-progress")
CHANGED = 0.01
"""Hosts that are found otherwise than the night before; half of them were healthy, half of them become so."""
Row = dict[str, Any]


class HostsOverTime:
    """A fleet whose hosts move between states, as many into each as out of it."""

    def __init__(self, rows: Sequence[Row], hosts: int) -> None:
        self._random = random.Random(SEED)
        self._rows: dict[str, list[Row]] = {name: [] for name in SHARES}
        for row in rows:
            self._rows[kind_of(row)].append(row)
        self._names = [f"PC-{number:06}" for number in range(hosts)]
        kinds = self._random.choices(list(SHARES), list(SHARES.values()), k=hosts)
        self.rows = [self._made(name, kind, 0) for name, kind in zip(self._names, kinds, strict=True)]

    def next_night(self, night: int) -> None:
        """Move hosts."""
        fine: dict[bool, list[int]] = {True: [], False: []}
        for place, row in enumerate(self.rows):
            fine[row["verdict"] == "healthy"].append(place)
        half = max(1, round(len(self.rows) * CHANGED / 2))
        others = {name: share for name, share in SHARES.items() if name != "healthy"}
        for place in self._random.sample(fine[True], half):
            (kind,) = self._random.choices(list(others), list(others.values()))
            self.rows[place] = self._made(self._names[place], kind, night)
        for place in self._random.sample(fine[False], half):
            self.rows[place] = self._made(self._names[place], "healthy", night)

    def _made(self, name: str, kind: str, night: int) -> Row:
        """Return the row of one PC as that of another; when it entered the mode is its own."""
        found = self._random.choice(self._rows[kind])
        row: Row = json.loads(json.dumps(found).replace(found["host"], name))
        entered = row["facts"].get("enabled_time", {}).get("known")
        if entered is not None:
            when = (FIRST + timedelta(days=night, seconds=-self._random.randrange(7 * 86400))).isoformat()
            row["facts"]["enabled_time"] = {"known": when}
            row["reason"] = row["reason"].replace(entered[:16].replace("T", " "), when[:16].replace("T", " "))
        return row


def kind_of(row: Mapping[str, Any]) -> str:
    """Return which part of the fleet a row belongs to."""
    verdict = str(row["verdict"])
    return verdict if verdict in SHARES else "mode" if verdict in IN_THE_MODE else "other"


@contextmanager
def timed(into: list[tuple[float, float]]) -> Iterator[None]:
    """Add the seconds and the CPU seconds of this process to *into*."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into.append((time.perf_counter() - wall, time.process_time() - cpu))


def read(database: Database, what: Callable[[Connection], object], into: list[tuple[float, float]]) -> None:
    """Measure what is read, with a connection of its own."""
    with timed(into), database.reading() as connection:
        what(connection)


def timeline(host: str, connection: Connection) -> None:
    """Read everything about a host."""
    History(connection).timeline(host)


def state(number: int, connection: Connection) -> None:
    """Read every host of a run."""
    history = History(connection)
    for _ in history.state(history.run(str(number))):
        pass


def drifted(before: int, after: int, connection: Connection) -> None:
    """Compare two runs."""
    history = History(connection)
    drift(connection, history.run(str(before)), history.run(str(after)))


def main() -> int:
    """Measure and print."""
    file, hosts, nights, url = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    collect_rarely()
    fleet = HostsOverTime(json.loads(Path(file).read_text(encoding="utf-8"))["hosts"], hosts)
    measured: dict[str, list[tuple[float, float]]] = {
        name: [] for name in ("digest", "first", "write", "timeline", "state", "drift", "drift of all")
    }
    with Database(url_of(url)) as database:
        for night in range(nights):
            if night:
                fleet.next_night(night)
            began = FIRST + timedelta(days=night)
            looks = Gathered()
            with timed(measured["digest"]):  # an audit does it as the reports come in
                for row in fleet.rows:
                    looks.add(row)
            run = NewRun(
                *(f"run-{night}", "audit", began, began + timedelta(hours=1), "fleet.py", True, 6, "me@here", "0.1.0"),
                looks=looks,
            )
            with timed(measured["write" if night else "first"]):
                write(database, run)
        chosen = random.Random(SEED)
        for _ in range(20):
            read(database, partial(timeline, f"PC-{chosen.randrange(hosts):06}"), measured["timeline"])
        for number in (1, max(1, nights // 2), nights):
            read(database, partial(state, number), measured["state"])
        for number in {max(2, nights // 2), nights}:
            read(database, partial(drifted, number - 1, number), measured["drift"])
        read(database, partial(drifted, 1, nights), measured["drift of all"])
    print(json.dumps({"measured": measured, "max_rss": max_rss(resource.RUSAGE_SELF), "fleet": _counted(fleet.rows)}))
    return 0


def _counted(rows: Sequence[Row]) -> dict[str, int]:
    kinds = [kind_of(row) for row in rows]
    return {kind: kinds.count(kind) for kind in SHARES}


if __name__ == "__main__":
    raise SystemExit(main())
