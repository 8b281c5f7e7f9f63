"""Where the secrets of a package stand, each once with its copies. Lives only while a package is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from provmode.packages.compiled import Compiled
from provmode.packages.customizations import Raw
from provmode.packages.errors import Budget
from provmode.packages.matching import Matches
from provmode.packages.model import Secret
from provmode.packages.secrets import MASK, Span, is_macro, may_hide, replaced, spans, usable

MAX_TEXT = 64 * 1024
"""Characters of a text that is looked through, if it can hide a secret at all."""
MAX_TEXTS = 512 * 1024
"""Characters of all those texts together. What is beyond them is not shown."""
MOST_LINES = 100
"""Lines with secrets of one file that are told."""
_ANSWERS = "answer file: "


@dataclass
class _Found:
    place: str
    kind: str
    value: str = field(repr=False)
    copies: dict[str, None]


class SecretPlaces:
    """Finds the secrets of a package."""

    def __init__(self, settings: Sequence[Raw], answers: Sequence[Raw], compiled: Compiled, matches: Matches) -> None:
        self._found: list[_Found] = []
        self._by_value: dict[str, list[_Found]] = {}
        self._by_setting: dict[int, _Found] = {}
        self._settings, self._answers, self._compiled, self._matches = settings, answers, compiled, matches
        self._texts: dict[str, list[Span]] = {}
        self._budget = Budget("texts", MAX_TEXTS)
        self.unread: dict[str, None] = {}
        """Places of texts that were not looked through. They are not shown either."""
        self._take_named()
        self.known = usable(each.value for each in self._found)
        """The secrets that are looked for in every text, so that none is shown with one of them in it."""
        self._take_texts()

    def masked(self, text: str) -> tuple[str, bool]:
        """Return a text without its secrets, and whether there were any."""
        found = self._spans(text)
        return replaced(text, found) if found is not None else (MASK, False)

    def secrets(self, mark: Callable[[str], bytes]) -> tuple[Secret, ...]:
        """Return what may be told of the secrets."""
        return tuple(Secret(each.place, each.kind, tuple(each.copies), mark(each.value)) for each in self._found)

    def look_through(self, path: str, text: str) -> None:
        """Find the secrets in a file that comes with the package, line by line."""
        lines: dict[int, list[Span]] = {}
        line = at = 0
        for span in spans(text, self.known):
            if span.counts:
                line, at = line + text.count("\n", at, span.start), span.start
                lines.setdefault(line + 1, []).append(span)
        for number, found in list(lines.items())[:MOST_LINES]:
            value = "\n".join(text[span.start : span.end] for span in found)
            self._add(_Found(f"{path}, line {number}", f"{found[0].kind} in a file", value, {"file": None}))

    def _take_named(self) -> None:
        """Find what is a secret by its name."""
        for number, raw in enumerate(self._settings):
            if _is_secret(raw.secret, raw.value):
                self._by_setting[number] = self._add(_Found(raw.path, str(raw.secret), raw.value, {"source": None}))
        for raw in self._answers:
            if _is_secret(raw.secret, raw.value):
                self._take_copy(raw.value, _ANSWERS + raw.path, str(raw.secret), "answer file")
        done = set[int]()
        for number, parameter in enumerate(self._compiled.parameters):
            settings = self._matches.settings.get(number, ())
            if id(settings) not in done:
                done.add(id(settings))
                for each in settings:
                    if each in self._by_setting:
                        self._by_setting[each].copies["compiled"] = None
            is_of = any(each in self._by_setting for each in settings[:100])
            if not is_of and _is_secret(parameter.secret, parameter.value):
                self._take_copy(parameter.value, parameter.place, str(parameter.secret), "compiled")

    def _take_copy(self, value: str, place: str, kind: str, copy: str) -> None:
        same = self._by_value.get(_plain(value), ())
        for each in same:
            each.copies[copy] = None
        if not same:
            self._add(_Found(place, kind, value, {copy: None}))

    def _take_texts(self) -> None:
        """Find what stands in texts: in command lines, and in values that are texts of their own."""
        whole = {each.value: each for each in self._found if len(each.value) > 3}
        for raw in self._settings:
            if not raw.secret:
                self._take_text(raw.value, raw.path, "source", raw.names[-1] == "CommandLine")
        for raw in self._answers:
            if not raw.secret:
                self._take_text(raw.value, _ANSWERS + raw.path, "answer file", raw.names[-1] == "CommandLine")
        for parameter in self._compiled.parameters:
            if parameter.secret:
                continue
            within = next((each for each in self.known if each in whole and each in parameter.value), None)
            if within is not None and not parameter.is_command_line:
                whole[within].copies["compiled"] = None  # such as the key in the XML of a network
            else:
                self._take_text(parameter.value, parameter.place, "compiled", parameter.is_command_line)

    def _take_text(self, text: str, place: str, copy: str, command: bool) -> None:
        spanned = self._spans(text)
        if spanned is None:
            self.unread[place] = None
            return
        found = [span for span in spanned if span.counts]
        if found and copy != "source":
            self._take_copy(text, place, _kind(found, command), copy)
        elif found:
            self._add(_Found(place, _kind(found, command), text, {copy: None}))

    def _spans(self, text: str) -> list[Span] | None:
        """Return where secrets stand in a text; ``None`` if it is too long, or the others were."""
        if text not in self._texts:
            if may_hide(text) and (len(text) > MAX_TEXT or not self._budget.allows(len(text))):
                return None
            self._texts[text] = spans(text, self.known)
        return self._texts[text]

    def _add(self, found: _Found) -> _Found:
        self._found.append(found)
        self._by_value.setdefault(_plain(found.value), []).append(found)
        return found


def _kind(found: Sequence[Span], command: bool) -> str:
    return f"{found[0].kind} in a {'command line' if command else 'value'}"


def _is_secret(kind: str | None, value: str) -> bool:
    return kind is not None and bool(value.strip()) and not is_macro(value)


def _plain(value: str) -> str:
    return " ".join(value.split())
