"""The language of a cmd.exe line: variables, quotes, ``&``, ``&&``, ``||``, parentheses, ``if``, ``for``, redirections.

Sources: Microsoft, "cmd" and "Using command redirection operators"; precedence as in cmd.exe: ``&`` binds
least, then ``||``, then ``&&``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Union


class SyntaxProblem(ValueError):
    """The line is not valid for cmd.exe; the message is the unexpected token."""


@dataclass(frozen=True)
class Redirection:
    """``>file``, ``2>nul``, ``>>file``, ``2>&1``."""

    handle: int
    target: str
    append: bool = False


@dataclass(frozen=True)
class Simple:
    """One command with its arguments as written."""

    name: str
    rest: str
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True)
class Group:
    """``( ... )`` with its redirections."""

    inner: Node
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True)
class Joined:
    """Commands joined by ``&``, ``&&``, ``||`` or ``|``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class If:
    """``if [not] exist PATH ...``, ``if [not] errorlevel N ...`` or ``if [not] A==B ...`` with an optional else."""

    negated: bool
    exist: str | None
    equal: tuple[str, str] | None
    then: Node
    otherwise: Node | None = None
    errorlevel: int | None = None


@dataclass(frozen=True)
class For:
    """``for %X in (A B C) do ...``; *counted*: ``for /l``, whose three items are start, step and end."""

    variable: str
    items: tuple[str, ...]
    counted: bool
    body: Node
    quiet: bool = False
    """The body begins with ``@``: it is not shown."""


Node = Union[Simple, Group, Joined, If, For]


def expand(line: str, variables: Mapping[str, str]) -> str:
    """Replace ``%NAME%``; on a command line an unknown name stays, and its second ``%`` may begin another."""
    out, at = [], 0
    while (found := _VARIABLE.search(line, at)) is not None:
        value = variables.get(found.group(1).lower())
        out += [line[at : found.start()], "%" if value is None else value]
        at = found.start() + 1 if value is None else found.end()
    return "".join([*out, line[at:]])


_VARIABLE = re.compile(r"%([^%\s=]+)%")


@dataclass
class _Reader:
    """A line, and how far it is parsed."""

    text: str
    at: int = 0
    depth: int = field(default=0)
    conditions: int = field(default=0)


_OPERATORS = ("&&", "||", "&", "|", ")")


@lru_cache(maxsize=256)  # a fleet is asked the same everywhere, and nodes do not change
def parse(line: str) -> Node:
    """Return the commands of a line.

    Raises:
        SyntaxProblem: an operator without a command, an unclosed parenthesis, nesting beyond reason.
    """
    reader = _Reader(line)
    node = _sequence(reader)
    _skip_blanks(reader)
    if reader.at < len(reader.text):
        raise SyntaxProblem(reader.text[reader.at])
    return node


def _skip_blanks(reader: _Reader) -> None:
    while reader.at < len(reader.text) and reader.text[reader.at] in " \t,;=":
        reader.at += 1


def _operator(reader: _Reader) -> str:
    _skip_blanks(reader)
    return next((sign for sign in _OPERATORS if reader.text.startswith(sign, reader.at)), "")


def _sequence(reader: _Reader) -> Node:
    reader.depth += 1
    if reader.depth > 40:
        raise SyntaxProblem("(")
    node = _body(reader)
    reader.depth -= 1
    return node


def _body(reader: _Reader) -> Node:
    """Read commands up to the end of the line or the parenthesis: all of it is the body of a loop or of an ``if``."""
    node = _or_chain(reader)
    while _operator(reader) == "&":
        reader.at += 1
        if not _operator(reader) and reader.at < len(reader.text):
            node = Joined("&", node, _or_chain(reader))
        elif _operator(reader) not in ("", ")"):
            raise SyntaxProblem(_operator(reader))
    return node


def _or_chain(reader: _Reader) -> Node:
    node = _and_chain(reader)
    while _operator(reader) == "||":
        reader.at += 2
        node = Joined("||", node, _and_chain(reader))
    return node


def _and_chain(reader: _Reader) -> Node:
    node = _pipeline(reader)
    while _operator(reader) == "&&":
        reader.at += 2
        node = Joined("&&", node, _pipeline(reader))
    return node


def _pipeline(reader: _Reader) -> Node:
    node = _command(reader)
    while _operator(reader) == "|":
        reader.at += 1
        node = Joined("|", node, _command(reader))
    return node


