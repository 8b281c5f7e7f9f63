"""The language of a cmd.exe line: variables, quotes, ``&``, ``&&``, ``||``, parentheses, redirections.

Sources: Microsoft, "cmd" and "Using command redirection operators"; precedence as cmd.exe has it: ``&`` binds least,
then ``||``, then ``&&``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union


class SyntaxProblem(ValueError):
    """The line is not cmd.exe's language; the message is the token that was unexpected."""


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
    """``if [not] exist PATH ...`` or ``if [not] A==B ...`` with an optional else."""

    negated: bool
    exist: str | None
    equal: tuple[str, str] | None
    then: Node
    otherwise: Node | None = None


Node = Union[Simple, Group, Joined, If]


def expand(line: str, variables: Mapping[str, str]) -> str:
    """Put in ``%NAME%``; on a command line an unknown one stays as it is."""
    return re.sub(r"%([^%\s=]+)%", lambda match: variables.get(match.group(1).lower(), match.group()), line)


@dataclass
class _Words:
    text: str
    at: int = 0
    depth: int = field(default=0)
    conditions: int = field(default=0)


_OPERATORS = ("&&", "||", "&", "|", ")")


def parse(line: str) -> Node:
    """Return the commands of a line.

    Raises:
        SyntaxProblem: an operator without a command, an unclosed parenthesis, nesting beyond reason.
    """
    words = _Words(line)
    node = _sequence(words)
    _blank(words)
    if words.at < len(words.text):
        raise SyntaxProblem(words.text[words.at])
    return node


def _blank(words: _Words) -> None:
    while words.at < len(words.text) and words.text[words.at] in " \t,;=":
        words.at += 1


def _operator(words: _Words) -> str:
    _blank(words)
    return next((sign for sign in _OPERATORS if words.text.startswith(sign, words.at)), "")


def _sequence(words: _Words) -> Node:
    words.depth += 1
    if words.depth > 40:
        raise SyntaxProblem("(")
    node = _either(words)
    while _operator(words) == "&":
        words.at += 1
        if not _operator(words) and words.at < len(words.text):
            node = Joined("&", node, _either(words))
        elif _operator(words) not in ("", ")"):
            raise SyntaxProblem(_operator(words))
    words.depth -= 1
    return node


def _either(words: _Words) -> Node:
    node = _both(words)
    while _operator(words) == "||":
        words.at += 2
        node = Joined("||", node, _both(words))
    return node


def _both(words: _Words) -> Node:
    node = _piped(words)
    while _operator(words) == "&&":
        words.at += 2
        node = Joined("&&", node, _piped(words))
    return node


def _piped(words: _Words) -> Node:
    node = _command(words)
    while _operator(words) == "|":
        words.at += 1
        node = Joined("|", node, _command(words))
    return node


def _command(words: _Words) -> Node:
    _blank(words)
    if words.at >= len(words.text):
        raise SyntaxProblem("")
    if words.text[words.at] == "(":
        words.at += 1
        inner = _sequence(words)
        if _operator(words) != ")":
            raise SyntaxProblem(")")
        words.at += 1
        redirections: list[Redirection] = []
        _blank(words)
        while (found := _redirection(words)) is not None:
            redirections.append(found)
            _blank(words)
        return Group(inner, tuple(redirections))
    if _operator(words):
        raise SyntaxProblem(_operator(words))
    if re.match(r"@?if\s", words.text[words.at :], re.IGNORECASE):
        return _if(words)
    return _simple(words)


def _if(words: _Words) -> Node:
    words.at += re.match(r"@?if\s+", words.text[words.at :], re.IGNORECASE).end()  # type: ignore[union-attr]
    negated = _word(words, "not")
    exist = equal = None
    if _word(words, "exist"):
        exist = _argument(words)
    else:
        match = re.compile(r'\s*("[^"]*"|[^\s=]+)\s*==\s*("[^"]*"|[^\s]+)').match(words.text, words.at)
        if match is None:
            raise SyntaxProblem(words.text[words.at :][:10])
        words.at = match.end()
        equal = (match.group(1), match.group(2))
    words.conditions += 1
    if words.conditions > 40:
        raise SyntaxProblem("if")
    then = _command(words)
    otherwise = _command(words) if _word(words, "else") else None
    return If(negated, exist, equal, then, otherwise)


def _word(words: _Words, word: str) -> bool:
    match = re.compile(rf"\s*{word}(?=[\s(])", re.IGNORECASE).match(words.text, words.at)
    if match is None:
        return False
    words.at = match.end()
    return True


def _argument(words: _Words) -> str:
    match = re.compile(r'\s*("[^"]*"|[^\s()]+)').match(words.text, words.at)
    if match is None:
        raise SyntaxProblem("")
    words.at = match.end()
    return match.group(1).strip('"')


_REDIRECTION = re.compile(r'([0-9])?(>>|>|<)[ \t]*(&[0-9]|"[^"]*"|[^\s&|<>()]+)')


def _redirection(words: _Words) -> Redirection | None:
    match = _REDIRECTION.match(words.text, words.at)
    if match is None:
        return None
    words.at = match.end()
    handle = int(match.group(1)) if match.group(1) else (0 if match.group(2) == "<" else 1)
    return Redirection(handle, match.group(3).strip('"'), match.group(2) == ">>")


def _simple(words: _Words) -> Simple:
    """Read one command up to an operator outside quotes; a caret takes the next character as it is."""
    out: list[str] = []
    redirections: list[Redirection] = []
    quoted = False
    while words.at < len(words.text):
        character = words.text[words.at]
        if character == '"':
            quoted = not quoted
        elif not quoted and character == "^":
            words.at += 1
            out.append(words.text[words.at : words.at + 1])
            words.at += 1
            continue
        elif (not quoted and character in "<>") or (not quoted and character.isdigit() and _handle(words, out)):
            found = _redirection(words)
            if found is None:
                raise SyntaxProblem(character)
            redirections.append(found)
            continue
        elif not quoted and (character in "&|" or (character == ")" and words.depth > 1)):
            break
        out.append(character)
        words.at += 1
    return _named("".join(out), tuple(redirections))


def _handle(words: _Words, out: list[str]) -> bool:
    """Return whether a digit here is the handle of a redirection: it follows a blank and precedes the arrow."""
    following = words.text[words.at + 1 : words.at + 2]
    return following in ("<", ">") and following != "" and (not out or out[-1] in ' \t"')


_NAME = re.compile(r'\s*@?(?:"([^"]*)"|([^\s/,;="]+))')


def _named(text: str, redirections: tuple[Redirection, ...]) -> Simple:
    match = _NAME.match(text)
    if match is None:
        return Simple("", text, redirections)
    name = match.group(1) if match.group(1) is not None else match.group(2)
    rest = text[match.end() :]
    if match.group(2) and re.fullmatch(r"echo[.:(].*", name, re.IGNORECASE):
        return Simple("echo", name[4:] + rest, redirections)  # ``echo.`` and its kin
    return Simple(name, rest, redirections)


def arguments(rest: str) -> list[str]:
    """Return the arguments of a command, quotes taken off."""
    return [quoted if quoted else bare for quoted, bare in re.findall(r'"([^"]*)"|([^\s"]+)', rest)]
