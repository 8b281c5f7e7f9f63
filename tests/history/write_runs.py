"""Writes audits to a history, in a process of its own: ``write_runs.py URL RUNS.json``.

It says ``ready``, waits for a line on its standard input, and then prints the name of each run that is written.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

import alembic.runtime.environment  # before the race, not in it
import alembic.script  # noqa: F401

from provmode.history.database import Database, url_of
from provmode.history.run import NewRun
from provmode.history.writer import write


def main() -> int:
    """Write them."""
    url, file = sys.argv[1:]
    runs = json.loads(Path(file).read_text())
    print("ready", flush=True)
    sys.stdin.readline()
    with Database(url_of(url)) as database:
        for name, at, rows in runs:
            began = datetime.fromisoformat(at)
            ended = began + timedelta(hours=1)
            write(database, NewRun(name, "audit", began, ended, "fleet.py", True, 0, "me@here", "0.1.0", rows))
            print(name, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
