"""What every operation here is made of: a step, its diff, its command; and errors that stay with their host."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Iterable
from typing import Any, ParamSpec, TypeVar

from pyinfra import host, state
from pyinfra.api import Host, OperationError, State
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from provmode.commands import Perform
from provmode.errors import ProvmodeError
from provmode.reading import Reading, Unknown
from provmode.remedy.steps import Property, Step

P = ParamSpec("P")
T = TypeVar("T")
Commands = Generator[PyinfraCommand, None, None]

logger = logging.getLogger("pyinfra")


def isolated(body: Callable[P, Commands]) -> Callable[P, Commands]:
    """Keep an operation's errors with their host; pyinfra would end the run for every host.

    A host that has failed already (a fact could not be read) is left out: pyinfra would go on with the fact's default.
    """

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> Commands:
        try:
            yield from body(*args, **kwargs)
        except (OperationError, ProvmodeError, ValueError, OSError) as error:
            said = " ".join(str(error).split())
            yield FunctionCommand(_fail, (said,), {})

    return run


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


def carry_out(step: Step, *, data: bytes | None = None) -> Commands:
    """Show the step's diff, then yield the command that carries it out."""
    show(step.properties, getattr(step, "diff", ()))
    yield Perform(step, data=data)


def show(properties: Iterable[Property], diff: Iterable[str] = ()) -> None:
    """Print what changes, property by property, and a file's diff, where pyinfra was asked for diffs."""
    if not state.config.DIFF:
        return
    for item in properties:
        host.log(f"{item.name}")
        host.log_styled(f"  - {item.before}", fg="red")
        host.log_styled(f"  + {item.after}", fg="green")
    for line in diff:
        colour: dict[str, Any] = {"+": {"fg": "green"}, "-": {"fg": "red"}}.get(line[:1], {})
        host.log_styled(f"    {line}", **colour)
