"""What the commands of the command line share: options, interruption, progress, consoles, data from ``KEY=VALUE``."""

from __future__ import annotations

import io
import json
import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from provmode.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

EXIT_CODES = """\b
Exit codes:
  0  all compliant
  2  changes pending
  4  failed on some host
  6  changes pending and failed
  8  nothing pending, but some hosts not assessed
  1  provmode's own error or bad usage
  130  interrupted"""


APPLY_EXIT_CODES = """\b
Exit codes:
  0  everything planned is done, or was so already
  2  some hosts were stale, or their turn did not come: plan anew
  3  the plan was refused whole: expired, changed, or not signed with this key
  4  a change failed
  6  both 2 and 4
  8  nothing failed, but some hosts were not reached
  1  provmode's own error or bad usage
  130  interrupted"""


UNDO_EXIT_CODES = """\b
Exit codes:
  0  everything that can be restored is restored, or was so already
  2  something was changed since and left as it is, or a host's turn did not come
  4  restoring failed on some host
  6  both 2 and 4
  8  nothing failed, but some hosts were not reached
  1  provmode's own error or bad usage, a damaged journal
  130  interrupted"""

VERIFY_EXIT_CODES = """\b
Exit codes:
  0  every line is there, as it was written
  2  every line that is there is as it was written, and the last run or undo did not come to its end
  1  a line was changed, added or taken out, or the journal cannot be read"""


class Finite(click.FloatRange):
    """A number in a range; NaN is in none."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Refuse what compares with nothing."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number of this range", param, ctx)
        return number


parallel_option = click.option(
    "--parallel", type=click.IntRange(1, 1000), default=64, show_default=True, help="Hosts worked on at a time."
)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question: the run ends by itself, with what is known so far."""
    import gevent

    caught: list[int] = []
    watchers = [gevent.signal_handler(number, caught.append, number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield lambda: bool(caught)
    finally:
        for watcher in watchers:
            watcher.cancel()


@contextmanager
def progress_bar(words: str, total: int) -> Iterator[Callable[[Any], None]]:
    """Show how far the run is, on a terminal's standard error; elsewhere say nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done: bar.advance(task)


def console_for(file: Any) -> Console:
    """Return the console for *file*; ``None`` is standard output."""
    from rich.console import Console

    return Console(file=file, highlight=False, soft_wrap=False)


def print_json(document: Any, indent: int = 1) -> None:
    """Print *document* as JSON on standard output: UTF-8, whatever the terminal's encoding is (RFC 8259, section 8.1).

    A lone surrogate, from a name that is no Unicode, is written as the escape that JSON has for it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    print(json.dumps(document, indent=indent, ensure_ascii=False))


def read_override(data: tuple[str, ...]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` pairs; numbers, booleans and JSON are taken as such, as pyinfra does.

    Raises:
        UsageError: a pair without ``=``, or a key that is none of ours.
    """
    from provmode.connector.host_data import KEYS, OTHER_KEYS, nearest_key

    override: dict[str, Any] = {}
    for pair in data:
        key, sign, value = pair.partition("=")
        if not sign:
            raise UsageError(f"--data {key} has no value", next_step="write --data KEY=VALUE")
        if key not in KEYS and key not in OTHER_KEYS:
            raise UsageError(f"--data {key}: there is no such key", next_step=nearest_key(key))
        try:
            override[key] = json.loads(value)
        except ValueError:
            override[key] = value
    return override
