"""``provmode systemd``: write timers and services that look every night, and again at those that were away."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.atomic_file import check_output, write_output
from provmode.cli.common import configuration, printing
from provmode.cli.night import change_of_night, hindered
from provmode.errors import UsageError
from provmode.fleet.night import time_of_day
from provmode.fleet.results import COMPLIANT, EXIT_CODES
from provmode.report.schedule import Schedule, interval
from provmode.text import visible

if TYPE_CHECKING:
    from provmode.fleet.for_user import User

UNITS = "/etc/systemd/system"
HOME = "/var/lib/provmode"
"""The service's own folder."""


class Parsed(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A text that one function reads."""

    def __init__(self, name: str, read: Any) -> None:
        self.name, self._read = name, read

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read the text."""
        return self._read(value) if isinstance(value, str) else value


@click.command(epilog=EXIT_CODES["systemd"].help)
@click.option(
    "--write",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help=f"Write the units to this folder, such as {UNITS}.",
)
@click.option(
    *("--at", "at"),
    type=Parsed("HH:MM", time_of_day),
    metavar="HH:MM",
    default="02:00",
    show_default=True,
    help="When the whole inventory is looked at.",
)
@click.option(
    *("--retry-every", "every"),
    type=Parsed("INTERVAL", interval),
    metavar="15m|1h|...",
    default="1h",
    show_default=True,
    help="After what time the hosts that could not be assessed are looked at again.",
)
@click.option("--user", default="provmode", show_default=True, help="The user that looks.")
def systemd(folder: Path, at: int, every: int, user: str) -> int:
    """Write timers and services for the configuration file: a look every night, and again at those that were away.

    If the file has a table [change], also those that apply the plans of a folder, inside its windows.

    Prints how to enable them, and the lines that do the same with cron. A file that this command did not write, or that
    was changed since, stays.
    """
    from provmode.fleet.for_user import User, hindrances
    from provmode.report.systemd_units import units

    schedule = _schedule(at, every, user)
    texts = units(schedule)
    _check(folder, texts)
    for name, text in texts.items():
        write_output(folder / name, text)
    who, inventory = User.named(user), _inventory_files()
    needed = [Path(schedule.program[0]), Path(os.path.realpath(sys.executable))]
    own = [schedule.configuration, *inventory, *_waivers()]
    plans = [Path(schedule.change.plans)] if schedule.change is not None else []
    read = [Path(path) for path in schedule.change.reads if os.path.exists(path)] if schedule.change is not None else []
    first = [
        *_out_of_sight((*needed, *own, *map(Path, schedule.writes), *plans, *read)),
        *hindrances(who, [*needed, *_told()], [*own, *read], own),
        *(hindered(schedule.change, who) if schedule.change is not None else ()),
        *_history_of(who, schedule),
        *_unwritable_reports(who),
    ]
    with printing():
        for line in _said(folder, schedule, texts, who):
            print(visible(line))
        if first:
            print("\nBefore that:")
        for line in first:
            print(f"  {visible(line)}")
    return COMPLIANT


def _schedule(at: int, every: int, user: str) -> Schedule:
    found = configuration()
    if found.path is None:
        raise UsageError(
            "there is no configuration file to make units from",
            next_step="write one with provmode init, or give --config",
        )
    if "inventory" not in found.options:
        raise UsageError(f"{found.path} names no inventory", next_step="set its key inventory")
    secrets = {key: os.path.abspath(path) for key, path in found.secrets.get("data", {}).items()}
    return Schedule(
        *(_program(), Path(os.path.abspath(found.path)), user, at, every, secrets),
        reads=(os.path.realpath(sys.executable), *map(str, (*_inventory_files(), *_told(), *_waivers()))),
        writes=tuple(dict.fromkeys((*_history_folder(), *_report_folders()))),
        remembers="url" in found.table("history"),
        notifies="command" in found.table("notify"),
        change=change_of_night(),
    )


def _history_folder() -> tuple[str, ...]:
    """Return the folder of the history's file, if it has one that is not the service's own."""
    from provmode.fleet.configuration import SQLITE

    url = str(configuration().table("history").get("url", ""))
    folder = os.path.dirname(os.path.abspath(url.removeprefix(SQLITE)))
    return (folder,) if url.startswith(SQLITE) and folder != HOME else ()


def _told() -> list[Path]:
    """Return the program that is told what changed, if it is named by its path."""
    command = configuration().table("notify").get("command", [""])[0]
    return [Path(os.path.abspath(command))] if "/" in command else []


def _waivers() -> list[Path]:
    """Return the file of waivers, if the configuration names one."""
    file = configuration().table("waivers").get("file")
    return [Path(os.path.abspath(file))] if file else []


def _report_files() -> list[Path]:
    """Return the files that every look writes beside its report."""
    from provmode.fleet.export import Export

    texts = configuration().table("report").get("write", [])
    return [Path(os.path.abspath(Export.parse(text).path)) for text in texts]


def _report_folders() -> tuple[str, ...]:
    """Return the folders of those files, but for the service's own."""
    return tuple(str(file.parent) for file in _report_files() if not file.is_relative_to(HOME))


def _may_write(user: User, path: Path) -> bool:
    try:
        return user.may(path, 2)
    except OSError:
        return False


def _unwritable_reports(user: User) -> Iterator[str]:
    """Yield what keeps a service from writing a file of the configuration; in its own folder nothing does."""
    for file in _report_files():
        if not (file.is_relative_to(HOME) or _may_write(user, file if file.exists() else file.parent)):
            cure = shlex.join(["install", "-m", "644", "-o", user.name, "/dev/null", str(file)])
            yield f"{user.name} cannot write {file}, which [report] names: {cure}"


def _history_of(user: User, schedule: Schedule) -> Iterator[str]:
    """Yield what keeps a service from remembering its runs."""
    if not schedule.remembers:
        yield "there is no history, and so no retry: set url under [history], and write the units again"
    for folder in _history_folder():
        if not _may_write(user, Path(folder)):
            yield (
                f"{user.name} cannot write to {folder}, where the history is: "
                f'write url = "sqlite:///{HOME}/history.sqlite" under [history]'
            )


def _program() -> tuple[str, ...]:
    """Return how this program is started, by a path that does not depend on who starts it."""
    beside = Path(sys.executable).parent / "provmode"
    return (str(beside),) if os.access(beside, os.X_OK) else (sys.executable, "-m", "provmode")


def _inventory_files() -> list[Path]:
    """Return the files of the inventory that the configuration names."""
    from provmode.fleet.host_lists import file_of, split_names

    inventory = str(configuration().options["inventory"])
    if not inventory.startswith("@"):
        return [Path(os.path.abspath(inventory))]
    return [Path(os.path.abspath(file)) for file in map(file_of, split_names(inventory)) if file not in (None, "", "-")]


def _check(folder: Path, texts: dict[str, str]) -> None:
    """Refuse a folder that others can write to, and files that this command did not write.

    Raises:
        UsageError: one line says which, and what to do.
    """
    from provmode.fleet.ownership import refuse_foreign
    from provmode.report.systemd_units import is_ours

    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", next_step="make it, or give another one")
    try:
        refuse_foreign(folder, "decides what systemd runs")
        for path in (folder / name for name in texts):
            check_output(path)
            if os.path.lexists(path) and not (path.is_file() and is_ours(path.read_text("utf-8", "surrogateescape"))):
                raise UsageError(
                    f"{path} was not written by provmode systemd, or was changed since",
                    next_step="move it away, or write to another folder; changes belong in a drop-in (systemctl edit)",
                )
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}") from None


