"""What holds of each key of the configuration, and where it comes from: an option, the environment, the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provmode import __version__
from provmode.fleet.configuration import TABLES, Configuration

FORMAT, VERSION = "provmode-config", 1

OPTION, ENVIRONMENT, FILE, DEFAULT = "option", "environment", "file", "default"


@dataclass(frozen=True)
class Holding:
    """What holds of one key, and where it comes from."""

    key: str
    value: Any
    """``None`` if nothing holds, or if it is not shown."""
    source: str
    """`OPTION`, `ENVIRONMENT`, `FILE` or `DEFAULT`."""
    place: str
    """The option, the variable, or the file's path; empty for a default."""
    hidden: bool = False
    """Whether there is a value that is not shown, because it is a secret or could be one."""

    def to_json(self) -> dict[str, Any]:
        """Return the row (contract)."""
        return {"key": self.key, "value": self.value, "source": self.source, "from": self.place or None}


def holdings(
    configuration: Configuration,
    *,
    options: Mapping[str, Any],
    data: Mapping[str, Any],
    environment: Mapping[str, str],
    variables: Mapping[str, str],
    defaults: Mapping[str, Any] | None = None,
) -> list[Holding]:
    """Return what holds of each key: *options* and host *data* of the command line, the *environment*, the file.

    *variables* names the variables of the environment that count, by the key that they stand for. They come before the
    file for options, and after it for host data, as in every run. *defaults* are those that depend on the user, by key.
    """
    rows: list[Holding] = []
    for name, table in TABLES.items():
        if name == "data":
            continue
        for key in table.keys().values():
            dotted, variable = (f"{name}.{key.name}" if name else key.name), variables.get(key.name, "")
            if key.option in options and key.option:
                option = key.option.replace("_", "-")
                rows.append(Holding(dotted, options[key.option], OPTION, _option(option)))
            elif variable and variable in environment:
                rows.append(Holding(dotted, None, ENVIRONMENT, f"${variable}", hidden=True))
            elif key.name in configuration.table(name):
                rows.append(Holding(dotted, configuration.table(name)[key.name], *_origin(configuration, key.name)))
            else:
                rows.append(Holding(dotted, (defaults or {}).get(dotted, key.default), DEFAULT, ""))
    here = configuration.table("data")
    for key_name in sorted({*data, *here}):
        given = key_name in data
        value = data[key_name] if given else here[key_name]
        source = (OPTION, "--data") if given else _origin(configuration, key_name)
        hidden = _could_be_a_secret(key_name, value, environment)
        rows.append(Holding(f"data.{key_name}", None if hidden else value, *source, hidden=hidden))
    for key_name in ("winrm_user", "winrm_password"):
        variable = variables[key_name]
        if environment.get(variable) and key_name not in {*data, *here}:
            hidden = key_name == "winrm_password"
            shown = None if hidden else environment[variable]
            rows.append(Holding(f"data.{key_name}", shown, ENVIRONMENT, f"${variable}", hidden=hidden))
    return rows


def _origin(configuration: Configuration, key: str) -> tuple[str, str]:
    """Return source and place of a value that the configuration holds."""
    if key in configuration.handed:
        return ENVIRONMENT, f"${configuration.handed[key]}"
    return FILE, str(configuration.path)


def _option(name: str) -> str:
    return {"inventory": "INVENTORY", "exports": "--write"}.get(name, f"--{name}")


def _could_be_a_secret(key: str, value: Any, environment: Mapping[str, str]) -> bool:
    """Return whether the value of a key that says where the password is could be the password itself."""
    if key == "winrm_password_file":
        return not (isinstance(value, str) and os.path.exists(os.path.expanduser(value)))
    if key == "winrm_password_env":
        return not (isinstance(value, str) and value in environment)
    return key in ("winrm_password", "winrm_password_keyring")


def document(configuration: Configuration, rows: Iterable[Holding]) -> dict[str, Any]:
    """Return what holds as JSON (contract)."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "provmode": __version__,
        "file": str(configuration.path) if configuration.path is not None else None,
        "found_by": configuration.found_by or None,
        "values": [row.to_json() for row in rows],
    }
