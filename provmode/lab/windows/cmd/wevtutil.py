"""``wevtutil qe``: read the events of a channel.

Source: Microsoft, "wevtutil", and "Consuming Events" for the XPath of queries, of which comparisons in ``System`` are
modelled. Events are written as XML, one a line; the exit code of a failure is the number of the system error.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from provmode.lab.windows.cmd.texts import message
from provmode.lab.windows.events import Event
from provmode.lab.windows.session import Session

NO_CHANNEL, INVALID_QUERY, INVALID_PARAMETER = 15007, 15001, 87
_SHORT = {
    **{"count": "c", "reversedirection": "rd", "format": "f", "query": "q", "element": "e", "unicode": "uni"},
    **{"logfile": "lf", "locale": "l"},
}
_FORMATS = ("xml", "renderedxml")
Test = Callable[[Event], bool]


class _InvalidQuery(ValueError):
    """The query is not in the part of XPath that is modelled."""


def wevtutil(session: Session, words: list[str]) -> int:
    """Run ``wevtutil`` with these arguments."""
    options = {word[1:].partition(":")[0].lower(): word.partition(":")[2] for word in words if word[:1] in "/-"}
    options = {_SHORT.get(name, name): value for name, value in options.items()}
    given = [word for word in words if word[:1] not in "/-"]
    count = options.get("c", str(2**31))
    if len(given) != 2 or given[0].lower() not in ("qe", "query-events") or not re.fullmatch("[0-9]{1,10}", count):
        session.print_error(message(session.pc, "too-few-arguments"))
        return INVALID_PARAMETER
    if options.get("f", "xml").lower() not in _FORMATS or set(options) - set(_SHORT.values()):
        session.print_error(message(session.pc, "too-few-arguments"))
        return INVALID_PARAMETER
    found = session.pc.events.read(given[1])
    if found is None:
        session.print_error(message(session.pc, "events-failed") + message(session.pc, "no-channel"))
        return NO_CHANNEL
    try:
        test = _Query(options.get("q", "*"), session.pc.now()).test()
    except _InvalidQuery:
        session.print_error(message(session.pc, "events-failed") + message(session.pc, "query-invalid"))
        return INVALID_QUERY
    channel, events = found
    if options.get("rd", "").lower() == "true":
        events.reverse()
    lines = [each.xml(channel, session.pc.computer_name) for each in events if test(each)][: int(count)]
    if options.get("e"):
        lines = [f"<{options['e']}>", *lines, f"</{options['e']}>"]
    text = "".join(f"{line}\r\n" for line in lines)
    if options.get("uni", "").lower() == "true":
        session.out += text.encode("utf-16-le")
    else:
        session.print(text)
    return 0


_TOKEN = re.compile(r"\s*(<=|>=|!=|[=<>()\[\]*@,/]|'[^']*'|\"[^\"]*\"|[0-9]{1,18}|[A-Za-z]+)")
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    **{"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le},
    **{">": operator.gt, ">=": operator.ge},
}
_NUMBERS: dict[str, Callable[[Event], int]] = {
    "EventID": lambda event: event.number,
    "Level": lambda event: int(event.level),
    "EventRecordID": lambda event: event.record,
}


class _Query:
    """``*``, or ``*[System[...]]`` with comparisons joined by ``and`` and ``or``."""

    def __init__(self, text: str, now: datetime) -> None:
        self._now = now
        self._words: list[str] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise _InvalidQuery(text)
            self._words.append(match.group(1))
            at = match.end()
        self._at = 0
        self._depth = 0

    def test(self) -> Test:
        """Return the test of an event."""
        self._expect("*")
        if not self._rest():
            return lambda event: True
        self._expect("[", "System", "[")
        found = self._either()
        self._expect("]", "]")
        if self._rest():
            raise _InvalidQuery(self._words[self._at])
        return found

    def _rest(self) -> bool:
        return self._at < len(self._words)

    def _take(self, word: str) -> bool:
        if self._rest() and self._words[self._at] == word:
            self._at += 1
            return True
        return False

    def _next(self) -> str:
        if not self._rest():
            raise _InvalidQuery("")
        self._at += 1
        return self._words[self._at - 1]

    def _expect(self, *words: str) -> None:
        for word in words:
            if not self._take(word):
                raise _InvalidQuery(word)

    def _either(self) -> Test:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return lambda event: any(part(event) for part in parts)

    def _both(self) -> Test:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return lambda event: all(part(event) for part in parts)

    def _one(self) -> Test:
        if self._take("("):
            self._depth += 1
            if self._depth > 30:
                raise _InvalidQuery("(")
            inner = self._either()
            self._expect(")")
            self._depth -= 1
            return inner
        name = self._next()
        if name == "Provider":
            self._expect("[", "@", "Name", "=")
            wanted = self._next().strip("'\"").lower()
            self._expect("]")
            return lambda event: event.provider.name.lower() == wanted
        if name == "TimeCreated":
            self._expect("[", "timediff", "(", "@", "SystemTime", ")")
            compare, number = self._comparison()
            self._expect("]")
            return lambda event: compare((self._now - event.when) // timedelta(milliseconds=1), number)
        value = _NUMBERS.get(name)
        if value is None:
            raise _InvalidQuery(name)
        compare, number = self._comparison()
        return lambda event: compare(value(event), number)

    def _comparison(self) -> tuple[Callable[[int, int], bool], int]:
        compare, number = _COMPARE.get(self._next()), self._next()
        if compare is None or not number.isdecimal():
            raise _InvalidQuery(number)
        return compare, int(number)
