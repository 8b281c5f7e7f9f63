"""Typed pyinfra commands, which facts and operations give the ``@winrm`` connector.

Each is a ``StringCommand``. Its text is in the notation of Windows' own ``winrm`` tool, so that an admin can read what
pyinfra prints and paste it into a Windows prompt. The connector executes the typed form, not the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyinfra.api.command import StringCommand

from provmode.windows.conversation import Conversation
from provmode.wsman.notation import describe, format_operation
from provmode.wsman.operations import CommandLine, Operation


class OperationCommand(StringCommand):
    """One operation; the answer is one JSON document per line."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        super().__init__(text(operation))


class ConversationCommand(StringCommand):
    """A conversation with the PC: several operations, each of which depends on the answers before it.

    *converse* starts the conversation; its result is printed as one JSON document (by its ``to_json``). *begins_with*
    are the operations that every such conversation sends; they are the command's text.
    """

    def __init__(self, converse: Callable[[], Conversation[Any]], begins_with: Sequence[Operation]) -> None:
        self.converse = converse
        super().__init__(*(text(operation) for operation in begins_with), _separator=" ; ")


class LeasedCommand(StringCommand):
    """A conversation that changes the PC: it is only carried out while this run has the lease on the PC.

    *converse* starts the conversation. It is given the look whether the lease is still held by this run alone, for a
    last moment before a change that cannot be undone. *begins_with* as for a `ConversationCommand`.
    """

    def __init__(
        self,
        converse: Callable[[Callable[[], Conversation[None]]], Conversation[Any]],
        begins_with: Sequence[Operation],
    ) -> None:
        self.converse = converse
        super().__init__(*(text(operation) for operation in begins_with), _separator=" ; ")


def text(operation: Operation) -> str:
    """Return *operation* in the notation, or described in words if the notation cannot express it."""
    if isinstance(operation, CommandLine):
        return operation.line
    try:
        return format_operation(operation)
    except ValueError:
        return f"# {describe(operation)} (the winrm tool cannot write this)"
