"""What may stand in ``provmode.toml``: its tables, their keys, and the check of a file that was parsed. Pure.

A key stands here only if something reads it. To add a table or a key, write it into `TABLES`: the check, ``provmode
init``, ``provmode config`` and the tests of the documents take it from there.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from provmode.ccm.policy import Policy, PolicyError
from provmode.errors import Mistakes, UsageError
from provmode.fleet.allowance import Allowance
from provmode.fleet.export import FORMATS_LISTED, Export
from provmode.fleet.waves import ALL, NONE, SAFE, Limits
from provmode.waivers.model import MAX_DAYS

PARALLEL, PROCESSES, SOAK, KEPT_DAYS, WAIVED_DAYS = (1, 1000), (1, 64), (0, 604800), (1, 36500), (1, 3660)
"""From what to what these numbers may go, in the file and as options."""
WORDS = ("new", "returned", "changed", "still", "fixed", "lost", "found", "appeared", "vanished")
"""What can happen to a host between two runs: `provmode.history.drift.Word`."""
WORSE = ("new", "returned", "changed")
"""The words of a host that got worse. They make `drift` end with 2, and somebody is told of them."""


@dataclass(frozen=True)
class Kind:
    """What a value has to be."""

    words: str
    """For a person who wrote something else."""
    fits: Callable[[Any], bool]
    read: Callable[[Any, Path], Any] = lambda value, folder: value
    """Returns the value as provmode uses it; the file stands in *folder*. Raises `UsageError` if it cannot be used."""
    cure: str = ""


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _whole(least: int, most: int) -> Kind:
    return Kind(f"a whole number from {least} to {most}", lambda value: type(value) is int and least <= value <= most)


def _seconds(least: int, most: int) -> Kind:
    return Kind(
        f"a number from {least} to {most}",
        lambda value: _is_number(value) and least <= value <= most,
        lambda value, folder: float(value),
    )


def _share(words: str, parse: Callable[[str], object]) -> Kind:
    """Return the kind of a number, or of a text that *parse* takes."""

    def read(value: Any, folder: Path) -> str:
        parse(str(value))
        return str(value)

    return Kind(words, lambda value: type(value) is int or _is_text(value), read)


def _parse_wave(text: str) -> None:
    Limits(wave=text).sizes(100)


def _parse_failures(text: str) -> None:
    Limits(max_failures=text).budget()


def _parse_reached(text: str) -> None:
    Limits(min_reached=text).least_reached()


def _parse_restarts(text: str) -> None:
    Limits(max_restarts=text).most_restarts()


def _parse_cap(text: str) -> None:
    Limits(per_site=text).caps()


def beside(path: str, folder: Path) -> str:
    """Return a *path* of the file as the working directory has it: a relative one begins in the file's *folder*."""
    return str(folder / os.path.expanduser(path))


def _inventory(inventory: str, folder: Path) -> str:
    """Return an inventory with its files beside the configuration file."""
    if not inventory.startswith("@"):
        return beside(inventory, folder)
    from provmode.connector.sources.reading import STANDARD_INPUT
    from provmode.fleet.host_lists import file_of, split_names

    names = []
    for name in split_names(inventory):
        file = file_of(name)
        if file in (None, "", STANDARD_INPUT):
            names.append(name)
        else:
            names.append(name.removesuffix(str(file)) + beside(str(file), folder))
    return ",".join(names)


def _is_history(value: Any) -> bool:
    if not _is_text(value):
        return False
    try:
        url = urlsplit(value)
        url.port  # noqa: B018 - raises if it is no number
    except ValueError:
        return False
    is_file = url.scheme == "sqlite" and value.startswith("sqlite:///") and url.path.strip("/") and not url.query
    return bool(is_file or url.scheme in ("postgresql", "postgresql+psycopg"))


