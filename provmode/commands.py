"""Typed pyinfra commands: what facts and operations hand to the ``@winrm`` connector.

Each is a ``StringCommand`` whose text is the notation of Windows' own ``winrm`` tool, so that what pyinfra prints
can be read by an admin and pasted into a Windows prompt; the connector executes the typed form, not the text.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Union

from pyinfra.api.command import StringCommand

from provmode.notation import describe, format_operation
from provmode.remedy.perform import Look, no_look, perform
from provmode.remedy.steps import Step
from provmode.waiting import Pause
from provmode.wsman.operations import CommandLine, Operation

Conversation = Generator[Union[Operation, Pause], Any, Any]
"""Yields operations (and pauses), receives their answers; a fault of the PC is thrown in as `RemoteFault` or
`AccessDenied`. What it returns is the result. No clock, socket or random in it."""


class Ask(StringCommand):
    """One operation; the answer is one JSON document a line."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        super().__init__(text(operation))


class Survey(StringCommand):
    """A conversation with the PC: several operations, each depending on the answers before it.

    *converse* starts it; what it returns (by its ``to_json``) is printed as one JSON document. *begins_with* are
    the operations that every such conversation asks; they are its text.
    """

    def __init__(self, converse: Callable[[], Conversation], begins_with: Sequence[Operation]) -> None:
        self.converse = converse
        super().__init__(*(text(operation) for operation in begins_with), _separator=" ; ")


class Perform(Survey):
    """A step that changes the PC: what is there is checked, changed and read back.

    Its text is the step's operations; where they cannot be written down (bytes for a script) it is the step in words.
    """

    def __init__(self, step: Step, *, data: bytes | None = None, look: Look = no_look) -> None:
        self.step = step
        super().__init__(lambda: perform(step, data=data, look=look), step.operations)
        if not step.operations:
            self.bits = (f"# {'; '.join(str(item) for item in step.properties)}",)


def text(operation: Operation) -> str:
    """Return the notation of *operation*, or words for it where the notation cannot write it down."""
    if isinstance(operation, CommandLine):
        return operation.line
    try:
        return format_operation(operation)
    except ValueError:
        return f"# {describe(operation)} (the winrm tool cannot write this)"
