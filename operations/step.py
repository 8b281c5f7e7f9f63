"""What every operation here is made of: a step, its diff, its command; and errors that stay with their host."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Iterable
from typing import Any, ParamSpec, TypeVar

from pyinfra import host, state
from pyinfra.api import Host, OperationError, State
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from provmode.connector.commands import ConversationCommand
from provmode.errors import ProvmodeError
from provmode.reading import Reading, Unknown
from provmode.remediation.execute import Look, execute, no_look
from provmode.remediation.steps import Property, Step
from provmode.text import visible

P = ParamSpec("P")
T = TypeVar("T")
Commands = Generator[PyinfraCommand, None, None]

logger = logging.getLogger("pyinfra")


def isolated(body: Callable[P, Commands]) -> Callable[P, Commands]:
    """Keep an operation's errors with their host; pyinfra would end the run for every host.

    The operation then fails on this host, in one line; a dry run, which carries nothing out, says the line at once.
    """

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> Commands:
        try:
            yield from body(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this host alone
            message = _one_line(error)
            if not state.is_executing:
                host.log(message, logger.error)
            yield FunctionCommand(_fail, (message,), {})

    return run


def _one_line(error: Exception) -> str:
    """Return the error's message; for an error that nobody foresaw, with its type."""
    message = " ".join(str(error).split())
    foreseen = isinstance(error, (OperationError, ProvmodeError, ValueError, OSError))
    return message if foreseen else f"{type(error).__name__}: {message}"


def _fail(state: State, host: Host, message: str) -> bool:
    host.log(message, logger.error)
    return False


def known_or_absent(reading: Reading[T], what: str) -> Reading[T]:
    """Return *reading* if it is known or known to be absent.

    Raises:
        OperationError: it could not be read, and what is not known is not changed.
    """
    if isinstance(reading, Unknown):
        raise OperationError(f"{what} could not be read ({reading.cause}): {reading.detail}; nothing was changed")
    return reading


def carry_out(*steps: Step, data: bytes | None = None, look: Look = no_look) -> Commands:
    """Show what all the steps change, then yield their commands: a dry run goes no further than the first of them.

    *data* are the bytes of a `SetFile`; *look* is the last look before a `SetMode`.
    """
    for step in steps:
        show(step.properties, diff_lines(step))
    for step in steps:
        yield StepCommand(step, data=data, look=look)


def diff_lines(step: Step) -> tuple[str, ...]:
    """Return the step's unified diff; that of a `MobileClient.TCF` says the encoding, which stays as it is."""
    encoding = (f"encoding: {step.diff_encoding()}",) if step.diff_encoding() else ()
    return (*encoding, *step.text_diff())


def show(properties: Iterable[Property], diff: Iterable[str] = ()) -> None:
    """Print what changes, property by property, and a file's diff, where pyinfra was asked for diffs."""
    if not state.config.DIFF:
        return
    for item in properties:
        host.log(f"{item.name}")
        host.log_styled(visible(f"  - {item.before}"), fg="red")
        host.log_styled(visible(f"  + {item.after}"), fg="green")
    for line in diff:
        colour: dict[str, Any] = {"+": {"fg": "green"}, "-": {"fg": "red"}}.get(line[:1], {})
        host.log_styled(visible(f"    {line}"), **colour)


class StepCommand(ConversationCommand):
    """A step that changes the PC: what is there is checked, changed and read back.

    Its text is the step's operations. If they cannot be written down (bytes for a script), it is the step in words.
    """

    def __init__(self, step: Step, *, data: bytes | None = None, look: Look = no_look) -> None:
        self.step = step
        super().__init__(lambda: execute(step, data=data, look=look), step.operations)
        if not step.operations:
            self.bits = (f"# {'; '.join(str(item) for item in step.properties)}",)
