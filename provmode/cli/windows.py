"""When a run may change PCs: its options, and the guards that are made of them and of ``[windows]``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from provmode.cli.common import configuration, made_by
from provmode.clock import utc_now
from provmode.errors import UsageError

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path

    from provmode.fleet.guards import Guard
    from provmode.fleet.retrying import Retrying
    from provmode.fleet.windows import Windows


class Command(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A program to run, with its arguments: a list in the configuration file, a path or words on the command line."""

    name = "COMMAND"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        """Return the program and its arguments; no shell reads them."""
        if not isinstance(value, str):
            return tuple(value)
        try:
            words = [value] if os.path.isfile(value) else shlex.split(value)
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)
        return tuple(words) if words and words[0] else self.fail("it is empty", param, ctx)


class ChangeNumber(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """The number of a change, as the user's own system writes it."""

    name = "NUMBER"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return it without blanks around it."""
        from provmode.fleet.change_number import LONGEST, is_change

        text = str(value).strip()
        return text if is_change(text) else self.fail(f"it is not 1 to {LONGEST} printable characters", param, ctx)


change_option = click.option(
    "--change",
    type=ChangeNumber(),
    metavar="NUMBER",
    help="Number of the change that this is part of: it is kept in plan, journal, history and reports.",
)


def window_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options that say when it may run."""
    options = (
        click.option(
            "--window",
            "window",
            multiple=True,
            metavar="FILE.ics|none",
            help="Calendar whose events are windows: nothing is begun outside. May be repeated.",
        ),
        click.option(
            "--blackout",
            "blackout",
            multiple=True,
            metavar="FILE.ics|none",
            help="Calendar whose events forbid, stronger than any window. May be repeated.",
        ),
        click.option(
            "--not-after",
            metavar="HH:MM",
            help="Begin nothing that might not be ready by then: a time of day within 12 hours, or date and time with "
            "zone.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def guard_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command*, which changes PCs, the options that say when it may, and who is asked."""
    from provmode.fleet.windows import DRAIN

    drain = click.option(
        "--drain",
        default=DRAIN,
        metavar="15m",
        show_default=True,
        help="How long a host may take: what is expected until hosts have ended, and at most.",
    )
    gate = click.option(
        "--gate",
        type=Command(),
        help="Program that says, before the start and each wave, whether the run goes on: exit code 0.",
    )
    return window_options(drain(gate(command)))


def windows_of_run(*, looks: bool = False) -> Windows | None:
    """Return when the command may run, by its options and ``[windows]``; ``None`` if nothing says so.

    A command that only *looks* heeds what its own options say.

    Raises:
        UsageError: an option cannot be used.
        RunRefused: the time of ``--not-after`` has passed.
    """
    from provmode.fleet.windows import Windows, calendars, last_moment

    context = click.get_current_context()

    def given(name: str) -> Any:
        typed = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        return context.params.get(name) if typed or not looks else None

    zone = _zone()
    windows = calendars(given("window"), zone=zone)
    blackouts = calendars(given("blackout"), zone=zone, blackout=True)
    text = given("not_after")
    if windows is None and blackouts is None and text is None:
        return None
    not_after = last_moment(text, utc_now(), zone) if text is not None else None
    return Windows(utc_now, windows, blackouts or (), not_after, zone)


def _zone() -> tzinfo | None:
    from zoneinfo import ZoneInfo

    name = configuration().table("windows").get("zone")
    return ZoneInfo(name) if name is not None else None


class Guarding:
    """The guards of windows and gate for one command that changes PCs.

    Raises:
        UsageError: an option cannot be used.
        CalendarRefused: a calendar cannot be relied on.
        RunRefused: nothing may be changed now.
    """

    def __init__(self, command: str) -> None:
        from provmode.fleet.windows import read_drain

        params = click.get_current_context().params
        self._command, self._gate = command, params["gate"]
        self._drain = read_drain(params["drain"])
        self._windows = windows_of_run()
        self.facts: Mapping[str, Any] = {}
        """What the gate is told, beside the usual."""
        if self._windows is not None:
            self._windows.check()

    @property
    def guards(self) -> Sequence[Guard]:
        """The guards, in the order in which they are asked."""
        from provmode.fleet.gate import GateGuard
        from provmode.fleet.windows import WindowGuard

        found: list[Guard] = []
        if self._windows is not None:
            found.append(WindowGuard(self._windows, seconds=monotonic, drain=self._drain))
        if self._gate is not None:
            found.append(GateGuard(self._gate, self._told))
        return found

    def _told(self) -> dict[str, Any]:
        closes = self._windows.state.closes if self._windows is not None else None
        return {
            "command": self._command,
            "time": utc_now().isoformat(),
            "closes": closes.isoformat() if closes is not None else None,
            "by": made_by(),
            **self.facts,
        }

    def about(self, *, change: str, journal: Path, inventory: str, plan: str | None = None) -> None:
        """Note what the run is about, for the gate."""
        self.facts = {"change": change or None, "plan": plan, "journal": str(journal), "inventory": inventory}

    def until_it_closes(self, retrying: Retrying | None) -> Retrying | None:
        """Return the rounds of a run, but none at or after the time when nothing may be changed any more."""
        closes = self._windows.state.closes if self._windows is not None else None
        return retrying.until_at_most(closes) if retrying is not None and closes is not None else retrying


def while_open(stop: Callable[[], bool], windows: Windows | None, say: Callable[[str], None]) -> Callable[[], bool]:
    """Return when a run that looks has to stop: as before, or as soon as nothing may be done any more.

    What it says then is said once.
    """
    if windows is None:
        return stop
    closes, said = windows.state.closes, False

    def stopped() -> bool:
        nonlocal said
        shut = closes is not None and utc_now() >= closes
        if shut and not said:
            assert closes is not None
            said = True
            say(f"the window closed at {windows.said(closes)}: the hosts that are missing were not looked at")
        return shut or stop()

    return stopped


def same_change(given: str | None, planned: str) -> str:
    """Return the number of the change that a plan is applied for: that of the plan, or *given* if it has none.

    Raises:
        UsageError: another one is given.
    """
    if given and planned and given != planned:
        raise UsageError(
            f"--change {given}: the plan was made for {planned}",
            next_step="leave out --change, or plan anew for this change",
        )
    return planned or given or ""
