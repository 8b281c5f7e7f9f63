"""What the commands share: options, Ctrl-C, progress, printing, data from ``KEY=VALUE``."""

from __future__ import annotations

import getpass
import io
import math
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

import click
from click.shell_completion import CompletionItem

from provmode.cli import guard_options
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.allowance import Allowance
from provmode.fleet.configuration import PARALLEL, PROCESSES, SOAK, Configuration
from provmode.fleet.retrying import DEFAULT_EVERY, Retrying, read_every, read_until
from provmode.fleet.waves import SAFE
from provmode.text import json_text, visible

if TYPE_CHECKING:
    from rich.console import Console

    from provmode.fleet.begun import Settled
    from provmode.fleet.inventory import InventorySource
    from provmode.fleet.looking import HostReport
    from provmode.fleet.progress import Progress


class Running(Protocol):
    """What knows how many hosts are being worked on."""

    @property
    def in_progress(self) -> int:
        """How many hosts an interrupted run waits for."""


class Finite(click.FloatRange):
    """A number in a range."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Reject NaN: it passes every comparison of the range."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number in this range", param, ctx)
        return number


def file_path() -> click.Path:
    """Return the type of an option that names a file."""
    return click.Path(dir_okay=False, path_type=Path)


class InventoryName(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """What names an inventory: completes files, also those after ``@csv/`` and ``@list/``."""

    name = "inventory"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return what *incomplete* can become."""
        kind, slash, path = incomplete.partition("/")
        if not incomplete.startswith("@"):
            return [CompletionItem(incomplete, type="file")]
        if not slash:
            return [CompletionItem(word) for word in ("@csv/", "@list/", "@winrm/") if word.startswith(incomplete)]
        if kind not in ("@csv", "@list"):
            return []
        folder, name = os.path.split(path)
        try:
            entries = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda entry: entry.name)
        except OSError:
            return []
        return [
            CompletionItem(f"{kind}/{os.path.join(folder, entry.name)}{'/' if entry.is_dir() else ''}")
            for entry in entries
            if entry.name.startswith(name) and (name or not entry.name.startswith("."))
        ]


inventory_argument = click.argument("inventory", type=InventoryName())

_limit = click.option(
    "--limit",
    multiple=True,
    metavar="NAME,...|@FILE",
    help="Only these hosts, groups or patterns, or those that a file names; may be repeated.",
)
_exclude = click.option(
    "--exclude",
    multiple=True,
    metavar="NAME,...|@FILE",
    help="Not these hosts, groups or patterns, nor those that a file names; may be repeated.",
)


def choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options that choose some hosts of an inventory, a plan or a journal."""
    return _limit(_exclude(command))


data_option = click.option(
    "--data", multiple=True, metavar="KEY=VALUE", help="Host data that overrides the inventory's."
)
parallel_option = click.option(
    "--parallel",
    type=click.IntRange(*PARALLEL),
    default=SAFE.parallel,
    show_default=True,
    help="Hosts worked on at a time.",
)
processes_option = click.option(
    "--processes",
    type=click.IntRange(*PROCESSES),
    help="Processes that look at hosts; without it one, and for 500 hosts or more one a core, 4 at most.",
)
WIDE = "provmode.wide"
"""Whether the command was given ``--wide``, in the data of its context."""


def _keep_wide(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[WIDE] = value


def format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* ``--format``, and ``--wide`` for its text."""
    choice = click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Output format.",
    )
    wide = click.option(
        "--wide",
        is_flag=True,
        expose_value=False,
        callback=_keep_wide,
        help="Text that is not wrapped, folded or shortened, as in a pipe or file.",
    )
    return choice(wide(command))