def _history(url: str, folder: Path) -> str:
    """Return the url of a history with its file beside the configuration file.

    Raises:
        UsageError: there is a password in it.
    """
    if url.startswith(SQLITE):
        return SQLITE + beside(url.removeprefix(SQLITE), folder)
    parts = urlsplit(url)
    if parts.password is not None or _SECRETS & set(parse_qs(parts.query, keep_blank_values=True)):
        raise UsageError(
            "there is a password in it", next_step="put it into ~/.pgpass, or a file that $PGPASSFILE names"
        )
    return url


def _is_near(url: Any) -> bool:
    """Return whether the url of a history is a file in the folder of the configuration file, or below."""
    path = Path(unquote(str(url).removeprefix(SQLITE)))  # as SQLAlchemy reads it
    leads_out = any(part.startswith(("..", "~")) for part in path.parts)
    return str(url).startswith(SQLITE) and not path.is_absolute() and not leads_out


_SECRETS = {"password", "sslpassword"}
"""What PostgreSQL takes behind the ``?`` of a url and nobody may see."""
SQLITE = "sqlite:///"
"""How the url of a history begins that is a file."""
HISTORY = Kind(
    "the url of a history, in quotes",
    _is_history,
    _history,
    'write "sqlite:///history.sqlite" or "postgresql://user@server/provmode"',
)
PATH = Kind("a path, in quotes", _is_text, beside)
PATHS = Kind(
    "a list of paths",
    lambda value: isinstance(value, list) and all(map(_is_text, value)),
    lambda paths, folder: [beside(path, folder) for path in paths],
    'write it as in ["alice.pub", "bob.pub"]',
)
INVENTORY = Kind("an inventory, in quotes", _is_text, _inventory)


def _exports(texts: list[str], folder: Path) -> list[str]:
    """Return exports with their files beside the configuration file."""
    found = [Export.parse(text) for text in texts]
    return [f"{export.format}={beside(str(export.path), folder)}" for export in found]


EXPORTS = Kind(
    f'a list of "FORMAT=FILE", with {FORMATS_LISTED}',
    lambda value: isinstance(value, list) and all(map(_is_text, value)),
    _exports,
    cure='write it as in ["csv=/var/lib/provmode/audit.csv"]',
)
COMMAND = Kind(
    "a list of strings: the program, and each of its arguments",
    lambda value: (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(word, str) and "\0" not in word for word in value)
        and value[0]
    ),
    cure='no shell reads it; write it as in ["/usr/bin/program", "--option", "value"]',
)
"""A program to run. A key of this kind is never taken from the working directory."""


@dataclass(frozen=True)
class Key:
    """One key of the file."""

    name: str
    kind: Kind
    says: str
    """What it holds, for the documents and for ``provmode init``."""
    default: Any = None
    """What holds without it; ``None``: nothing."""
    example: Any = None
    """What to write, if there is no default that could be written."""
    option: str = ""
    """The option of commands that it stands for, as they name it in Python."""
    near: Callable[[Any], bool] | None = None
    """What it may be in a file that was found in the working directory; ``None``: anything."""
    trusted: bool = False
    """Whether it is refused in a file that was found in the working directory: it decides what is run, believed or
    overwritten."""
    secret: bool = False
    """Whether it names a file with a secret, which systemd can hand to a service: see `Configuration.handed_over`."""

    @property
    def shown(self) -> Any:
        """A value that can be written: the default, else the example."""
        return self.example if self.example is not None else self.default

    @property
    def from_anywhere(self) -> bool:
        """Whether a file that was found in the working directory may have it."""
        return not self.trusted and self.kind is not COMMAND


@dataclass(frozen=True)
class Table:
    """One table of the file."""

    keys: Callable[[], Mapping[str, Key]]
    """Its keys by their names. A function, because what the connector knows is imported only if it is needed."""
    says: str = ""
    whole: Callable[[str, Mapping[str, Any]], Iterable[UsageError]] = lambda where, values: ()
    """What is wrong with its values together, or with each as others check it; *where* begins a message."""
    hints: Mapping[str, str] = field(default_factory=dict)
    """What to do about keys that others take and this table does not."""


