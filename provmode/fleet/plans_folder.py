"""A folder of plans: which one is applied next, and why the newer ones are not.

It is the newest that is signed with a key that is believed, approved by as many as have to, not expired and not
finished. A plan that cannot be relied on is passed over, and never keeps another from its turn. If a guard stopped a
run so that somebody has to look first, nothing older is applied until somebody has.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from provmode.errors import ProvmodeError, UsageError
from provmode.fleet.approvals import Approving
from provmode.fleet.guards import RunRefused
from provmode.fleet.journal import first_line_torn
from provmode.fleet.journal import read as read_journal
from provmode.fleet.ownership import refuse_foreign
from provmode.fleet.plan_file import Plan, load
from provmode.fleet.plan_file import read as read_plan
from provmode.fleet.results import HostOutcome
from provmode.signing.keys import Keys

SUFFIX = ".json"
"""How the names of plans end in such a folder."""
DECIDES = "decides which plans are applied"
NAMED = 3
"""How many plans are named for each reason if there is nothing to apply."""


@dataclass(frozen=True)
class Passed:
    """A plan that is not taken."""

    path: Path
    reason: str
    """In a word or two."""
    detail: str = ""
    """In a sentence, if there is more to say."""
    made: datetime | None = None
    """When it was made; ``None`` if nobody can tell, because it is not to be believed."""

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.path} is not taken: {self.reason}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True)
class Taken:
    """The plan that is taken."""

    path: Path
    made: datetime
    resume: bool
    """Whether its run had begun, and goes on."""

    def __str__(self) -> str:
        """Return one line."""
        goes_on = "; its run, which did not finish, goes on" if self.resume else ""
        return f"{self.path} is taken, made at {_said(self.made)}{goes_on}"


@dataclass(frozen=True)
class Choice:
    """What is applied next from a folder, if anything, and what is not."""

    folder: Path
    taken: Taken | None
    passed: tuple[Passed, ...]
    """If a plan is taken: those that are newer, or of which nobody can tell."""

    def lines(self) -> Iterator[str]:
        """Yield a line for each plan that is not taken, and one for that which is; one line if none is."""
        if self.taken is not None:
            yield from map(str, self.passed)
            yield str(self.taken)
            return
        by_reason: dict[str, list[str]] = {}
        for each in self.passed:
            by_reason.setdefault(each.reason, []).append(each.path.name)
        why = "; ".join(f"{reason}: {_some(names)}" for reason, names in by_reason.items())
        yield f"nothing to apply in {self.folder}: {why or f'no file there ends in {SUFFIX}'}"


def journal_of(plan: Path) -> Path:
    """Return where the journal of a plan is kept if nobody says otherwise: beside it."""
    return plan.with_name(f"{plan.name}.journal")


def choose(
    folder: Path,
    keys: Keys | None,
    *,
    approving: Approving,
    keys_of_journal: Callable[[Plan], Keys | None],
    now: datetime,
) -> Choice:
    """Return which plan of a folder is applied next. *keys_of_journal* returns the keys that check a plan's journal.

    Raises:
        UsageError: others can write to the folder, it cannot be read, or there is no key to check plans with.
        RunRefused: a guard stopped the run of the plan whose turn it would be.
    """
    if keys is None:
        raise UsageError(
            f"plans of a folder have to be signed, and there is no key to check those of {folder} with",
            next_step="give --key-file, or name plan_keys under [signing]",
        )
    believed: list[tuple[Path, Plan]] = []
    passed: list[Passed] = []
    for path in _files(folder):
        try:
            believed.append((path, _believed(path, keys)))
        except (_NotTaken, ProvmodeError, ValueError) as error:
            passed.append(error.passed if isinstance(error, _NotTaken) else Passed(path, "not a plan", str(error)))
    newest = sorted(believed, key=lambda found: (found[1].created, journal_of(found[0]).exists()), reverse=True)
    seen: dict[str, Path] = {}
    for path, plan in newest:
        try:
            if plan.id in seen:
                raise _NotTaken(path, "a copy", f"it is the same plan as {seen[plan.id]}", plan.created)
            seen[plan.id] = path
            _check_now(path, plan, keys, approving, now)
            resume = _goes_on(path, plan, keys_of_journal)
        except _NotTaken as error:
            passed.append(error.passed)
            continue
        newer = (each for each in passed if each.made is None or each.made >= plan.created)
        return Choice(folder, Taken(path, plan.created, resume), tuple(newer))
    return Choice(folder, None, tuple(passed))


class _NotTaken(Exception):
    """A plan is passed over."""

    def __init__(self, path: Path, reason: str, detail: str = "", made: datetime | None = None) -> None:
        super().__init__(reason)
        self.passed = Passed(path, reason, detail, made)


def _files(folder: Path) -> list[Path]:
    """Return what could be plans, by name. Names that begin with a dot are files that are being written.

    Raises:
        UsageError: the folder cannot be read, or others can write to it.
    """
    try:
        refuse_foreign(folder, DECIDES)
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.name[0] != ".")
    except OSError as error:
        raise UsageError(f"cannot read the folder {folder}: {error.strerror}") from None


def _believed(path: Path, keys: Keys) -> Plan:
    """Return a plan whose signature fits."""
    _refuse_link(path, path)
    plan = read_plan(path, keys)
    if not plan.signed:
        raise _NotTaken(path, "not signed")
    return plan


def _refuse_link(path: Path, plan: Path) -> None:
    """Refuse what is not a file of the folder itself: its journal lies beside it."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise _NotTaken(plan, "cannot be read", str(error.strerror)) from None
    if not stat.S_ISREG(mode):
        raise _NotTaken(plan, "a link" if stat.S_ISLNK(mode) else "not a file", "" if path == plan else str(path))


