"""The text of a file as waivers: TOML, with a table ``[[waiver]]`` for each. Every mistake is found, not the first."""

from __future__ import annotations

import codecs
import difflib
import re
import sys
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from provmode.ccm.verdict import Verdict
from provmode.connector.host_names import check_host_name
from provmode.errors import Mistakes, UsageError
from provmode.text import shortened
from provmode.waivers.model import MAX_DAYS, RULES_OF, WAIVABLE, Effect, Waiver, Waivers

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_WAIVERS = 2_000
"""Waivers in one file."""
LONGEST = 500
"""Characters of a text in a waiver."""
TABLE = "waiver"


@dataclass(frozen=True)
class Key:
    """One key of a waiver."""

    name: str
    says: str
    """What it holds, for the documents."""
    needed: bool = False
    is_date: bool = False


KEYS = (
    Key("host", "one PC, by its name in the inventory without `@winrm/`"),
    Key("hosts", 'PCs by a pattern, such as `"LAB-*"`'),
    Key("group", "PCs by a group of the inventory"),
    Key("rule", "only findings by this rule of `docs/verdicts.md`"),
    Key("verdict", f"only this verdict: {', '.join(each.value for each in WAIVABLE)}"),
    Key("owner", "who answers for it", needed=True),
    Key("reason", "why, in a sentence", needed=True),
    Key("ticket", "its number where you keep such things", needed=True),
    Key("created", "the day on which it was made", needed=True, is_date=True),
    Key("expires", "the last day on which it counts", needed=True, is_date=True),
    Key("effect", "`report` (the default), or `hold`: then nothing is changed on the PC"),
)
"""The keys of a waiver, in the order in which they are written."""
WHICH = ("host", "hosts", "group")
"""The keys that say which PCs; a PC has to fit each that is there."""
NAMES = tuple(key.name for key in KEYS)