def _by_name(*keys: Key) -> Callable[[], Mapping[str, Key]]:
    return lambda: {key.name: key for key in keys}


_SWITCH = Kind("true or false", lambda value: isinstance(value, bool))

_RUNS = _by_name(
    Key(
        "inventory",
        INVENTORY,
        "the inventory of `audit`, `plan`, `push`, `traces` and `inventory show` if none is given",
        example="fleet.py",
        option="inventory",
    ),
    Key(
        "key_file",
        PATH,
        "file with the plan key, your own or the shared one; not from the working directory",
        example="plan.key",
        option="key_file",
        trusted=True,
        secret=True,
    ),
    Key("parallel", _whole(*PARALLEL), "hosts worked on at a time", SAFE.parallel, option="parallel"),
    Key(
        "processes",
        _whole(*PROCESSES),
        "processes that look at hosts; without it one, and for 500 hosts or more one a core, 4 at most",
        example=4,
        option="processes",
    ),
    Key(
        "max_unassessed",
        _share('a number of hosts, or a share of them such as "40%"', Allowance.parse),
        "more unassessed hosts than this make an `audit` and a `plan` fail: a number, a share, or both",
        example="40%",
        option="max_unassessed",
    ),
)
_LIMITS = _by_name(
    Key(
        "wave",
        _share(f'numbers of hosts or shares such as "10,100,25%", or "{ALL}"', _parse_wave),
        f'hosts in each wave; a last wave takes the rest; "{ALL}" is one wave',
        SAFE.wave,
        option="wave",
    ),
    Key("soak", _seconds(*SOAK), "seconds between waves", SAFE.soak, option="soak"),
    Key(
        "max_failures",
        _share(f'a number of hosts, a share such as "5,20%", or "{NONE}"', _parse_failures),
        f'more failures than this end the run; "{NONE}" takes the limit away',
        SAFE.max_failures,
        option="max_failures",
    ),
    Key(
        "min_reached",
        _share(f'a number of hosts, a share such as "50%", or "{NONE}"', _parse_reached),
        f'no further wave begins after one of which less was reached; "{NONE}" takes the limit away',
        SAFE.min_reached,
        option="min_reached",
    ),
    *(
        Key(
            f"per_{place}",
            _share(f'a number of hosts, or "{NONE}"', _parse_cap),
            f"hosts of one {place} in a wave, at most; the rest go to later waves",
            NONE,
            option=f"per_{place}",
        )
        for place in ("group", "site")
    ),
    Key(
        "max_restarts",
        _share(f'a number, or "{NONE}"', _parse_restarts),
        "a run does not begin if leaving the mode sets off more installs and restarts than this",
        NONE,
        option="max_restarts",
    ),
    Key("ramp", _SWITCH, "begin with one host at a time, then 2, 4 and so on as they end well", True, option="ramp"),
    Key("spread", _SWITCH, "take hosts of as many kinds as possible into the first wave", True, option="spread"),
    Key(
        "look_again",
        _SWITCH,
        "after each soak, look again at what `apply` has changed; a relapse counts as a failure",
        True,
        option="look_again",
    ),
    Key(
        "stop_file",
        PATH,
        "a run stops if this file is there; without it, the file `stop` in the state folder; not from the working "
        "directory",
        example="/run/provmode/stop",
        option="stop_file",
        trusted=True,
    ),
)


def _calendars(value: Any, folder: Path) -> list[str]:
    return [beside(path, folder) for path in ([value] if isinstance(value, str) else value)]


def _is_zone(value: Any) -> bool:
    if not _is_text(value):
        return False
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown, no name of a zone, a folder of zones
        return False
    return True


def _drain(value: Any, folder: Path) -> str:
    from provmode.fleet.windows import read_drain

    read_drain(value)
    return str(value)