def _check_now(path: Path, plan: Plan, keys: Keys, approving: Approving, now: datetime) -> None:
    if now >= plan.expires:
        raise _NotTaken(path, "expired", f"at {_said(plan.expires)}", plan.created)
    try:
        load(path, keys, unsigned=False, now=now)
    except ProvmodeError as error:
        raise _NotTaken(path, "not to be applied", str(error), plan.created) from None
    try:
        load(path, keys, unsigned=False, now=now, approving=approving)
    except ProvmodeError as error:
        raise _NotTaken(path, "not approved", str(error), plan.created) from None


def _goes_on(path: Path, plan: Plan, keys_of_journal: Callable[[Plan], Keys | None]) -> bool:
    """Return whether the run of a plan had begun, and did not finish.

    Raises:
        _NotTaken: it finished, or its journal cannot be relied on.
        RunRefused: a guard stopped it, and somebody has to look first.
    """
    journal = journal_of(path)
    try:
        journal.lstat()
    except FileNotFoundError:
        return False
    _refuse_link(journal, path)
    keys = keys_of_journal(plan)
    try:
        if first_line_torn(journal):
            return True
        state = read_journal(journal, keys)
    except (UsageError, OSError) as error:
        raise _NotTaken(path, "its journal cannot be relied on", str(error), plan.created) from None
    if keys is not None and not state.signed:
        raise _NotTaken(path, "its journal cannot be relied on", f"{journal} is not signed", plan.created)
    if state.plan_id != plan.id:
        raise _NotTaken(path, "its journal is another plan's", f"move {journal} away", plan.created)
    if state.undoing or any(host.undone for host in state.hosts.values()):
        raise _NotTaken(path, "undone", made=plan.created)
    if not state.closed:
        return True
    if state.stopped and not state.deferred:
        raise RunRefused(
            f"the run of {path} was stopped: {state.stopped}",
            next_step=f"look at it; then provmode apply {path} --resume, or move the plan out of the folder",
        )
    if state.deferred or any(host.outcome == HostOutcome.DEFERRED.value for host in state.hosts.values()):
        return True
    raise _NotTaken(path, "finished", made=plan.created)


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M UTC}"


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more