def _out_of_sight(paths: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each file in a folder of which a service has one of its own."""
    for path in paths:
        if path.is_relative_to("/tmp") or path.is_relative_to("/var/tmp"):  # noqa: S108 - nothing is written there
            yield f"the service does not see {path}, because it has a folder for temporary files of its own: move it"


def _said(folder: Path, schedule: Schedule, texts: dict[str, str], user: User) -> Iterator[str]:
    """Yield what was written, how to enable it, and the same for cron."""
    from provmode.report.cron import crontab
    from provmode.report.systemd_units import AUDIT

    yield from (f"written: {folder / name}" for name in texts)
    yield "\nTo enable them, as root:"
    if user.number is None:
        yield f"  useradd --system --home-dir {HOME} --shell /usr/sbin/nologin {user.name}"
    if os.path.realpath(folder) != UNITS:
        yield f"  cp {shlex.join(str(folder / name) for name in texts)} {UNITS}/"
    yield "  systemctl daemon-reload"
    yield f"  systemctl start {AUDIT}.service; journalctl --unit {AUDIT}.service    # looks now, and says how it went"
    yield f"  systemctl enable --now {' '.join(name for name in texts if name.endswith('.timer'))}"
    yield "\nOr the same with cron, as /etc/cron.d/provmode; the user then has to own the files with secrets:"
    yield from (f"  {line}" for line in crontab(schedule))
    yield f"  # once, as root: install -d -m 700 -o {user.name} {HOME}"