CALENDARS = Kind(
    "a calendar, or a list of calendars",
    lambda value: _is_text(value) or (isinstance(value, list) and bool(value) and all(map(_is_text, value))),
    _calendars,
    cure='write it as in ["windows.ics"]',
)
_WINDOWS = _by_name(
    Key(
        "window",
        CALENDARS,
        "calendars (.ics) whose events are windows: `apply`, `push` and `undo` begin nothing outside",
        example=["windows.ics"],
        option="window",
    ),
    Key(
        "blackout",
        CALENDARS,
        "calendars whose events forbid, stronger than any window",
        example=["freeze.ics"],
        option="blackout",
    ),
    Key(
        "zone",
        Kind("a time zone as in Europe/Berlin", _is_zone),
        "time zone of the times and days in these calendars that name none; times are said in it",
        example="Europe/Berlin",
    ),
    Key(
        "drain",
        Kind("a length of time, such as 15m", _is_text, _drain),
        "how long a host may take: what is expected until hosts have ended, and at most",
        "15m",
        option="drain",
    ),
    Key(
        "gate",
        COMMAND,
        "what says before the start and each wave whether a run goes on (exit code 0); it gets JSON on standard input",
        example=["/usr/local/bin/may-we"],
        option="gate",
    ),
)


def _night(value: Any, folder: Path) -> str:
    from provmode.fleet.night import When

    return str(When.parse(value))


_CHANGE = _by_name(
    Key(
        "plans",
        PATH,
        "folder of the plans that the nights apply, each with its journal beside it; not from the working directory",
        example="/var/lib/provmode/plans",
        trusted=True,
    ),
    Key(
        "at",
        Kind('a time of day such as "22:00", or "Tue,Thu 22:00"', _is_text, _night),
        "when they are applied, by this computer's clock; it has to be within a window",
        "22:00",
    ),
)
_HISTORY = _by_name(
    Key(
        "url",
        HISTORY,
        "where runs are remembered: a file of SQLite, or PostgreSQL (its password stands in ~/.pgpass)",
        example="sqlite:///history.sqlite",
        near=_is_near,
    ),
    Key(
        "keep_days",
        _whole(*KEPT_DAYS),
        "runs older than this are forgotten, after each complete audit; without it `provmode history prune` forgets",
        example=730,
    ),
)
_NOTIFY = _by_name(
    Key(
        "command",
        COMMAND,
        "what `--notify` runs, with the drift as JSON on its standard input",
        example=["/usr/local/bin/tell-us"],
    ),
    Key(
        "words",
        Kind(
            f"a list of some of {', '.join(WORDS)}",
            lambda value: isinstance(value, list) and bool(value) and all(word in WORDS for word in value),
        ),
        "it is run only if one of these happened to a host",
        list(WORSE),
    ),
)
_WAIVERS = _by_name(
    Key(
        "file",
        PATH,
        "file of waivers: findings that are known, and who answers for them; not from the working directory",
        example="waivers.toml",
        option="waivers",
        trusted=True,
    ),
    Key(
        "max_days",
        _whole(*WAIVED_DAYS),
        "how many days after it was made a waiver ends at the latest; not from the working directory",
        MAX_DAYS,
        trusted=True,
    ),
)
_REPORT = _by_name(
    Key(
        "write",
        EXPORTS,
        "files that an `audit` and a `plan` of the whole inventory write; not from the working directory",
        example=["prometheus=/var/lib/prometheus/node-exporter/provmode.prom", "csv=/var/lib/provmode/audit.csv"],
        option="exports",
        trusted=True,
    )
)


def _signing_key(name: str, kind: Kind, says: str, example: Any, **more: Any) -> Key:
    return Key(name, kind, f"{says}; not from the working directory", example=example, trusted=True, **more)


_SIGNING = _by_name(
    _signing_key("plan_keys", PATHS, "public keys of who makes plans", ["alice.pub"]),
    _signing_key(
        *("journal_key", PATH, "your own private key, which signs journals", "bob.key"),
        option="journal_key",
        secret=True,
    ),
    _signing_key("journal_keys", PATHS, "public keys of who else applies and undoes plans", ["carol.pub"]),
    _signing_key("approvers", PATHS, "public keys of who may approve plans", ["bob.pub", "carol.pub"]),
    _signing_key(
        *("approvals", _whole(0, 9), "how many of them have to approve a plan; without it one, if there are any", 1)
    ),
)