def _command(reader: _Reader) -> Node:
    _skip_blanks(reader)
    while reader.text.startswith("@", reader.at):  # the command is not shown
        reader.at += 1
        _skip_blanks(reader)
    if reader.at >= len(reader.text):
        raise SyntaxProblem("")
    if reader.text[reader.at] == "(":
        reader.at += 1
        inner = _sequence(reader)
        if _operator(reader) != ")":
            raise SyntaxProblem(")")
        reader.at += 1
        redirections: list[Redirection] = []
        _skip_blanks(reader)
        while (found := _redirection(reader)) is not None:
            redirections.append(found)
            _skip_blanks(reader)
        return Group(inner, tuple(redirections))
    if _operator(reader):
        raise SyntaxProblem(_operator(reader))
    if re.match(r"@?if\s", reader.text[reader.at :], re.IGNORECASE):
        return _if(reader)
    loop = _FOR.match(reader.text, reader.at)
    if loop is not None:
        reader.at = loop.end()
        return _for(reader, loop)
    return _simple(reader)


_FOR = re.compile(r"""@?for\s+(/l\s+)?%([A-Za-z])\s+in\s*\(((?:"[^"]*"|[^)"])*)\)\s*do(?=[\s(])""", re.IGNORECASE)


def _for(reader: _Reader, head: re.Match[str]) -> Node:
    """Read the body of a loop; its head is read already."""
    items = tuple(re.findall(r'"[^"]*"|[^\s,;=]+', head.group(3)))
    counted = head.group(1) is not None
    if counted and not (len(items) == 3 and all(re.fullmatch(r"-?[0-9]{1,9}", item) for item in items)):
        raise SyntaxProblem(head.group(3)[:10])
    reader.conditions += 1
    if reader.conditions > 40:
        raise SyntaxProblem("for")
    _skip_blanks(reader)
    quiet = reader.text.startswith("@", reader.at)
    return For(head.group(2), items, counted, _body(reader), quiet)


Describe = Callable[[str, str], str]
"""Called with the modifiers of ``%~nxX`` and the value without quotes; returns what they make of it."""


def substituted(node: Node, variable: str, value: str, describe: Describe) -> Node:
    """Return *node* with a loop's variable replaced: ``%X``, ``%~X`` without quotes, ``%~nxX`` by *describe*."""
    place = re.compile(rf"%(~[adfnpstxzADFNPSTXZ]*)?{variable}")

    def one(match: re.Match[str]) -> str:
        if match.group(1) is None:
            return value
        return describe(match.group(1)[1:].lower(), value.strip('"'))

    def text(given: str) -> str:
        return place.sub(one, given)

    def again(inner: Node) -> Node:
        return substituted(inner, variable, value, describe)

    if isinstance(node, Joined):
        return Joined(node.operator, again(node.left), again(node.right))
    if isinstance(node, If):
        otherwise = again(node.otherwise) if node.otherwise is not None else None
        exist = text(node.exist) if node.exist is not None else None
        equal = (text(node.equal[0]), text(node.equal[1])) if node.equal is not None else None
        return replace(node, exist=exist, equal=equal, then=again(node.then), otherwise=otherwise)
    if isinstance(node, For):
        return replace(node, items=tuple(map(text, node.items)), body=again(node.body))
    redirections = tuple(replace(item, target=text(item.target)) for item in node.redirections)
    if isinstance(node, Group):
        return Group(again(node.inner), redirections)
    return replace(node, name=text(node.name), rest=text(node.rest), redirections=redirections)


def written(node: Node) -> str:
    """Return *node* as cmd.exe shows it before it executes it: each command with a blank behind it."""
    if isinstance(node, Joined):
        return f"{written(node.left)} {node.operator} {written(node.right)}"
    if isinstance(node, Group):
        return f"({written(node.inner)})"
    if isinstance(node, If):
        condition = f"exist {node.exist}" if node.equal is None else " == ".join(node.equal)
        condition = condition if node.errorlevel is None else f"errorlevel {node.errorlevel}"
        otherwise = f" else {written(node.otherwise)}" if node.otherwise is not None else ""
        return f"if {'not ' if node.negated else ''}{condition} {written(node.then)}{otherwise}"
    if isinstance(node, For):
        return f"for %{node.variable} in ({' '.join(node.items)}) do {written(node.body)}"
    return f"{node.name}{node.rest} "


