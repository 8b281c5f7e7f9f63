"""What a script is made of, once it is parsed. Source: "Windows PowerShell Language Specification 3.0"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Literal:
    """A number or a string without variables."""

    value: object


@dataclass(frozen=True)
class Variable:
    """``$name``."""

    name: str


@dataclass(frozen=True)
class Expandable:
    """A double-quoted string: pieces of text and variables."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Hashtable:
    """``@{ name = value; ... }``."""

    pairs: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Member:
    """``object.Name`` or ``object.Name(arguments)``."""

    target: Node
    name: str
    arguments: tuple[Node, ...] | None


@dataclass(frozen=True)
class Static:
    """``[Type]::Name`` or ``[Type]::Name(arguments)``."""

    type: str
    name: str
    arguments: tuple[Node, ...] | None


@dataclass(frozen=True)
class Binary:
    """``left -eq right`` and the like."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Not:
    """``-not x`` or ``!x``."""

    operand: Node


@dataclass(frozen=True)
class Command:
    """``Name argument -Switch``."""

    name: str
    arguments: tuple[Node, ...]
    switches: tuple[str, ...]
    elements: tuple[tuple[str, Node | None], ...] = ()
    """Arguments and switches in order: an argument has no name, a switch no value unless it is behind a colon."""


@dataclass(frozen=True)
class Pipeline:
    """``value | Command``: the value is the input of the command."""

    value: Node
    command: Command


@dataclass(frozen=True)
class Array:
    """``@(value)``: a list, whatever the value is."""

    value: Node


@dataclass(frozen=True)
class Cast:
    """``[type]value``."""

    type: str
    value: Node


@dataclass(frozen=True)
class ForEach:
    """``foreach ($name in values) { ... }``."""

    name: str
    values: Node
    body: Block


@dataclass(frozen=True)
class Assignment:
    """``$x = value`` or ``$x.name = value``."""

    target: Node
    value: Node


@dataclass(frozen=True)
class If:
    """``if`` with its ``elseif`` branches and ``else``."""

    branches: tuple[tuple[Node, Block], ...]
    otherwise: Block


@dataclass(frozen=True)
class Try:
    """``try`` with ``catch`` and ``finally``."""

    body: Block
    handler: Block | None
    cleanup: Block


@dataclass(frozen=True)
class FlowControl:
    """``throw``, ``exit`` or ``return``."""

    word: str
    value: Node | None


_Value = Union[Literal, Variable, Expandable, Hashtable, Member, Static, Binary, Not, Command, Pipeline, Array, Cast]
Node = Union[_Value, Assignment, If, Try, FlowControl, ForEach]
Block = tuple[Node, ...]
