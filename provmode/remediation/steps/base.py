"""What every kind of step is: one change of one thing on one PC, as a value.

A step contains the state that it expects and the state after it. So it can be shown, written into a plan, carried out
only on the state that was seen, read back, journaled and undone.

To add a kind of step, write a class here beside the others and put `register` above it. Everything else asks the class:

* `Step.properties`, `Step.operations`, `Step.text_diff`: what reports show;
* `Step.execute`: check, change, read back;
* `Step.clean_up`: what to delete after a run that was ended in the middle of it;
* `Step.undo`: the step that restores the state before, if there is one;
* `Step.plan_fields`: its fields in a plan, for the plan's reader and for ``docs/plan.schema.json``;
* `Step.to_json` and `Step.from_fields`: its form in plans and journals;
* `Step.still_done`: whether a client still shows what the step did;
* `Step.shown_after`: what a client would show after it.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from provmode.ccm.model import ClientReadings
from provmode.errors import HostError
from provmode.fields import Field
from provmode.windows.conversation import Conversation
from provmode.wsman import Operation

About = Literal["client", "traces", "packages"]
CLIENT: About = "client"
"""It brings the client into compliance."""
TRACES: About = "traces"
"""It removes what provmode itself left."""
PACKAGES: About = "packages"
"""It is about provisioning packages."""

Ending = Literal["changed", "already"]
CHANGED: Ending = "changed"
"""It was changed, and read back."""
ALREADY: Ending = "already"
"""The state was as wanted before. Nothing was sent that changes the PC."""

Work = Conversation[Ending]
Announce = Callable[[Any], None]
"""Called right before a change is sent, with the current bytes of the file (``None`` if the step changes no file). The
journal writes its line here; if it cannot, it raises, and nothing is sent."""
Look = Callable[[], Conversation[None]]
"""A last look right before each call of the client's method. It raises if the PC must not be touched."""

PAUSES = (*(1.0,) * 12, *(2.0,) * 4, *(5.0,) * 20)
"""Seconds between looks while a service or the client comes back: about two minutes in all."""


def no_look() -> Conversation[None]:
    """Do not look again."""
    yield from ()


class StaleStep(HostError):
    """The state is not the one that the step expects: somebody changed it since. We changed nothing."""


class OvertakenStep(StaleStep):
    """The wanted state appeared after we journaled the step, but not in reply to our request: somebody else made it."""


class NotProved(HostError):
    """The change was sent, and reading back does not show it."""


def stale(what: str, expected: str, found: str) -> StaleStep:
    """Return the error for *what* that is *found* instead of *expected*."""
    return StaleStep(f"{what} is {found}, not {expected} as it was", next_step="look again and plan anew")


def not_proved(what: str, expected: str, found: str) -> NotProved:
    """Return the error for *what* that is *found* after it was changed to *expected*."""
    return NotProved(f"{what} is {found} after the change, not {expected}", next_step="look at the PC, then try again")


@dataclass(frozen=True)
class Property:
    """One line of a diff."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return ``name before -> after``."""
        return f"{self.name} {self.before} -> {self.after}"


@dataclass(frozen=True)
class Step(ABC):
    """One change of one thing."""

    kind: ClassVar[str]
    """Its name in plans and journals."""
    plan_fields: ClassVar[Mapping[str, Field] | None] = None
    """The fields it has in a plan, without ``kind``; ``None`` if a plan never has this kind of step."""
    plan_description: ClassVar[str] = ""
    """What it does, for the schema of plans."""
    only_after_changes: ClassVar[bool] = False
    """Whether it is left out on a host on which nothing was changed before it."""
    about: ClassVar[About] = CLIENT
    """What it is for. Only a step that is about the client depends on the verdict on it."""
    in_words: ClassVar[str] = ""
    """How it is done, if there are no operations that can be pasted into a Windows prompt."""

    @property
    @abstractmethod
    def properties(self) -> tuple[Property, ...]:
        """What changes, with its state before and after."""

    @property
    @abstractmethod
    def operations(self) -> tuple[Operation, ...]:
        """The operations that change the PC, as far as they can be shown."""

    @property
    def source(self) -> tuple[str, str] | None:
        """Path and SHA-256 of the file of this computer whose bytes it needs; ``None`` if it needs none."""
        return None

    @property
    @abstractmethod
    def undo(self) -> Step | None:
        """The step that restores the state before; ``None`` if this step cannot be undone."""

    @property
    def undo_leaves(self) -> str:
        """What stays as it is although `undo` is carried out, in words; empty if nothing does."""
        return ""

    @abstractmethod
    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Return the conversation that carries it out: see `provmode.remediation.execute`."""

    def clean_up(self) -> Conversation[None]:
        """Delete what an earlier run left on the PC that announced this step and was ended in the middle of it.

        Raises:
            HostError: it stays.
        """
        yield from ()

    def text_diff(self) -> tuple[str, ...]:
        """Return the unified diff, if the step changes a text file."""
        return ()

    def diff_encoding(self) -> str:
        """Return what the diff is about: the encoding of the file in it, if it is known."""
        return ""

    def still_done(self, client: ClientReadings) -> bool:
        """Return whether *client* still shows the state after this step; true if *client* does not show it at all."""
        return True

    def shown_after(self, client: ClientReadings, data: bytes | None) -> ClientReadings | None:
        """Return what *client* would show after this step, which writes *data* if it writes a file.

        ``None``: the readings do not tell.
        """
        return None

    def to_json(self) -> dict[str, Any]:
        """Return ``kind`` and the fields."""
        document: dict[str, Any] = {"kind": self.kind}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            document[field.name] = value.to_json() if hasattr(value, "to_json") else _as_list(value)
        return document

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Step:
        """Read back the fields that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: they are not the fields of this kind.
        """
        return cls(**fields)


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


KINDS: dict[str, type[Step]] = {}
"""Every kind of step by its name."""

S = TypeVar("S", bound=type[Step])


def register(step: S) -> S:
    """Make a kind of step known to plans and journals."""
    KINDS[step.kind] = step
    return step


def step_from_json(document: dict[str, Any]) -> Step:
    """Read back what `Step.to_json` wrote.

    Raises:
        ValueError: it is not a step.
    """
    fields = dict(document)
    step = KINDS.get(str(fields.pop("kind", None)))
    if step is None:
        raise ValueError(f"{document.get('kind')!r} is not a kind of step")
    try:
        return step.from_fields(fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"a step of kind {document['kind']!r}: {type(error).__name__}: {error}") from None
