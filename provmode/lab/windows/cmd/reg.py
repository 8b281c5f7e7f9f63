"""``reg``: query, add and delete.

The layout of its output is Windows' own, as the tests of Wine's ``reg`` have recorded it: with ``/s`` each key is
shown once, and a key with neither values nor anything to show above it is a line of its own.
"""

from __future__ import annotations

import re
from typing import Any

from provmode.lab.windows.cmd.texts import message
from provmode.lab.windows.session import Session
from provmode.lab.windows.store import HIVES, Data, RegType, RegValue

_HIVES = {name: number for number, name in HIVES.items()} | {
    "HKEY_LOCAL_MACHINE": 0x80000002,
    "HKEY_CURRENT_USER": 0x80000001,
    "HKEY_CLASSES_ROOT": 0x80000000,
    "HKEY_USERS": 0x80000003,
}
_LONG = {0x80000002: "HKEY_LOCAL_MACHINE", 0x80000001: "HKEY_CURRENT_USER", 0x80000000: "HKEY_CLASSES_ROOT"}


def reg(session: Session, words: list[str]) -> int:
    """Run ``reg`` with these arguments."""
    verbs = {"query": _reg_query, "add": _reg_add, "delete": _reg_delete}
    if len(words) < 2 or words[0].lower() not in verbs:
        session.print_error(message(session.pc, "reg-syntax"))
        return 1
    key = _parse_key(words[1], [word.lower() for word in words])
    if key is None:
        session.print_error(message(session.pc, "reg-syntax"))
        return 1
    return verbs[words[0].lower()](session, key, words[2:])


def _parse_key(text: str, flags: list[str]) -> tuple[int, str] | None:
    hive, _, path = text.partition("\\")
    if hive.upper() not in _HIVES:
        return None
    if "/reg:32" in flags and re.match(r"software\\(?!wow6432node)", path, re.IGNORECASE):
        path = f"SOFTWARE\\Wow6432Node\\{path.partition(chr(92))[2]}"
    return _HIVES[hive.upper()], path.strip("\\")


def option(words: list[str], name: str) -> str | None:
    """Return the word after the option *name*."""
    lowered = [word.lower() for word in words]
    at = lowered.index(name) + 1 if name in lowered else len(words)
    return words[at] if at < len(words) else None


def _reg_query(session: Session, key: tuple[int, str], words: list[str]) -> int:
    hive, path = key
    registry = session.pc.registry
    wanted = option(words, "/v")
    whole_tree = "/s" in (word.lower() for word in words)
    if not registry.key_exists(hive, path) or (
        wanted is not None and not whole_tree and registry.get(hive, path, wanted) is None
    ):
        session.print_error(message(session.pc, "reg-not-found"))
        return 1
    session.print("\r\n")
    if whole_tree:
        return _reg_query_tree(session, hive, path, wanted)
    _print_key(session, hive, path, wanted)
    if wanted is None:
        subkeys = registry.subkeys(hive, path) or []
        session.print("\r\n" if subkeys else "")
        for name in subkeys:
            session.print(f"{_full(hive, path)}\\{name}\r\n")
    session.print("\r\n")
    return 0


def _reg_query_tree(session: Session, hive: int, path: str, wanted: str | None) -> int:
    """Show a key and all below it; with *wanted* only values of that name, and how many there were."""
    found, waiting = 0, [path]
    while waiting:
        at = waiting.pop()
        registry = session.pc.registry
        if wanted is not None:
            if registry.get(hive, at, wanted) is not None:
                found += 1
                _print_key(session, hive, at, wanted)
                session.print("\r\n")
        elif registry.values(hive, at) or at != path:
            _print_key(session, hive, at, None)
            session.print("\r\n")
        waiting += [f"{at}\\{name}" for name in reversed(registry.subkeys(hive, at) or [])]
    if wanted is not None:
        session.print(message(session.pc, "reg-matches", str(found)))
    return 0 if found or wanted is None else 1


def _full(hive: int, path: str) -> str:
    return f"{_LONG.get(hive, HIVES[hive])}\\{path}"


def _print_key(session: Session, hive: int, path: str, wanted: str | None) -> None:
    session.print(f"{_full(hive, path)}\r\n")
    unnamed = "(Standard)" if session.pc.german else "(Default)"
    for value in session.pc.registry.values(hive, path) or []:
        if wanted is None or value.name.lower() == wanted.lower():
            session.print(f"    {value.name or unnamed}    REG_{value.type.name}    {_data_text(value)}\r\n")


def _data_text(value: RegValue) -> str:
    data: Any = value.data
    if value.type in (RegType.DWORD, RegType.QWORD):
        return f"0x{data:x}"
    if value.type is RegType.BINARY:
        return bytes(data).hex().upper()
    return "\\0".join(data) if value.type is RegType.MULTI_SZ else str(data)


def _reg_add(session: Session, key: tuple[int, str], words: list[str]) -> int:
    hive, path = key
    name, data = option(words, "/v"), option(words, "/d") or ""
    kind = (option(words, "/t") or "REG_SZ").upper().removeprefix("REG_")
    if kind not in RegType.__members__:
        session.print_error(message(session.pc, "reg-syntax"))
        return 1
    parsed = _parse_data(kind, data)
    if parsed is None:
        session.print_error(message(session.pc, "reg-syntax"))
        return 1
    session.pc.registry.create_key(hive, path)
    if name is not None:
        session.pc.registry.set(hive, path, name, RegType[kind], parsed)
    session.print(message(session.pc, "reg-done"))
    return 0


def _parse_data(kind: str, data: str) -> Data | None:
    """Return the data of ``/d`` in this type; ``None``: not valid in this type."""
    if kind in ("DWORD", "QWORD"):
        if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{0,20}", data):
            return None
        number = int(data, 16) if data[:2].lower() == "0x" else int(data or "0")
        return number if number < 2 ** (32 if kind == "DWORD" else 64) else None
    if kind == "BINARY":
        return bytes.fromhex(data) if re.fullmatch(r"(?:[0-9a-fA-F]{2})*", data) else None
    return tuple(data.split("\\0")) if kind == "MULTI_SZ" else data


def _reg_delete(session: Session, key: tuple[int, str], words: list[str]) -> int:
    hive, path = key
    name = option(words, "/v")
    registry = session.pc.registry
    done = registry.delete_value(hive, path, name) if name is not None else registry.delete_key(hive, path)
    if not done:
        session.print_error(message(session.pc, "reg-not-found"))
        return 1
    session.print(message(session.pc, "reg-done"))
    return 0