def _wrong_in_signing(where: str, values: Mapping[str, Any]) -> Iterator[UsageError]:
    """Yield that more people have to approve than may."""
    approvers, needed = values.get("approvers", []), values.get("approvals", 0)
    if needed > len(approvers):
        yield UsageError(
            f"{where}: {needed} approvals are needed, and approvers names {len(approvers)}",
            next_step="name more approvers",
        )


_ANY = Kind("", lambda value: True)
"""What the check of the whole table looks at."""
_POLICY_SAYS = {
    "wait_for_self_healing": "leave a client alone that will leave the mode by itself",
    "grace_minutes": "minutes after its time limit before a client is overdue",
    "minimum_age_minutes": "a client in the mode for less than this never counts as stuck",
    "maximum_work_minutes": "a process at work for longer than this is a finding",
    "legitimate_processes": "names of processes that need the mode, beside the built-in ones",
    "not_legitimate_processes": "built-in names that do not count",
    "check_tcf": "whether `MobileClient.TCF` counts",
    "maximum_skew_minutes": "how far a PC's clock may be off before it is a finding",
    "only_in_maintenance_window": (
        "`apply` changes a PC only while a maintenance window of its own is open, if it has one"
    ),
}


def _policy_keys() -> Mapping[str, Key]:
    added = {"legitimate_processes": ["OurUpgrade.exe"]}  # an empty list is refused: it says nothing
    return {
        each.name: Key(
            each.name,
            _SWITCH if isinstance(each.default, bool) else _ANY,
            _POLICY_SAYS[each.name],
            list(each.default) if isinstance(each.default, tuple) else each.default,
            added.get(each.name),
        )
        for each in dataclasses.fields(Policy)
    }


def _wrong_in_policy(where: str, values: Mapping[str, Any]) -> Iterator[UsageError]:
    """Yield what `Policy` refuses: of each key by itself, and if that is nothing, of all together."""
    found = False
    for part in (*({key: value} for key, value in values.items()), values):
        if found and part is values:
            return
        try:
            Policy.from_mapping(part, where=where)
        except PolicyError as error:
            found = True
            yield UsageError(str(error))


_DATA_SHOWN = {
    "winrm_user": "auditor@EXAMPLE.COM",
    "winrm_password_file": "/etc/provmode/winrm-password",
    "winrm_transport": None,
    "winrm_scheme": None,
    "winrm_ca": "/etc/provmode/ca.pem",
    "winrm_connect_deadline": None,
}
"""The keys of host data that ``provmode init`` writes, with an example for those without a default."""
_DATA_PATHS = frozenset(
    {"winrm_ca", "winrm_certificate", "winrm_certificate_key", "winrm_kerberos_keytab", "winrm_password_file"}
)
_DATA_SECRETS = frozenset({"winrm_certificate_key", "winrm_kerberos_keytab", "winrm_password_file"})


@functools.cache
def _data_keys() -> Mapping[str, Key]:
    from provmode.connector.host_data import WINRM_DATA, kind_of

    def kind(name: str) -> Kind:
        if name in _DATA_PATHS:
            return PATH
        words, fits = kind_of(name)
        return Kind(words, fits)

    return {
        name: Key(
            *(name, kind(name), meta.description, meta.default, _DATA_SHOWN.get(name)), secret=name in _DATA_SECRETS
        )
        for name, meta in WINRM_DATA.items()
        if name != "winrm_password"
    }


def _wrong_in_data(where: str, values: Mapping[str, Any]) -> Iterator[UsageError]:
    from provmode.connector.host_data import mistakes_in

    return mistakes_in(where, values)