class Allowed(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """How many hosts may be unassessed."""

    name = "N|P%"

    def convert(self, value: Any, param: Any, ctx: Any) -> Allowance:
        """Read a number, a percentage, or both."""
        return value if isinstance(value, Allowance) else Allowance.parse(value)


max_unassessed_option = click.option(
    "--max-unassessed",
    type=Allowed(),
    metavar="N|P%",
    help="Fail (exit code 4) if more hosts than this could not be assessed, for whatever cause.",
)
retry_option = click.option(
    "--retry-refused-logons",
    "retry",
    is_flag=True,
    help="Try passwords again that were refused three times in a row in earlier runs. Accounts lock.",
)
key_file_option = click.option("--key-file", type=file_path(), help="File with the key; else $PROVMODE_PLAN_KEY.")


_retry_until = click.option(
    "--retry-until",
    metavar="HH:MM",
    help="Try hosts that were off, away or slow again, until this time of day, or a date and time with its zone.",
)
_every = click.option(
    "--every", metavar="15m", help=f"How far apart these rounds begin, such as 1h or 90s; else {DEFAULT_EVERY}."
)


def retrying_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options that let it try hosts again."""
    return _retry_until(_every(command))


def retrying_of(until: str | None, every: str | None) -> Retrying | None:
    """Return until when and how often to try hosts again; ``None`` if the user did not ask for it.

    Raises:
        UsageError: one of them cannot be read, or *every* was given alone.
    """
    if until is None:
        if every is not None:
            raise UsageError(f"--every {every} says nothing without --retry-until", next_step="give both, or none")
        return None
    return Retrying(read_until(until, utc_now()), read_every(every or DEFAULT_EVERY))


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options that every run has which logs on to PCs."""
    return retry_option(parallel_option(command))


_LIMITS = ("wave", "soak", "max_failures", "parallel", "limit", "exclude", *guard_options.LIMITS)


def wave_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the waves, the time between them, the failure limit and the guards; their defaults are safe."""
    command = guard_options.guard_options(command)
    options = (
        click.option(
            "--wave",
            metavar="10,100,25%|all",
            default=SAFE.wave,
            show_default=True,
            help="Hosts in each wave; a last wave takes the rest. all: one wave.",
        ),
        click.option("--soak", type=Finite(*SOAK), default=SAFE.soak, show_default=True, help="Seconds between waves."),
        click.option(
            "--max-failures",
            metavar="5,20%|none",
            default=SAFE.max_failures,
            show_default=True,
            help="End the run if more than this many of the reached hosts fail. none: never.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def limits_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options that limit a run which changes PCs."""
    return choice_options(wave_options(command))


def limits_by_name() -> dict[str, Any]:
    """Return the limits that the user named on the command line, as fields of `provmode.fleet.waves.Limits`."""
    return _limits_from(click.core.ParameterSource.COMMANDLINE)


def usual_limits() -> Settled:
    """Return the limits where the user names none: those of the configuration file, else the safe ones."""
    from provmode.fleet.begun import usual

    return usual(_limits_from(click.core.ParameterSource.DEFAULT_MAP), configuration().path)


def _limits_from(source: click.core.ParameterSource) -> dict[str, Any]:
    context = click.get_current_context()
    return {
        name: context.params[name]
        for name in _LIMITS
        if name in context.params and context.get_parameter_source(name) is source
    }


CONFIGURATION, NAMED = "provmode.configuration", "provmode.config"
"""What the configuration file says, and the file that ``--config`` names, in the data of a command's context."""


def name_configuration(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Remember the file that ``--config`` names: before the command or as its option, which counts more."""
    if value is not None:
        context.meta[NAMED] = value


def read_configuration(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Read the configuration file, and let its values be the defaults of the command's options."""
    name_configuration(context, parameter, value)
    if context.resilient_parsing:  # a shell that completes a line
        return
    from provmode.fleet import configuration_file

    found = configuration_file.configuration(context.meta.get(NAMED))
    context.meta[CONFIGURATION] = found
    options = found.options
    if "key_file" in options:
        from provmode.fleet.plan_file import KEY_ENVIRONMENT

        if KEY_ENVIRONMENT in os.environ:  # it is nearer to the run than a file
            del options["key_file"]
    arguments = {each.name for each in context.command.params if isinstance(each, click.Argument)}
    if "inventory" not in arguments:  # the option of apply and undo means the inventory of their plan or journal
        options.pop("inventory", None)
    context.default_map = options


def config_option(read: Callable[..., None]) -> click.Option:
    """Return the option ``--config``; *read* is what it calls, also if it is not given."""
    return click.Option(
        ["--config"],
        type=file_path(),
        metavar="FILE",
        expose_value=False,
        is_eager=True,
        callback=read,
        help="Configuration file; else $PROVMODE_CONFIG, provmode.toml here, or that in /etc/provmode.",
    )


def configuration() -> Configuration:
    """Return what the configuration file says that counts for this command."""
    found: Configuration = click.get_current_context().meta.get(CONFIGURATION, Configuration())
    return found


def configured(inventory: str | InventorySource) -> str | InventorySource:
    """Return *inventory* with the policy and the host data of the configuration file, if it has any."""
    data = configuration().host_data
    if not data:
        return inventory
    from provmode.fleet.inventory import WithDefaults

    return WithDefaults(inventory, data)


def say(draw: Callable[[Console], None]) -> None:
    """Print on standard error, above a progress bar, what *draw* draws.

    If nobody can read it any more, the run goes on without it.
    """
    if sys.stderr is None:
        return
    from provmode.report.lines import Page, is_wide

    terminal = console_for(sys.stderr)
    drawn, options = io.StringIO(), {"width": terminal.width, "force_terminal": terminal.is_terminal}
    draw(Page(file=drawn, wide=is_wide(terminal), highlight=False, **options))
    screen = _Screen(sys.stderr)  # if there is a bar, rich has put itself in its place
    screen.write(drawn.getvalue())
    screen.flush()


def made_by() -> str:
    """Return who runs this, and where; in a container without a user database, the user's number."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


yes_option = click.option("--yes", is_flag=True, help="Do not ask: needed where there is no terminal.")


def has_terminal() -> bool:
    """Return whether there is a terminal to ask a question at."""
    return sys.stdin is not None and sys.stderr is not None and sys.stdin.isatty()


def confirmed(question: str, *, yes: bool) -> bool:
    """Ask *question* at the terminal, unless the user said *yes* on the command line; no answer is no.

    Without a terminal the answer is no, and a line says what to do.
    """
    if yes:
        return True
    if not has_terminal():
        complain("nothing was changed: there is no terminal to ask at; give --yes if you know what will happen")
        return False
    print(f"{visible(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    complain("nothing was changed")
    return False


@contextmanager
def looking(
    words: str, parallel: int, processes: int | None, each: Callable[[HostReport], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what a run that only looks is given: the clock, its progress (*words*), when to stop, and the looker.

    *each* gets every report as it comes.
    """
    from provmode.fleet.processes import Processes
    from provmode.fleet.progress import AndAlso
    from provmode.fleet.visit import GeventRunner

    looker = Processes(processes, parallel, GeventRunner(working=parallel))
    with interruptible(looker) as stop, progress_bar(words) as progress:
        shown = AndAlso(progress, each) if each is not None else progress
        yield {"now": utc_now, "progress": shown, "stop": stop, "looker": looker}


@contextmanager
def running(words: str, parallel: int) -> Iterator[dict[str, Any]]:
    """Yield what a run over many hosts is given: the clock, its progress (*words*), when to stop, and the runner."""
    from provmode.fleet.visit import GeventRunner

    runner = GeventRunner(working=parallel)
    with interruptible(runner) as stop, progress_bar(words) as progress:
        yield {"now": utc_now, "progress": progress, "stop": stop, "runner": runner}


@contextmanager
def interruptible(runner: Running) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C, SIGTERM or SIGHUP came. A run asks it, and stops by itself.

    Ctrl-C and SIGTERM arrive even if the parent process ignored them, as a shell does for background jobs. SIGHUP, when
    the terminal closes, does not: ``nohup`` ignores it so that the run goes on. Each further signal prints what
    *runner* waits for. All other signals keep their default action: they end the process at once, and ``--resume``
    goes on.
    """
    import gevent

    caught: list[int] = []

    def catch(number: int) -> None:
        caught.append(number)
        if len(caught) > 1:
            complain(_waiting(runner.in_progress))

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    watchers = [gevent.signal_handler(number, catch, number) for number in numbers]
    try:
        yield lambda: bool(caught)
    finally:
        for number, watcher in zip(numbers, watchers, strict=True):
            watcher.cancel()
            signal.signal(number, signal.getsignal(number))  # the event loop leaves the system's default behind


def _waiting(hosts: int) -> str:
    from provmode.report.lines import count_of

    if not hosts:
        return "interrupted; no host is in progress any more"
    return f"interrupted; waiting for {count_of(hosts)} in progress (Ctrl-\\ ends at once and leaves work half done)"


class _Screen:
    """A terminal to draw on. If it is gone, the run goes on: what is written to it is lost."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        try:
            return int(self._file.write(text))
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            pass  # as in `write`


@contextmanager
def refused_logons(*, retry: bool) -> Iterator[None]:
    """Remember over runs which passwords were refused, and say at the end which are not tried any more."""
    from provmode.fleet.refused_logons import RefusedLogons
    from provmode.transport.logons import PROCESS, notes

    memory = RefusedLogons.of_user(now=utc_now)
    try:
        with PROCESS.remembering(memory, retry=retry):
            yield
    finally:
        for note in filter(None, (*notes(), memory.trouble)):
            complain(note)


class _Bar:
    """Progress as a bar."""

    def __init__(self, bar: Any, words: str) -> None:
        self._words = words
        self._bar, self._task = bar, bar.add_task(words, total=None)

    def begin(self, hosts: int) -> None:
        self._bar.update(self._task, total=hosts)

    def ended(self, result: Any) -> None:
        self._bar.advance(self._task)

    def wave(self, number: int, waves: int, hosts: int) -> None:
        wave = f", wave {number} of {waves}" if waves > 1 else ""
        self._bar.update(self._task, description=f"{self._words}{wave}")

    def soaking(self, wave: int, waves: int, left: float) -> None:
        words = f"{self._words}, {left:.0f} s left before wave {wave} of {waves}"
        self._bar.update(self._task, description=words)

    def round(self, number: int, hosts: int) -> None:
        self._bar.update(self._task, description=f"{self._words}, round {number}", completed=0, total=hosts)

    def waiting(self, words: str) -> None:
        self._bar.update(self._task, description=words)

    def noticed(self, words: str) -> None:
        complain(words)


@contextmanager
def progress_bar(words: str) -> Iterator[Progress]:
    """Show a progress bar on standard error if it is a terminal; else print a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(file=cast(IO[str], _Screen(sys.stderr)))
    if not console.is_terminal:
        with _logged(words) as progress:
            yield progress
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar, words)


@contextmanager
def _logged(words: str) -> Iterator[Progress]:
    """Write progress to standard error as lines, also while no host ends."""
    import gevent

    from provmode.report.progress import LogProgress

    progress = LogProgress(words, complain, time.monotonic)

    def keep_looking() -> None:
        while True:
            gevent.sleep(1.0)
            progress.look()

    looking = gevent.spawn(keep_looking)
    try:
        yield progress
    finally:
        looking.kill()


def console_for(file: Any, *, wide: bool = False) -> Console:
    """Return the console for *file*; ``None`` is standard output. It is wide if asked to, and if it is no terminal."""
    from provmode.report.lines import Page

    context = click.get_current_context(silent=True)
    asked = wide or (context is not None and bool(context.meta.get(WIDE)))
    terminal = (sys.stdout if file is None else file).isatty()
    return Page(file=file, highlight=False, soft_wrap=False, wide=asked or not terminal)


@contextmanager
def printing(*, changes: bool = False) -> Iterator[None]:
    """Print a report. If its reader is gone, one line says so, and the run's own exit code stays.

    The same goes for any other error of standard output if the report is about *changes*: they were made.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        give_up_output("the report could not be written in full: its reader is gone")
    except OSError as error:
        if not changes:
            raise
        give_up_output(f"the report could not be written in full: {error.strerror or error}")


def say_if_no_name_resolves(found: Any) -> None:
    """Say on standard error why a run counts as failed, if not one of its names resolves."""
    if found.no_name_resolves:
        complain("not one of the names resolves: look at this computer's DNS, its search domains and the inventory")


def give_up_output(why: str) -> None:
    """Say *why* nothing more is printed; not even what Python would flush at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    complain(why)


def print_json(document: Any, indent: int = 1) -> None:
    """Print *document* as JSON on standard output: UTF-8, whatever the terminal's encoding is (RFC 8259, 8.1)."""
    print_parts((json_text(document, indent), "\n"))


def print_parts(parts: Iterable[str]) -> None:
    """Print JSON on standard output, part by part, as `print_json` does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.stdout.writelines(parts)


def complain(message: str) -> None:
    """Print one line on standard error. If nobody can read it any more, the run goes on without it."""
    try:
        print(f"provmode: {visible(' '.join(message.split()))}", file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
