"""The base of every fact here: a conversation with the PC whose result is one JSON document.

A subclass says two things: the conversation (`converse`, a generator of typed operations) and how its JSON form is
read back (`read`). Conversations hold no socket and no clock, so they are tested without either.
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
    """A fact that is read by a conversation. ``command`` returns ``self.converse(...)``."""

    @override
    @staticmethod
    def default() -> Any:
        """Return the answer of a host that could not be asked: could not tell."""
        return Unknown("not-asked", "the PC was not reached or the command failed; its error is above")

    def converse(self, converse: Callable[[], Conversation[Any]], *begins_with: Operation) -> ConversationCommand:
        """Return the command for a conversation; *begins_with* is what its printed text shows."""
        return ConversationCommand(converse, begins_with)

    def refused(self, error: ValueError) -> ConversationCommand:
        """Return the command for arguments that make no sense: it sends nothing and fails with *error*, one line.

        Raised from ``command`` itself it would end pyinfra's run for every host, with a traceback.
        """

        def refuse() -> Conversation[Any]:
            raise UsageError(str(error))
            yield  # a conversation that never asks

        return ConversationCommand(refuse, ())

    def read(self, document: Any) -> T:
        """Rebuild the fact's value from its JSON form.

        Raises:
            ValueError: it is not that form.
        """
        raise NotImplementedError

    @override
    def process(self, output: Sequence[str]) -> T:
        """Read the one JSON document back; pyinfra contains only ``FactProcessError``."""
        try:
            return self.read(json.loads(output[0]))
        except (ValueError, KeyError, TypeError) as error:
            raise FactProcessError(f"{type(self).__name__}: not the expected answer ({error})") from None


class ReadingFact(ConversationFact[Reading[T]]):
    """A fact whose value is a `Reading`: known, known absent, or could not tell."""

    def value(self, document: Any) -> T:
        """Rebuild the known value from its JSON form; as it is, unless a fact says otherwise."""
        known: T = document
        return known

    @override
    def read(self, document: Any) -> Reading[T]:
        return from_json(document, self.value)
