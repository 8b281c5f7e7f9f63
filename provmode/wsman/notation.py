"""Operations as text, in the grammar of Windows' ``winrm`` command line. Pure.

You can paste what provmode prints into a Windows prompt. A line pasted into provmode is performed natively, without
the ``winrm`` tool::

    winrm get wmi/root/ccm/SMS_Client
    winrm enumerate wmicimv2/* -dialect:WQL -filter:"SELECT Name,State FROM Win32_Service WHERE Name='CcmExec'"
    winrm invoke GetStringValue wmicimv2/StdRegProv @{hDefKey="2147483650";sSubKeyName="SOFTWARE\\...";sValueName="x"}

Sources: Microsoft, "winrm" help texts and ``winrm.vbs`` (patterns of options, hashes and the last part of the URI).
The tool has no escape for ``"`` and splits selectors at ``+``. If the text of an operation would not read back as the
same operation, it is refused (`NotationError`), never printed. Every other text is a command line for ``cmd.exe``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from provmode.wsman.operations import (
    WMI,
    CommandLine,
    Enumerate,
    Get,
    Identify,
    Invoke,
    Operation,
    Put,
    Resource,
    Value,
)
from provmode.wsman.values import wire_text


class NotationError(ValueError):
    """Your mistake: a text outside the grammar, or an operation that the grammar cannot express."""


ALIASES: dict[str, str] = {
    # the longer alias first if one begins with another
    "wmicimv2": f"{WMI}/root/cimv2",
    "wmi": WMI,
    "cimv2": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2",
    "shell": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "winrm": "http://schemas.microsoft.com/wbem/wsman/1",
    "wsman": "http://schemas.microsoft.com/wbem/wsman/1",
}
"""The tool's short names for prefixes of resource URIs."""

_VERBS = {
    **dict.fromkeys(("get", "g"), "get"),
    **dict.fromkeys(("enumerate", "e", "enum"), "enumerate"),
    **dict.fromkeys(("invoke", "i"), "invoke"),
    **dict.fromkeys(("set", "s"), "set"),
    **dict.fromkeys(("identify", "id"), "identify"),
}

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SELECTOR_VALUE = re.compile(r"[^\s+?\"=&|<>^%@{};]+")
_URI_PATH = re.compile(r"[A-Za-z0-9_./:*-]+")
_PAIR = re.compile(r"\s*([\w:]+)\s*=\s*(\$null|\"([^\"]*)\")\s*")
_WQL_DIALECTS = ("wql", "http://schemas.microsoft.com/wbem/wsman/1/wql")


# -- writing --------------------------------------------------------------------------------------------------


def format_operation(operation: Operation) -> str:
    """Return *operation* in the tool's grammar; `parse` reads back the same operation, with values as wire text.

    Raises:
        NotationError: the grammar cannot express *operation*.
    """
    if isinstance(operation, CommandLine):
        return _checked_line(operation)
    if isinstance(operation, Identify):
        return "winrm identify"
    uri = _write_resource(operation.resource)
    if isinstance(operation, Get):
        return f"winrm get {uri}"
    if isinstance(operation, Enumerate):
        if operation.wql is None:
            return f"winrm enumerate {uri}"
        return f"winrm enumerate {uri} -dialect:WQL -filter:{_quote(operation.wql, 'a query')}"
    if isinstance(operation, Invoke):
        return f"winrm invoke {_checked_name(operation.method)} {uri}{_write_hash(operation.parameters)}"
    return f"winrm set {uri}{_write_hash(operation.properties)}"


def describe(operation: Operation) -> str:
    """Return *operation* in a few words, for messages; never raises."""
    if isinstance(operation, Identify):
        return "Identify"
    if isinstance(operation, CommandLine):
        line = operation.line if len(operation.line) <= 80 else f"{operation.line[:77]}..."
        return f"the command {line}"
    resource = operation.resource
    key = ",".join(value for _, value in resource.selectors)
    target = f"{resource.class_name} {key}".rstrip()
    if isinstance(operation, Get):
        return f"Get {target}"
    if isinstance(operation, Enumerate):
        return f"the query {operation.wql}" if operation.wql is not None else f"Enumerate {target}"
    if isinstance(operation, Invoke):
        return f"Invoke {operation.method} on {target}"
    return f"Put {target}"


def _checked_line(operation: CommandLine) -> str:
    if _is_winrm(operation.line):
        raise NotationError(f"the command line {operation.line[:60]!r} would read back as a winrm operation")
    return operation.line


def _write_resource(resource: Resource) -> str:
    if not _URI_PATH.fullmatch(resource.uri):
        raise NotationError(f"the resource URI {resource.uri!r} cannot be written")
    text = resource.uri
    for alias, prefix in ALIASES.items():
        if text.startswith(prefix + "/"):
            text = alias + text[len(prefix) :]
            break
    if not resource.selectors:
        return text
    for name, value in resource.selectors:
        if not _NAME.fullmatch(name) or not _SELECTOR_VALUE.fullmatch(value):
            raise NotationError(f"the selector {name}={value!r} cannot be written: the winrm tool has no escape for it")
    return text + "?" + "+".join(f"{name}={value}" for name, value in resource.selectors)


def _write_hash(pairs: Iterable[tuple[str, Value]]) -> str:
    written = [item for name, value in pairs for item in _write_pair(name, value)]
    return f" @{{{';'.join(written)}}}" if written else ""