def parse(data: bytes, path: str, *, now: datetime, max_days: int = MAX_DAYS) -> Waivers:
    """Return the waivers in the bytes of a file; *path* begins every message, and *now* says what is yet to come.

    Raises:
        UsageError: it is no text, or not TOML.
        Mistakes: everything else that is wrong with it.
    """
    text = text_of(data, path)
    document = toml_of(text, path)
    mistakes: list[UsageError] = []
    zone_name, zone = _zone(document, path, mistakes)
    mistakes += [
        UsageError(f"{path}: there is no key {_shown(key)}", next_step=_meant(key))
        for key in document
        if key not in ("zone", TABLE)
    ]
    tables = document.get(TABLE, [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        mistakes.append(
            UsageError(f"{path}: {TABLE} is not a list of tables", next_step=f"write [[{TABLE}]] above each")
        )
        tables = []
    if len(tables) > MOST_WAIVERS:
        raise UsageError(
            f"{path}: it has {len(tables):,} waivers, and at most {MOST_WAIVERS:,} are read",
            next_step="name a group or a pattern instead of single PCs",
        )
    lines = lines_of(text, len(tables))
    found = []
    for number, table in enumerate(tables, 1):
        line = lines[number - 1] if lines else None
        reading = _Reading(table, number, line, path, zone, now, max_days)
        waiver = reading.waiver()
        mistakes += reading.mistakes
        found += [waiver] if waiver is not None else []
    if mistakes:
        raise Mistakes(mistakes)
    return Waivers(tuple(found), path, zone_name)


def toml_of(text: str, path: str) -> dict[str, Any]:
    """Return what a text says as TOML.

    Raises:
        UsageError: it is not TOML.
    """
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"cannot read the waivers {path}: the values are nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"cannot read the waivers {path}: {error}") from None
    return document


def text_of(data: bytes, path: str) -> str:
    """Return the text of a file. A byte order mark, as editors on Windows write it, is no part of it.

    Raises:
        UsageError: it is not UTF-8.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(f"cannot read the waivers {path}: it is UTF-16", next_step="save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"cannot read the waivers {path}: line {line} is not UTF-8", next_step="save it as UTF-8"
        ) from None


_HEADING = re.compile(rf"""[ \t]*\[\[[ \t]*(?:{TABLE}|"{TABLE}"|'{TABLE}')[ \t]*\]\]""")


def lines_of(text: str, waivers: int) -> list[int]:
    """Return the lines on which the waivers begin; none if they are written in a way that hides them."""
    found = [number for number, line in enumerate(text.split("\n"), 1) if _HEADING.match(line)]
    return found if len(found) == waivers else []


def _zone(document: Mapping[str, Any], path: str, mistakes: list[UsageError]) -> tuple[str, tzinfo | None]:
    """Return the name of the time zone, and the zone; ``None`` if there is no such zone, which is a mistake."""
    cure = 'write zone = "Europe/Berlin", or another name of the IANA time zones, above the first waiver'
    name = document.get("zone")
    if not isinstance(name, str):
        if isinstance(document.get(TABLE), list) or "zone" in document:
            mistakes.append(UsageError(f"{path}: it names no time zone, so that no day has an end", next_step=cure))
        return "", None
    try:
        return name, zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # no such zone, a path, or a folder of zones
        mistakes.append(UsageError(f"{path}: there is no time zone {_shown(name)}", next_step=cure))
        return "", None


def _shown(value: str) -> str:
    return shortened(value, 60) or '""'


def _meant(key: str) -> str:
    if key in NAMES:
        return f"it belongs below a [[{TABLE}]]"
    near = difflib.get_close_matches(key, [TABLE, "zone"], n=1)
    return f"did you mean {near[0]}?" if near else "docs/waivers.md lists the keys"


class _Reading:
    """One waiver that is read, and what is wrong with it."""

    def __init__(
        self,
        table: Mapping[str, Any],
        number: int,
        line: int | None,
        path: str,
        zone: tzinfo | None,
        now: datetime,
        max_days: int,
    ) -> None:
        self._table, self._number, self._line, self._path = table, number, line, path
        self._zone, self._now, self._max_days = zone, now, max_days
        self.mistakes: list[UsageError] = []

    def wrong(self, what: str, cure: str = "") -> None:
        """Note a mistake."""
        place = f"waiver {self._number}" + (f" (line {self._line})" if self._line is not None else "")
        self.mistakes.append(UsageError(f"{self._path}: {place}: {what}", next_step=cure))

    def waiver(self) -> Waiver | None:
        """Return the waiver, or nothing if something is wrong with it."""
        values = dict(self._values())
        self._check_which(values)
        self._check_what(values)
        self._check_days(values.get("created"), values.get("expires"))
        if self.mistakes or self._zone is None:
            return None
        effect = Effect(values.pop("effect", Effect.REPORT.value))
        return Waiver(**values, zone=self._zone, effect=effect, number=self._number, line=self._line)

    def _values(self) -> Iterator[tuple[str, Any]]:
        """Yield the keys whose values are of the right kind."""
        for name in self._table:
            if name not in NAMES:
                near = difflib.get_close_matches(name, NAMES, n=1)
                cure = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(NAMES)}"
                self.wrong(f"there is no key {_shown(name)}", cure)
        for key in KEYS:
            if key.name not in self._table:
                if key.needed:
                    self.wrong(f"it has no {key.name}", f"write {key.name}: {key.says}")
                continue
            value = self._table[key.name]
            why = _wrong_date(value) if key.is_date else _wrong_text(value)
            if why:
                self.wrong(f"{key.name} is {why[0]}", why[1])
            else:
                yield key.name, value.strip() if isinstance(value, str) else value

    def _check_which(self, values: Mapping[str, Any]) -> None:
        """Check which PCs it is about."""
        if not any(key in self._table for key in WHICH):
            self.wrong("it names no PC", f"write one of {', '.join(WHICH)}")
        host = values.get("host", "")
        if "/" in host:
            self.wrong(f"host {_shown(host)} is not a name", f"write {_shown(host.rpartition('/')[2])}")
        elif set(host) & set("*?["):
            self.wrong(f"host {_shown(host)} is a pattern", f'write hosts = "{_shown(host)}" instead')
        elif host:
            try:
                check_host_name(host)
            except UsageError as error:
                self.wrong(error.what, error.next_step)
        everybody = "hosts" in values and not host and "group" not in values and _names_all(values["hosts"])
        if everybody and "rule" not in self._table and "verdict" not in self._table:
            self.wrong(
                f'hosts = "{_shown(values["hosts"])}" without a rule or a verdict waives everything',
                "name the rule or the verdict, or fewer PCs",
            )

    def _check_what(self, values: Mapping[str, Any]) -> None:
        """Check which findings it is about, and what it does."""
        rule, verdict, effect = values.get("rule", ""), values.get("verdict", ""), values.get("effect", "")
        if rule and rule not in RULES_OF:
            self.wrong(f"rule {_shown(rule)} cannot be waived", _choice(rule, RULES_OF))
        if verdict and verdict not in {each.value for each in WAIVABLE}:
            what = "cannot be waived" if verdict in {each.value for each in Verdict} else "is no verdict"
            self.wrong(f"verdict {_shown(verdict)} {what}", _choice(verdict, [each.value for each in WAIVABLE]))
        elif verdict and rule in RULES_OF and RULES_OF[rule].value != verdict:
            self.wrong(
                f"rule {rule} has the verdict {RULES_OF[rule].value}, never {verdict}", "name only one of the two"
            )
        if effect and effect not in {each.value for each in Effect}:
            self.wrong(f"effect {_shown(effect)} is neither report nor hold")

    def _check_days(self, created: date | None, expires: date | None) -> None:
        if created is not None and self._zone is not None:
            today = self._now.astimezone(self._zone).date()
            if created > today:
                self.wrong(
                    f"created is {created.isoformat()}, and there it is {today.isoformat()} today",
                    "write the day on which it is made; a waiver counts from now on",
                )
        if created is None or expires is None:
            return
        if expires < created:
            self.wrong(f"it expires on {expires.isoformat()}, before it was created")
        elif (expires - created).days > self._max_days:
            self.wrong(
                f"it expires {(expires - created).days:,} days after it was created, and at most {self._max_days:,} "
                "are allowed",
                "write an earlier day, or max_days under [waivers] in provmode.toml",
            )


def _wrong_text(value: Any) -> tuple[str, str] | None:
    """Return what is wrong with a value that should be a text, and the cure."""
    if not isinstance(value, str):
        return "not a text", "write it in quotes"
    if not value.strip():
        return "empty", "write what it is, or take the key out"
    if not value.isprintable():
        return "not a line of printable text", "write it in one line"
    return ("too long", f"write at most {LONGEST} characters") if len(value) > LONGEST else None


def _wrong_date(value: Any) -> tuple[str, str] | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return None
    return "not a date", "write it as 2026-12-31, without quotes and without a time"


def _names_all(pattern: str) -> bool:
    """Return whether a pattern has no letter that a name has to have."""
    return not re.sub(r"\[[^\]]*\]|[*?.\-]", "", pattern)


def _choice(word: str, words: Iterable[str]) -> str:
    words = list(words)
    found = difflib.get_close_matches(word, words, n=1)
    return f"did you mean {found[0]}?" if found else f"write one of {', '.join(words)}"
