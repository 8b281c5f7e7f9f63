"""WQL: ``SELECT ... FROM ... WHERE``, as WMI accepts it. Microsoft, "WQL (SQL for WMI)" and its operators.

Comparison of text ignores case; ``LIKE`` supports ``%``, ``_``, ``[abc]``, ``[a=f]`` and ``[^a=f]``. A comparison with
a null property is false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

Row = Mapping[str, Any]


class InvalidQuery(ValueError):
    """The query is not WQL."""


@dataclass(frozen=True)
class Query:
    """A parsed query."""

    class_name: str
    columns: tuple[str, ...] | None
    """``None`` for ``*``."""
    where: Callable[[Row], bool]
    mentioned: tuple[str, ...]
    """Properties that WHERE mentions."""


_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>[+-]?\d+(?:\.\d+)?(?![A-Za-z_0-9]))"""
    r"""|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign><>|!=|<=|>=|[=<>(),*]))""",
    re.DOTALL,
)
_LONGEST_NUMBER = 40
_WORDS = {"select", "from", "where", "and", "or", "not", "like", "is", "null", "true", "false", "isa"}


@lru_cache(maxsize=128)  # a fleet is asked the same everywhere, and a query does not change
def parse(text: str) -> Query:
    """Return the query in *text*.

    Raises:
        InvalidQuery: *text* is not WQL.
    """
    return _Parser(_tokens(text)).query()


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise InvalidQuery(text)
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent; the depth of parentheses is bounded."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0
        self._mentioned: list[str] = []

    def query(self) -> Query:
        self._expect("select")
        columns = self._columns()
        self._expect("from")
        class_name = self._name()
        where: Callable[[Row], bool] = _always
        if self._peek() is not None:
            self._expect("where")
            where = self._disjunction()
        if self._peek() is not None:
            raise InvalidQuery(str(self._peek()))
        return Query(class_name, columns, where, tuple(self._mentioned))

    def _columns(self) -> tuple[str, ...] | None:
        if self._take("*"):
            return None
        names = [self._name()]
        while self._take(","):
            names.append(self._name())
        return tuple(names)

    def _disjunction(self) -> Callable[[Row], bool]:
        parts = [self._conjunction()]
        while self._take("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _conjunction(self) -> Callable[[Row], bool]:
        parts = [self._condition()]
        while self._take("and"):
            parts.append(self._condition())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _condition(self) -> Callable[[Row], bool]:
        if self._take("not"):
            inner = self._nested(self._condition)
            return lambda row: not inner(row)
        if self._take("("):
            inner = self._nested(self._disjunction)
            self._expect(")")
            return inner
        return self._comparison()

    def _nested(self, read: Callable[[], Callable[[Row], bool]]) -> Callable[[Row], bool]:
        self._depth += 1
        if self._depth > 60:
            raise InvalidQuery("nested too deep")
        found = read()
        self._depth -= 1
        return found

    def _comparison(self) -> Callable[[Row], bool]:
        if self._at_literal():  # WQL allows the constant on the left
            value = self._literal()
            operator = self._operator()
            name = self._property()
            return _compare(name, _MIRRORED[operator], value)
        name = self._property()
        if self._take("is"):
            wanted = not self._take("not")
            self._expect("null")
            return lambda row: (_value_of(row, name) is None) is wanted
        if self._take("like"):
            return _like(name, self._literal())
        negated = self._take("not")
        if negated:
            self._expect("like")
            like = _like(name, self._literal())
            return lambda row: not like(row)
        return _compare(name, self._operator(), self._literal())

    def _property(self) -> str:
        name = self._name()
        self._mentioned.append(name)
        return name

    def _operator(self) -> str:
        token = self._next()
        if token[0] != "sign" or token[1] not in _MIRRORED:
            raise InvalidQuery(token[1])
        return token[1]

    def _at_literal(self) -> bool:
        token = self._peek()
        return token is not None and (token[0] in ("text", "number") or token[1].lower() in ("true", "false", "null"))

    def _literal(self) -> Any:
        kind, value = self._next()
        if kind == "text":
            return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
        if kind == "number":
            if len(value) > _LONGEST_NUMBER:
                raise InvalidQuery(value)
            return float(value) if "." in value else int(value)
        if kind == "word" and value.lower() in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[value.lower()]
        raise InvalidQuery(value)

    def _name(self) -> str:
        kind, value = self._next()
        if kind != "word" or value.lower() in _WORDS:
            raise InvalidQuery(value)
        return value

    def _take(self, word: str) -> bool:
        token = self._peek()
        if token is not None and token[0] in ("word", "sign") and token[1].lower() == word:
            self._position += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise InvalidQuery(f"expected {word}")

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        if token is None:
            raise InvalidQuery("the query ends early")
        self._position += 1
        return token


_MIRRORED = {"=": "=", "<>": "<>", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def _always(row: Row) -> bool:
    return True


def _value_of(row: Row, name: str) -> Any:
    if name in row:
        return row[name]
    lowered = name.lower()
    return next((value for key, value in row.items() if key.lower() == lowered), None)


def _compare(name: str, operator: str, wanted: Any) -> Callable[[Row], bool]:
    def test(row: Row) -> bool:
        found = _value_of(row, name)
        if wanted is None:
            return (found is None) is (operator == "=")
        if found is None:
            return False
        left, right = _comparable(found, wanted)
        if left is None or right is None:
            return False
        outcome: bool = {
            "=": lambda: left == right,
            "<>": lambda: left != right,
            "!=": lambda: left != right,
            "<": lambda: left < right,
            ">": lambda: left > right,
            "<=": lambda: left <= right,
            ">=": lambda: left >= right,
        }[operator]()
        return outcome

    return test


def _comparable(found: Any, wanted: Any) -> tuple[Any, Any]:
    """Return both sides as comparable values; ``None``: they cannot be compared."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return _as_boolean(found), _as_boolean(wanted)
    if isinstance(found, datetime):
        return found, _from_dmtf(wanted) if isinstance(wanted, str) else None
    if isinstance(found, int) and isinstance(wanted, str):
        try:
            return found, int(wanted)
        except ValueError:
            return None, None
    if isinstance(found, str):
        return found.lower(), str(wanted).lower()
    if isinstance(found, int) and isinstance(wanted, (int, float)):
        return found, wanted
    return None, None


def _as_boolean(value: Any) -> Any:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return bool(value) if isinstance(value, (bool, int)) else None


_DMTF = re.compile(r"([0-9]{14}\.[0-9]{6})([+-][0-9]{3})")


def _from_dmtf(text: str) -> datetime | None:
    match = _DMTF.fullmatch(text)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match.group(1), "%Y%m%d%H%M%S.%f").replace(tzinfo=timezone.utc)
        return moment - timedelta(minutes=int(match.group(2)))
    except (ValueError, OverflowError):
        return None


_ANY_TEXT = None
CharacterTest = Callable[[str], bool]
"""Tests one character against one element of a pattern."""


def _like(name: str, pattern: Any) -> Callable[[Row], bool]:
    if not isinstance(pattern, str):
        raise InvalidQuery("LIKE needs text")
    elements: list[CharacterTest | None] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        closing = pattern.find("]", position + 1)
        if character == "[" and closing > position + 1:
            elements.append(_one_of(pattern[position + 1 : closing]))
            position = closing
        else:
            elements.append(
                _ANY_TEXT if character == "%" else _any_character if character == "_" else _exactly(character)
            )
        position += 1

    def test(row: Row) -> bool:
        found = _value_of(row, name)
        return found is not None and _matches_pattern(str(found), elements)

    return test


def _any_character(character: str) -> bool:
    return True


def _exactly(wanted: str) -> CharacterTest:
    return lambda character: character == wanted or character.lower() == wanted.lower()


def _one_of(inside: str) -> CharacterTest:
    """Return the test of ``[...]``: single characters and ranges (``a=f`` as documented, ``a-f`` as often written)."""
    negated = inside.startswith("^")
    rest = inside[1:] if negated else inside
    ranges: list[tuple[str, str]] = []
    while rest:
        wide = len(rest) > 2 and rest[1] in "-="
        ranges.append((rest[0], rest[2] if wide else rest[0]))
        rest = rest[3 if wide else 1 :]
    if not ranges or any(low > high for low, high in ranges):
        raise InvalidQuery(f"[{inside}]")

    def test(character: str) -> bool:
        spellings = {character, character.lower(), character.upper()}
        return any(low <= each <= high for low, high in ranges for each in spellings) is not negated

    return test


def _matches_pattern(text: str, elements: list[CharacterTest | None]) -> bool:
    """Match greedily; after a mismatch only the last ``%`` takes more, so that the time is bounded."""
    at = element = 0
    run: tuple[int, int] | None = None
    while at < len(text):
        wanted = elements[element] if element < len(elements) else None
        if element < len(elements) and wanted is _ANY_TEXT:
            run = (at, element)
            element += 1
        elif wanted is not None and wanted(text[at]):
            at, element = at + 1, element + 1
        elif run is not None:
            run = (run[0] + 1, run[1])
            at, element = run[0], run[1] + 1
        else:
            return False
    return all(wanted is _ANY_TEXT for wanted in elements[element:])