def _if(reader: _Reader) -> Node:
    reader.at += re.match(r"@?if\s+", reader.text[reader.at :], re.IGNORECASE).end()  # type: ignore[union-attr]
    negated = _take_word(reader, "not")
    exist = equal = errorlevel = None
    if _take_word(reader, "exist"):
        exist = _argument(reader)
    elif _take_word(reader, "errorlevel"):
        number = _argument(reader)
        if not re.fullmatch(r"-?[0-9]{1,10}", number):
            raise SyntaxProblem(number[:10])
        errorlevel = int(number)
    else:
        match = re.compile(r'\s*("[^"]*"|[^\s=]+)\s*==\s*("[^"]*"|[^\s]+)').match(reader.text, reader.at)
        if match is None:
            raise SyntaxProblem(reader.text[reader.at :][:10])
        reader.at = match.end()
        equal = (match.group(1), match.group(2))
    reader.conditions += 1
    if reader.conditions > 40:
        raise SyntaxProblem("if")
    then = _body(reader)
    otherwise = _body(reader) if _take_word(reader, "else") else None
    return If(negated, exist, equal, then, otherwise, errorlevel)


def _take_word(reader: _Reader, word: str) -> bool:
    match = re.compile(rf"\s*{word}(?=[\s(])", re.IGNORECASE).match(reader.text, reader.at)
    if match is None:
        return False
    reader.at = match.end()
    return True


def _argument(reader: _Reader) -> str:
    match = re.compile(r'\s*("[^"]*"|[^\s()]+)').match(reader.text, reader.at)
    if match is None:
        raise SyntaxProblem("")
    reader.at = match.end()
    return match.group(1).strip('"')


_REDIRECTION = re.compile(r'([0-9])?(>>|>|<)[ \t]*(&[0-9]|"[^"]*"|[^\s&|<>()]+)')


def _redirection(reader: _Reader) -> Redirection | None:
    match = _REDIRECTION.match(reader.text, reader.at)
    if match is None:
        return None
    reader.at = match.end()
    handle = int(match.group(1)) if match.group(1) else (0 if match.group(2) == "<" else 1)
    return Redirection(handle, match.group(3).strip('"'), match.group(2) == ">>")


def _simple(reader: _Reader) -> Simple:
    """Read one command up to an operator outside quotes; a caret escapes the next character."""
    out: list[str] = []
    redirections: list[Redirection] = []
    quoted = False
    while reader.at < len(reader.text):
        character = reader.text[reader.at]
        if character == '"':
            quoted = not quoted
        elif not quoted and character == "^":
            reader.at += 1
            out.append(reader.text[reader.at : reader.at + 1])
            reader.at += 1
            continue
        elif (not quoted and character in "<>") or (not quoted and character.isdigit() and _is_handle(reader, out)):
            found = _redirection(reader)
            if found is None:
                raise SyntaxProblem(character)
            redirections.append(found)
            continue
        elif not quoted and (character in "&|" or (character == ")" and reader.depth > 1)):
            break
        out.append(character)
        reader.at += 1
    return _split_name("".join(out), tuple(redirections))


def _is_handle(reader: _Reader, out: list[str]) -> bool:
    """Return whether a digit here is the handle of a redirection: it is after a blank and before the arrow."""
    following = reader.text[reader.at + 1 : reader.at + 2]
    return following in ("<", ">") and following != "" and (not out or out[-1] in ' \t"')


_NAME = re.compile(r'\s*@?(?:"([^"]*)"|([^\s/,;="]+))')


def _split_name(text: str, redirections: tuple[Redirection, ...]) -> Simple:
    match = _NAME.match(text)
    if match is None:
        return Simple("", text, redirections)
    name = match.group(1) if match.group(1) is not None else match.group(2)
    rest = text[match.end() :]
    if match.group(2) and re.fullmatch(r"echo[.:(].*", name, re.IGNORECASE):
        name, rest = "echo", name[4:] + rest  # ``echo.``, ``echo:`` and ``echo(``
    return Simple(name, rest, redirections)


def arguments(rest: str) -> list[str]:
    """Return the arguments of a command, without quotes."""
    return [quoted if quoted else bare for quoted, bare in re.findall(r'"([^"]*)"|([^\s"]+)', rest)]


def words(rest: str) -> list[str]:
    """Return the arguments of a program: quotes keep blanks within a word and are no part of it."""
    return [each.replace('"', "") for each in re.findall(r'(?:"[^"]*"?|[^\s"])+', rest)]
