"""Typed pyinfra commands: what facts and operations hand to the ``@winrm`` connector.

Each is a ``StringCommand`` whose text is the notation of Windows' own ``winrm`` tool, so that what pyinfra prints
can be read by an admin and pasted into a Windows prompt; the connector executes the typed form, not the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyinfra.api.command import StringCommand

from provmode.windows.conversation import Conversation
from provmode.wsman.notation import describe, format_operation
from provmode.wsman.operations import CommandLine, Operation


class OperationCommand(StringCommand):
    """One operation; the answer is one JSON document a line."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        super().__init__(text(operation))


class ConversationCommand(StringCommand):
    """A conversation with the PC: several operations, each depending on the answers before it.

    *converse* starts it; what it returns (by its ``to_json``) is printed as one JSON document. *begins_with* are
    the operations that every such conversation asks; they are its text.
    """

    def __init__(self, converse: Callable[[], Conversation[Any]], begins_with: Sequence[Operation]) -> None:
        self.converse = converse
        super().__init__(*(text(operation) for operation in begins_with), _separator=" ; ")


def text(operation: Operation) -> str:
    """Return the notation of *operation*, or words for it where the notation cannot write it down."""
    if isinstance(operation, CommandLine):
        return operation.line
    try:
        return format_operation(operation)
    except ValueError:
        return f"# {describe(operation)} (the winrm tool cannot write this)"
