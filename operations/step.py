"""What every operation here is made of: a step, its diff, its command; and errors that stay with their host."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Iterable
from typing import Any, ParamSpec, TypeVar

from pyinfra import host, state
from pyinfra.api import Host, OperationError, State
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from provmode.connector.commands import Survey
from provmode.errors import ProvmodeError
from provmode.reading import Reading, Unknown
from provmode.remediation.execute import Look, no_look, perform
from provmode.remediation.steps import DisarmTcf, Property, SetFile, Step
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
            said = _one_line(error)
            if not state.is_executing:
                host.log(said, logger.error)
            yield FunctionCommand(_fail, (said,), {})

    return run


def _one_line(error: Exception) -> str:
    """Return what *error* says; of one that nobody foresaw also what it is."""
    said = " ".join(str(error).split())
    foreseen = isinstance(error, (OperationError, ProvmodeError, ValueError, OSError))
    return said if foreseen else f"{type(error).__name__}: {said}"


def _fail(state: State, host: Host, said: str) -> bool:
    host.log(said, logger.error)
    return False


def told(reading: Reading[T], what: str) -> Reading[T]:
    """Return *reading* if it was told.

    Raises:
        OperationError: it could not be told; nothing is changed on what is not known.
    """
    if isinstance(reading, Unknown):
        raise OperationError(f"{what} could not be read ({reading.cause}): {reading.detail}; nothing was changed")
    return reading


def carry_out(*steps: Step, data: bytes | None = None, look: Look = no_look) -> Commands:
    """Show what all the steps change, then yield their commands: a dry run goes no further than the first of them.

    *data* are the bytes of a `SetFile`; *look* is the last look before a `SetMode`.
    """
    for step in steps:
        show(step.properties, shown_diff(step))
    for step in steps:
        yield Perform(step, data=data, look=look)


def shown_diff(step: Step) -> tuple[str, ...]:
    """Return the step's unified diff; that of a `MobileClient.TCF` says the encoding, which stays as it is."""
    if isinstance(step, DisarmTcf):
        return (f"encoding: {step.encoding}", *step.diff)
    return step.diff if isinstance(step, SetFile) else ()


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


class Perform(Survey):
    """A step that changes the PC: what is there is checked, changed and read back.

    Its text is the step's operations; where they cannot be written down (bytes for a script) it is the step in words.
    """

    def __init__(self, step: Step, *, data: bytes | None = None, look: Look = no_look) -> None:
        self.step = step
        super().__init__(lambda: perform(step, data=data, look=look), step.operations)
        if not step.operations:
            self.bits = (f"# {'; '.join(str(item) for item in step.properties)}",)
