"""What all operations share: steps with their diffs and commands, and errors that affect only their host."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from pyinfra import host, state
from pyinfra.api import Host, OperationError, State
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from provmode.connector.commands import LeasedCommand
from provmode.connector.run_lease import LEASE, RunLease
from provmode.errors import ProvmodeError
from provmode.reading import Reading, Unknown
from provmode.remediation.execute import Look, execute, no_look
from provmode.remediation.steps import Property, Step
from provmode.remediation.steps.base import PACKAGES
from provmode.text import visible
from provmode.windows.conversation import Conversation

P = ParamSpec("P")
T = TypeVar("T")
Commands = Generator[PyinfraCommand, None, None]

logger = logging.getLogger("pyinfra")


def isolated(body: Callable[P, Commands]) -> Callable[P, Commands]:
    """Keep an operation's errors to their host; pyinfra would end the run for every host.

    The operation then fails on this host with one line. A dry run carries nothing out, so it prints the line at once.
    """

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> Commands:
        try:
            yield from body(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns only this host
            message = _one_line(error)
            if not state.is_executing:
                host.log(message, logger.error)
            yield FunctionCommand(_fail, (message,), {})

    return run


def _one_line(error: Exception) -> str:
    """Return the error's message, with the type for an unexpected error."""
    message = " ".join(str(error).split())
    expected = isinstance(error, (OperationError, ProvmodeError, ValueError, OSError))
    return message if expected else f"{type(error).__name__}: {message}"


def _fail(state: State, host: Host, message: str) -> bool:
    host.log(message, logger.error)
    return False


def known_or_absent(reading: Reading[T], what: str) -> Reading[T]:
    """Return *reading* if it is known or known to be absent.

    Raises:
        OperationError: it could not be read, and unknown values are not changed.
    """
    if isinstance(reading, Unknown):
        raise OperationError(f"{what} could not be read ({reading.cause}): {reading.detail}; nothing was changed")
    return reading


def carry_out(*steps: Step, data: bytes | None = None, look: Look = no_look) -> Commands:
    """Show what all the steps change, then yield their commands; a dry run stops at the first command.

    *data* are the bytes for a `SetFile`; *look* is the last check before a `SetMode`.
    """
    for step in steps:
        show(step.properties, diff_lines(step))
    for step in steps:
        yield StepCommand(step, data=data, look=look)


def diff_lines(step: Step) -> tuple[str, ...]:
    """Return the step's diff after what it is about; of a `MobileClient.TCF` that is the encoding, which is kept."""
    about = f"({step.diff_encoding()})" if step.about is PACKAGES else f"encoding: {step.diff_encoding()}"
    return (about, *step.text_diff()) if step.diff_encoding() else step.text_diff()


def show(properties: Iterable[Property], diff: Iterable[str] = ()) -> None:
    """If pyinfra was asked for diffs, print what changes, property by property, and a file's diff."""
    if not state.config.DIFF:
        return
    for item in properties:
        host.log(f"{item.name}")
        host.log_styled(visible(f"  - {item.before}"), fg="red")
        host.log_styled(visible(f"  + {item.after}"), fg="green")
    for line in diff:
        colour: dict[str, Any] = {"+": {"fg": "green"}, "-": {"fg": "red"}}.get(line[:1], {})
        host.log_styled(visible(f"    {line}"), **colour)


class StepCommand(LeasedCommand):
    """A step that changes the PC: it checks the current state, changes it and reads it back, under the lease on the PC.

    The command's text is the step's operations. If a step has none to show (bytes for a script), the text describes the
    step in words.
    """

    def __init__(self, step: Step, *, data: bytes | None = None, look: Look = no_look) -> None:
        self.step = step

        def converse(held: Look) -> Conversation[Any]:
            def last_look() -> Conversation[None]:
                yield from look()
                yield from held()

            return execute(step, data=data, look=last_look)

        super().__init__(converse, step.operations)
        if not step.operations:
            self.bits = (f"# {'; '.join(str(item) for item in step.properties)}",)


@contextmanager
def one_lease() -> Iterator[None]:
    """Have all operations in the block share one lease on the PC, from the first change to the last operation."""
    lease = host.connector_data.get(LEASE)
    if not isinstance(lease, RunLease):
        yield  # not a PC of ours: its operations fail by themselves
    elif state.is_executing:
        with lease.shared():
            yield
    else:
        before = len(host.op_hash_order)
        yield
        lease.share(host.op_hash_order[before:])
