"""The base of every fact: a conversation with the PC that results in one JSON document.

A subclass defines two things: the conversation (`command`, from a generator of typed operations), and how to read its
JSON form back (`read`). Conversations have no socket and no clock, so tests need neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError
from typing_extensions import override

from provmode.connector.commands import ConversationCommand
from provmode.errors import UsageError
from provmode.reading import Reading, Unknown, from_json
from provmode.windows.conversation import Conversation
from provmode.wsman.operations import Operation

T = TypeVar("T")


class ConversationFact(FactBase[T]):
    """A fact that a conversation reads. ``command`` returns ``self.converse(...)``."""

    @override
    @staticmethod
    def default() -> Any:
        """Return the answer for a host that could not be asked: `Unknown`."""
        return Unknown("not-asked", "the PC was not reached or the command failed; its error is above")

    def converse(self, converse: Callable[[], Conversation[Any]], *begins_with: Operation) -> ConversationCommand:
        """Return the command for a conversation; its printed text shows *begins_with*."""
        return ConversationCommand(converse, begins_with)

    def refused(self, error: ValueError) -> ConversationCommand:
        """Return the command for invalid arguments: it sends nothing and fails with *error*, in one line.

        An exception from ``command`` itself would end pyinfra's run for every host, with a traceback.
        """

        def refuse() -> Conversation[Any]:
            raise UsageError(str(error))
            yield  # makes this a generator

        return ConversationCommand(refuse, ())

    def read(self, document: Any) -> T:
        """Rebuild the fact's value from its JSON form.

        Raises:
            ValueError: *document* does not have that form.
        """
        raise NotImplementedError

    @override
    def process(self, output: Sequence[str]) -> T:
        """Read the JSON document back; raise ``FactProcessError``, the only error that pyinfra keeps to the host."""
        try:
            return self.read(json.loads(output[0]))
        except (ValueError, KeyError, TypeError) as error:
            raise FactProcessError(f"{type(self).__name__}: not the expected answer ({error})") from None


class ReadingFact(ConversationFact[Reading[T]]):
    """A fact whose value is a `Reading`: known, known absent, or could not tell."""

    def value(self, document: Any) -> T:
        """Rebuild the known value from its JSON form; unchanged unless a fact overrides this."""
        known: T = document
        return known

    @override
    def read(self, document: Any) -> Reading[T]:
        return from_json(document, self.value)