TABLES: Mapping[str, Table] = {
    "": Table(_RUNS),
    "limits": Table(_LIMITS, "How `apply`, `push` and `undo` go."),
    "windows": Table(_WINDOWS, "When `apply`, `push` and `undo` may change PCs: see docs/change-windows.md."),
    "change": Table(_CHANGE, "What `provmode systemd` has applied at night, inside the windows: see docs/running.md."),
    "history": Table(_HISTORY, "What runs remember. Without a url they remember nothing."),
    "notify": Table(_NOTIFY, "Who is told what changed since the last complete audit."),
    "waivers": Table(_WAIVERS, "Findings that are known; docs/waivers.md has the file."),
    "signing": Table(_SIGNING, "Whose plans and journals are believed, and who has to approve.", _wrong_in_signing),
    "report": Table(_REPORT, "What a run writes beside its report; --write counts instead."),
    "policy": Table(
        _policy_keys,
        "The policy of every host; docs/verdicts.md has the keys. The inventory's own data is stronger.",
        _wrong_in_policy,
    ),
    "data": Table(
        _data_keys,
        "Data of every host; docs/reference.md has all keys. The inventory's own data is stronger.",
        _wrong_in_data,
        {
            "winrm_password": "put it into $PROVMODE_PASSWORD, winrm_password_file or winrm_password_keyring",
            "provmode_policy": "write its keys under [policy]",
            "provmode_site": "it differs from host to host: write it into the inventory",
            **dict.fromkeys(
                ("provmode_guard", "provmode_mend_agent"), "it is for pyinfra's deploys, which do not read this file"
            ),
        },
    ),
}
"""Every table of the file by its name; the first is what stands before the others."""


@dataclass(frozen=True)
class Configuration:
    """What a file says. Without a file it says nothing."""

    path: Path | None = None
    found_by: str = ""
    """In words: the option, the variable or the place by which the file was found."""
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The values that stand in the file, by table and key."""
    handed: Mapping[str, str] = field(default_factory=dict)
    """The variable of the environment that led to the value of a key, by the key's name."""

    def table(self, name: str) -> Mapping[str, Any]:
        """Return the values of a table."""
        return self.values.get(name, {})

    @property
    def options(self) -> dict[str, Any]:
        """The values that stand for options of commands, by the option's name in Python."""
        return {
            key.option: self.table(name)[key.name]
            for name, table in TABLES.items()
            if self.table(name)
            for key in table.keys().values()
            if key.option and key.name in self.table(name)
        }

    @property
    def host_data(self) -> dict[str, Any]:
        """Data of every host, weaker than what the inventory says of them."""
        policy = dict(self.table("policy"))
        return {**self.table("data"), **({"provmode_policy": policy} if policy else {})}

    @property
    def secrets(self) -> dict[str, dict[str, str]]:
        """The files with secrets that it names, by table and key."""
        return {
            name: {
                key.name: self.table(name)[key.name]
                for key in table.keys().values()
                if key.secret and key.name in self.table(name)
            }
            for name, table in TABLES.items()
            if self.table(name)
        }

    def handed_over(self, variable: str, files: Mapping[str, str]) -> Configuration:
        """Return it with *files*, by the names of their keys, in place of those that it names with secrets.

        *variable* of the environment leads to them.
        """
        found = {name: {key: files[key] for key in named if key in files} for name, named in self.secrets.items()}
        values = {name: {**table, **found.get(name, {})} for name, table in self.values.items()}
        return replace(self, values=values, handed={key: variable for table in found.values() for key in table})


def checked(
    document: Mapping[str, Any],
    *,
    path: Path,
    found_by: str = "",
    from_working_directory: bool = False,
    tables: Mapping[str, Table] = TABLES,
) -> Configuration:
    """Return what a parsed file says.

    Raises:
        Mistakes: everything that is wrong with it.
    """
    mistakes: list[UsageError] = []
    values: dict[str, dict[str, Any]] = {}
    for name, table in _tables_of(document, path, tables, mistakes):
        where = f"{path}: [{name}]" if name else str(path)
        if not table:
            continue
        known, usable = tables[name].keys(), {}
        for key, value in table.items():
            try:
                usable[key] = _read(name, key, value, known, path, tables, from_working_directory)
            except UsageError as error:
                mistakes.append(error)
        mistakes += tables[name].whole(where, usable)
        values[name] = usable
    if mistakes:
        raise Mistakes(mistakes)
    return Configuration(path, found_by, values)


