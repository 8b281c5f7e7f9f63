"""Writing runs to the history that the configuration file names, and reading it.

A run is over, and its report printed, before anything is written. So a history that is away, full or locked costs one
line and the exit code, and never a report.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provmode import __version__
from provmode.cli.common import complain, configuration, made_by
from provmode.clock import utc_now
from provmode.errors import ProvmodeError, UsageError
from provmode.fleet.results import COMPLIANT, FAILED, PENDING, UNKNOWN

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from provmode.fleet.audit import Audit
    from provmode.fleet.looking import HostReport
    from provmode.fleet.plan import Planned
    from provmode.history.database import Database
    from provmode.history.gathered import Gathered
    from provmode.history.run import NewRun
    from provmode.signing.keys import Given


NO_HISTORY = "write url under [history] in provmode.toml (provmode init makes one)"


def is_kept() -> bool:
    """Return whether runs are remembered."""
    return bool(configuration().table("history").get("url"))


def new_run() -> str:
    """Return an id for a run; empty if runs are not remembered."""
    return str(uuid.uuid4()) if is_kept() else ""


def inventory_name(inventory: str) -> str:
    """Return the inventory as the history names it: a file by its whole path, so that it is one from every folder."""
    if inventory.startswith("@") or not os.path.exists(inventory):  # of a name that nobody may look up it says no
        return inventory
    return os.path.realpath(inventory)


@contextmanager
def history() -> Iterator[Database]:
    """Yield the history's database.

    Raises:
        UsageError: the configuration file names none, or one that cannot be.
    """
    url = configuration().table("history").get("url")
    if not url:
        raise UsageError("runs are not remembered: there is no history", next_step=NO_HISTORY)
    from provmode.history.database import Database, url_of

    with Database(url_of(url)) as database:
        yield database


@contextmanager
def reading_history() -> Iterator[Connection]:
    """Yield a connection to read the history with.

    Raises:
        UsageError: as `history`.
        HistoryError: it cannot be read.
    """
    with history() as database, database.reading() as connection:
        yield connection


class LooksOfRun:
    """The looks of a run, digested for the history while the run still goes."""

    def __init__(self) -> None:
        from provmode.history.gathered import Gathered

        self._gathered = Gathered()
        self._taken: dict[str, HostReport] = {}

    def take(self, report: HostReport) -> None:
        """Digest a report."""
        self._taken[report.host] = report
        self._gathered.add(report.to_json())

    def of(self, reports: Iterable[HostReport]) -> Gathered:
        """Return what the run says in the end: reports that were not taken, or differ from it, are digested now."""
        for report in reports:
            taken = self._taken.get(report.host)
            if taken is None or taken.assessment is not report.assessment or taken.state is not report.state:
                self._gathered.replace(report.to_json())
        return self._gathered


def remember_audit(found: Audit, code: int, *, kind: str = "audit", looks: LooksOfRun | None = None) -> int:
    """Write an audit to the history, if there is one; return the run's exit code. *looks* took its reports."""
    if not is_kept():
        return code
    forget = kind == "audit" and found.complete
    return remember(lambda: iter([run_of_audit(found, kind, code, looks)]), code, forget=forget)


def run_of_audit(found: Audit, kind: str, code: int, looks: LooksOfRun | None = None) -> NewRun:
    """Return an audit, or a run of another kind that looked, as the history takes it. *looks* took its reports."""
    from provmode.history.run import NewRun

    began = found.began or utc_now()
    return NewRun(
        name=found.run,
        kind=kind,
        began=began,
        ended=found.ended or began,
        inventory=inventory_name(found.inventory),
        complete=found.complete,
        exit_code=code,
        by=made_by(),
        version=__version__,
        looks=(looks or LooksOfRun()).of(found.reports),
        plan=found.run if kind != "audit" else None,
        about=_about(found),
    )


def remember_plan(
    planned: Planned, name: str, code: int, *, kind: str = "plan", looks: LooksOfRun | None = None
) -> int:
    """Write a plan to the history, if there is one; return the run's exit code.

    *name* is the plan's id, and *looks* took its reports.
    """
    if planned.about != "client":  # its looks are at something else
        return code
    planned.audit.run = name
    return remember_audit(planned.audit, code, kind=kind, looks=looks)


def remember_journal(journal: Path, key: Given, code: int, *, inventory: str = "", kind: str | None = None) -> int:
    """Write the runs of a journal to the history, if there is one; return the exit code of the last of them."""
    if not is_kept() or not journal.exists():
        return code

    def runs() -> Iterator[NewRun]:
        from provmode.history.journals import runs_of

        yield from runs_of(journal, key, inventory=inventory_name(inventory), by=made_by(), kind=kind, exit_code=code)

    return remember(runs, code)


def remember(runs: Callable[[], Iterator[NewRun]], code: int, *, forget: bool = False) -> int:
    """Write runs to the history; return the exit code of a run that had *code*. With *forget*, what is old goes."""
    from provmode.history.pruning import prune
    from provmode.history.writer import write

    trouble = "the run is not in the history"
    try:
        with history() as database:
            for run in runs():
                write(database, run)
            trouble = "the run is in the history, but old runs were not forgotten"
            days = configuration().table("history").get("keep_days")
            if forget and days:
                prune(database, utc_now() - timedelta(days=days))
    except ProvmodeError as error:
        complain(f"{trouble}: {error}")
        return failed(code)
    return code


def failed(code: int) -> int:
    """Return the exit code of a run that had *code*, and after which something else failed."""
    return FAILED | (code & PENDING) if code in (COMPLIANT, PENDING, FAILED, PENDING | FAILED, UNKNOWN) else code


def _about(found: Audit) -> Mapping[str, Any]:
    from provmode.history.waived import about_waivers

    return {
        "limit": list(found.limit),
        "exclude": list(found.exclude),
        "lowered_protection": [item.to_json() for item in found.lowered],
        "notes": list(found.notes),
        "policy": configuration().host_data.get("provmode_policy", {}),
        **about_waivers(
            ((each.host, each.waived.to_json()) for each in found.reports if each.waived is not None),
            found.waived.to_json(),
        ),
        **({"change": found.change} if found.change else {}),
    }