def _write_pair(name: str, value: Value) -> list[str]:
    """Return one pair, or for an array one pair per element, as the tool wants them."""
    _checked_name(name)
    if isinstance(value, tuple):
        if len(value) < 2:
            raise NotationError(f"{name}: an array of {len(value)} would read back as something else")
        if any(item is None or isinstance(item, tuple) for item in value):
            raise NotationError(f"{name}: an array with an array or a null in it cannot be written")
        return [pair for item in value for pair in _write_pair(name, item)]
    if value is None:
        return [f"{name}=$null"]
    try:
        text = wire_text(value)
    except ValueError:
        raise NotationError(f"{name}: an object or reference cannot be written") from None
    return [f"{name}={_quote(text, name)}"]


def _quote(text: str, what: str) -> str:
    if '"' in text or "\n" in text or "\r" in text:
        raise NotationError(f'{what} contains a " or a line break, for which the winrm tool has no escape')
    return f'"{text}"'


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise NotationError(f"{name!r} is not a name of a method, parameter or property")
    return name


# -- reading --------------------------------------------------------------------------------------------------


def parse(text: str) -> Operation:
    """Return the operation in *text*; a text that is not a ``winrm`` command is a `CommandLine`.

    Raises:
        NotationError: *text* begins like a ``winrm`` command but is not in the grammar.
    """
    stripped = text.strip()
    if not _is_winrm(stripped):
        return CommandLine(text)
    _, verb, rest = (*stripped.split(None, 2), "")[:3]
    verb = _VERBS[verb.lower()]
    if verb == "identify":
        _nothing_left(rest)
        return Identify()
    method = ""
    if verb == "invoke":
        method, _, rest = rest.strip().partition(" ")
        _checked_name(method)
    uri, _, rest = rest.strip().partition(" ")
    if not uri:
        raise NotationError(f"winrm {verb} needs a resource URI, such as wmicimv2/Win32_Service?Name=CcmExec")
    resource = _read_resource(uri)
    if verb == "enumerate":
        return Enumerate(resource, _read_filter(rest))
    if verb == "get":
        _nothing_left(rest)
        return Get(resource)
    pairs = _read_hash(rest)
    return Invoke(resource, method, pairs) if verb == "invoke" else Put(resource, pairs)


def _is_winrm(text: str) -> bool:
    words = text.split(None, 2)
    return len(words) >= 2 and words[0].lower() in ("winrm", "winrm.cmd") and words[1].lower() in _VERBS


def _read_resource(text: str) -> Resource:
    path, _, query = text.partition("?")
    if not _URI_PATH.fullmatch(path):
        raise NotationError(f"{path!r} is not a resource URI")
    alias, slash, rest = path.partition("/")
    if slash and alias.lower() in ALIASES:
        path = f"{ALIASES[alias.lower()]}/{rest}"
    elif not path.lower().startswith("http://"):
        raise NotationError(f"{path!r} does not begin with one of {', '.join(ALIASES)} or http://")
    selectors = []
    for pair in query.split("+") if query else ():
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise NotationError(f"{pair!r} is not a selector (Name=Value, several joined by +)")
        selectors.append((name, value.strip('"')))
    return Resource(path, tuple(selectors))


def _read_filter(text: str) -> str | None:
    """Return the WQL of ``-dialect:WQL -filter:"..."``, in either order; ``None`` if there is no filter."""
    wql: str | None = None
    position = 0
    option = re.compile(r"\s*-([a-zA-Z]+):(\"([^\"]*)\"|\S+)\s*")
    while position < len(text):
        match = option.match(text, position)
        if match is None:
            raise NotationError(f'{text[position:][:60]!r} is not an option (-filter:"..." or -dialect:WQL)')
        name, value = match.group(1).lower(), match.group(3) if match.group(3) is not None else match.group(2)
        if name == "filter":
            wql = value
        elif name != "dialect" or value.lower() not in _WQL_DIALECTS:
            raise NotationError(f"-{name}:{value[:40]} is not supported: only -filter and -dialect:WQL are")
        position = match.end()
    return wql


def _read_hash(text: str) -> tuple[tuple[str, Value], ...]:
    """Return the pairs of ``@{k="v";...}``; a repeated key becomes an array, at the place of the first one."""
    text = text.strip()
    if not text:
        return ()
    if not text.startswith("@{") or not text.endswith("}"):
        raise NotationError(f'{text[:60]!r} is not a hash such as @{{Name="Value";...}}')
    inner, position = text[2:-1], 0
    values: dict[str, list[str | None]] = {}
    while position < len(inner):
        match = _PAIR.match(inner, position)
        if match is None:
            raise NotationError(f'{inner[position:][:60]!r} is not Name="Value" (the winrm tool has no escape for ")')
        values.setdefault(match.group(1), []).append(None if match.group(2) == "$null" else match.group(3))
        position = match.end()
        if position < len(inner):
            if inner[position] != ";":
                raise NotationError(f"{inner[position:][:60]!r}: pairs are separated by ;")
            position += 1
    return tuple((name, items[0] if len(items) == 1 else tuple(items)) for name, items in values.items())


def _nothing_left(text: str) -> None:
    if text.strip():
        raise NotationError(f"{text.strip()[:60]!r} is not expected here: the command is already complete")