def _tables_of(
    document: Mapping[str, Any], path: Path, tables: Mapping[str, Table], mistakes: list[UsageError]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the known tables of a file by name; what should be a table and is none is a mistake."""
    yield "", {key: value for key, value in document.items() if key not in tables or not key}
    for name, value in document.items():
        if not name or name not in tables:
            continue
        if isinstance(value, Mapping):
            yield name, value
        else:
            mistakes.append(
                UsageError(f"{path}: {name} is not a table", next_step=f"write [{name}], and its keys below it")
            )


def _read(
    table: str,
    key: str,
    value: Any,
    known: Mapping[str, Key],
    path: Path,
    tables: Mapping[str, Table],
    from_working_directory: bool,
) -> Any:
    dotted = f"{table}.{key}" if table else key
    if key not in known:
        raise UsageError(
            f"{path}: there is no key {dotted}",
            next_step=tables[table].hints.get(key) or _meant(key, table, value, tables),
        )
    it = known[key]
    if from_working_directory and not it.from_anywhere:
        raise UsageError(
            f"{path}: {dotted} is not taken from the working directory, because whoever prepared it would decide "
            "what is run, believed or overwritten",
            next_step=f"name the file (--config {path}), or move it to /etc/provmode",
        )
    if not it.kind.fits(value):
        raise UsageError(f"{path}: {dotted} is not {it.kind.words}", next_step=it.kind.cure)
    if from_working_directory and it.near is not None and not it.near(value):
        raise UsageError(
            f"{path}: {dotted} leads out of the working directory, and whoever prepared that would decide where what "
            "was found goes",
            next_step=f"name the file (--config {path}), or move it to /etc/provmode",
        )
    try:
        return it.kind.read(value, path.parent)
    except UsageError as error:
        raise UsageError(f"{path}: {dotted} is not {it.kind.words}", next_step=error.next_step) from None


def _meant(key: str, table: str, value: Any, tables: Mapping[str, Table]) -> str:
    """Return a hint: where the key belongs, or the most similar known one."""
    if isinstance(value, Mapping):
        near = difflib.get_close_matches(key, [name for name in tables if name], n=1) if not table else []
        return f"did you mean [{near[0]}]?" if near else _LISTED
    names = {name: each.keys() for name, each in tables.items()}
    for name, keys in names.items():
        if key in keys:
            return f"it belongs under [{name}]" if name else "it belongs at the top, before the first [table]"
    near = difflib.get_close_matches(key, names[table], n=1)
    if near:
        return f"did you mean {near[0]}?"
    for name, keys in names.items():
        near = difflib.get_close_matches(key, keys, n=1)
        if near:
            return f"did you mean {near[0]} under [{name}]?" if name else f"did you mean {near[0]} at the top?"
    return _LISTED


_LISTED = "docs/reference.md lists the keys, and provmode init writes them all"


# -- the file that `provmode init` writes ---------------------------------------------------------------------------


def toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def commented() -> str:
    """Return a configuration file with every key in a comment, and what it holds."""
    lines = [
        "# What provmode takes from here, unless an option says otherwise: `provmode config` shows what holds.",
        "# Take the # from the beginning of a line to set its key. Relative paths begin in the folder of this file.",
        "# Nobody but you and root may be able to write to this file and its folder.",
    ]
    for name, table in TABLES.items():
        lines.append("")
        if name:
            lines += [f"# {table.says}", f"[{name}]"]
        for key in table.keys().values():
            if name != "data" or key.name in _DATA_SHOWN:
                lines += [f"# {key.says}", f"#{key.name} = {toml(key.shown)}"]
    return "\n".join(lines) + "\n"
