"""The ``winrm_*`` keys of an inventory: their meaning, and the target made from them.

The connector reads them. Secrets are looked up only when it connects to a host, so no inventory has to contain one.
"""

from __future__ import annotations

import codecs
import dataclasses
import difflib
import functools
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, get_type_hints, runtime_checkable

from pyinfra.api.exceptions import ConnectorDataTypeError
from pyinfra.api.hiddenvalue import HiddenValue
from pyinfra.api.util import raise_if_bad_type
from pyinfra.connectors.base import DataMeta

from provmode.connector.mistakes import (
    check_address,
    check_basic,
    check_keytab,
    check_libraries,
    check_path,
    check_port,
    check_user,
    check_visible,
)
from provmode.errors import UsageError
from provmode.packages.wanted import PACKAGES, PROVISIONERS
from provmode.windows.codepages import codec_of
from provmode.windows.names import first_label, is_address

if TYPE_CHECKING:
    from provmode.ccm.policy import Lowered
    from provmode.transport.target import Target
    from provmode.wsman.operations import CommandLine


class WinRMData(TypedDict):
    """Types of the keys; meanings and defaults are in `WINRM_DATA`."""

    winrm_address: str
    winrm_computer: str
    winrm_port: int
    winrm_scheme: str
    winrm_path: str
    winrm_transport: str
    winrm_stack: str
    winrm_user: str
    winrm_password: Any
    winrm_password_env: str
    winrm_password_file: str
    winrm_password_keyring: str
    winrm_ca: str
    winrm_validate: bool
    winrm_certificate: str
    winrm_certificate_key: str
    winrm_kerberos_keytab: str
    winrm_kerberos_host: str
    winrm_kerberos_delegation: bool
    winrm_credssp_mechanism: str
    winrm_basic_over_http: bool
    winrm_connect_deadline: float | int
    winrm_read_deadline: float | int
    winrm_host_deadline: float | int
    winrm_codepage: int
    winrm_read_only: bool


PASSWORD_ENVIRONMENT = "PROVMODE_PASSWORD"  # noqa: S105 - the name of a variable
USER_ENVIRONMENT = "PROVMODE_USER"

WINRM_DATA: dict[str, DataMeta] = {
    "winrm_address": DataMeta("Name or IP address to connect to", None),
    "winrm_computer": DataMeta("Name of the PC that is meant, if the host's name here is not its own", None),
    "winrm_port": DataMeta("TCP port; 5985 for http, 5986 for https", None),
    "winrm_scheme": DataMeta("http (sealed by the authentication) or https", "http"),
    "winrm_path": DataMeta("Path of the listener", "/wsman"),
    "winrm_transport": DataMeta("ntlm, kerberos, credssp, certificate or basic", "ntlm"),
    "winrm_stack": DataMeta("lean or pywinrm: which code speaks HTTP for ntlm and kerberos", "lean"),
    "winrm_user": DataMeta(f"DOMAIN\\user, user@domain or a local account; else ${USER_ENVIRONMENT}", None),
    "winrm_password": DataMeta("The password itself; better one of the three below", None),
    "winrm_password_env": DataMeta("Name of the environment variable that holds it", PASSWORD_ENVIRONMENT),
    "winrm_password_file": DataMeta("File whose first line is the password", None),
    "winrm_password_keyring": DataMeta("Service in the system keyring under which it is kept for the user", None),
    "winrm_ca": DataMeta("PEM file of the CAs to believe over https; else the system's own", None),
    "winrm_validate": DataMeta("Whether certificates are validated", True),
    "winrm_certificate": DataMeta("PEM file of the client certificate (transport certificate)", None),
    "winrm_certificate_key": DataMeta("PEM file of its key", None),
    "winrm_kerberos_keytab": DataMeta("Keytab with the account's keys, for Kerberos without kinit or password", None),
    "winrm_kerberos_host": DataMeta("Host part of the service principal, where it is not the address", None),
    "winrm_kerberos_delegation": DataMeta("Whether the ticket is delegated to the PC", False),
    "winrm_credssp_mechanism": DataMeta("ntlm or kerberos: how the account logs on inside of CredSSP", "ntlm"),
    "winrm_basic_over_http": DataMeta("Accept that Basic over plain http sends the password readable", False),
    "winrm_connect_deadline": DataMeta("Seconds for name and TCP connection", 5.0),
    "winrm_read_deadline": DataMeta("Seconds for one answer", 30.0),
    "winrm_host_deadline": DataMeta("Seconds for everything asked of a PC at a time, retries included", 120.0),
    "winrm_codepage": DataMeta("Console code page of command lines; 65001 is UTF-8", 65001),
    "winrm_read_only": DataMeta("Refuse every command that changes the PC; true if it is true at any place", False),
}
"""Meaning and default of each key."""

KEYS = frozenset(WINRM_DATA)

SAY_WHERE_THE_PASSWORD_IS = frozenset({"winrm_password_env", "winrm_password_file", "winrm_password_keyring"})
"""Keys that say where the password is. Some put the password itself there, so no error shows their values."""


@functools.lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    """Return the type of each key; evaluating them costs as much as a question to a PC."""
    return get_type_hints(WinRMData)


def kind_of(key: str) -> tuple[str, Callable[[Any], bool]]:
    """Return in words what the value of a key has to be, and whether a value is that."""
    kind = _types()[key]
    words = _WORDS.get(kind, "a number")
    return words, lambda value: _fits(value, kind)


_WORDS: Mapping[Any, str] = {str: "text, in quotes", int: "a whole number", bool: "true or false"}


def typed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return every key of `WINRM_DATA` with its value in a host's *data*, or its default.

    Raises:
        ConnectorDataTypeError: a value has another type; pyinfra's own error about it.
    """
    found = {}
    for key, kind in _types().items():
        if key in data:
            raise_if_bad_type(data[key], kind, ConnectorDataTypeError, f"Invalid connector data `{key}`:")
        found[key] = data.get(key, WINRM_DATA[key].default)
    return found


SITE = "provmode_site"
"""The key that says where a PC is."""
OTHER_KEYS = frozenset({"provmode_policy", "provmode_guard", "provmode_mend_agent", SITE, PACKAGES, PROVISIONERS})
"""Our own keys that the connector does not use."""


def combined(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a host's data from several places (``all``, each group, the host, ``--data``), the weakest first.

    As in pyinfra, the last value of a key holds. Two keys protect, so every place counts: ``winrm_read_only`` is true
    if it is true anywhere, and ``provmode_policy`` is combined key by key.
    """
    data: dict[str, Any] = {}
    policies: list[Any] = []
    for layer in layers:
        read_only = data.get("winrm_read_only")
        data.update(layer)
        if read_only not in (None, False):  # also a value of the wrong type, which is refused later
            data["winrm_read_only"] = read_only
        if layer.get("provmode_policy") is not None:
            policies.append(layer["provmode_policy"])
    if policies:
        from provmode.ccm.policy import merged

        data["provmode_policy"] = merged(policies)
    return data


def lowered_by(data: Mapping[str, Any]) -> tuple[Lowered, ...]:
    """Return the keys in a host's data that protect the password or the connection less than the defaults."""
    from provmode.ccm.policy import Lowered

    own = {key: data.get(key, meta.default) for key, meta in WINRM_DATA.items()}
    found = []
    if own["winrm_scheme"] == "https" and not own["winrm_validate"]:
        found.append(Lowered("winrm_validate", False, "certificates are not validated"))
    if own["winrm_scheme"] == "http" and own["winrm_transport"] == "basic" and own["winrm_basic_over_http"]:
        found.append(Lowered("winrm_basic_over_http", True, "the password and everything else is sent readable"))
    if own["winrm_transport"] == "kerberos" and own["winrm_kerberos_delegation"]:
        found.append(Lowered("winrm_kerberos_delegation", True, "the PC gets the account's ticket"))
    return tuple(found)


def check_keys(name: str, data: Mapping[str, Any]) -> None:
    """Refuse unknown keys with our prefixes: a misspelt key would be ignored silently.

    Raises:
        UsageError: names the key, and the most similar known one.
    """
    for key in data:
        if key.startswith(("winrm_", "provmode_")) and key not in KEYS and key not in OTHER_KEYS:
            raise UsageError(f"data of {name}: there is no key {key}", next_step=nearest_key(key))


def nearest_key(key: str) -> str:
    """Return a hint: the key that was probably meant."""
    close = difflib.get_close_matches(key, [*KEYS, *OTHER_KEYS], n=1)
    return f"did you mean {close[0]}?" if close else "docs/reference.md lists the keys"


def read_override(data: tuple[str, ...]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` pairs; a value that is JSON (number, boolean, object) is parsed, as in pyinfra.

    Raises:
        UsageError: a pair without ``=``, a key that does not exist, or a password.
    """
    override: dict[str, Any] = {}
    for pair in data:
        key, sign, value = pair.partition("=")
        if not sign:
            raise UsageError(f"--data {key} has no value", next_step="write --data KEY=VALUE")
        if key == "winrm_password":
            raise UsageError(
                "--data winrm_password: every user of this computer could read it in the list of processes",
                next_step=f"put it into ${PASSWORD_ENVIRONMENT}, winrm_password_file or winrm_password_keyring",
            )
        if key not in KEYS and key not in OTHER_KEYS:
            raise UsageError(f"--data {key}: there is no such key", next_step=nearest_key(key))
        try:
            override[key] = json.loads(value)
        except ValueError:
            override[key] = value
    return override


def check_files(name: str, data: Mapping[str, Any], checked: set[tuple[str, str]]) -> None:
    """Check that the files named in the data of *name* can be read, each once per run: *checked* remembers them.

    Raises:
        UsageError: a file cannot be read or has the wrong content; nothing was sent to any PC.
    """
    from provmode.transport.target import Trust
    from provmode.transport.tls import tls_context

    ca, password_file = data.get("winrm_ca"), data.get("winrm_password_file")
    if isinstance(ca, str) and ("winrm_ca", ca) not in checked:
        tls_context(Trust(ca=_path(ca)))
        checked.add(("winrm_ca", ca))
    certificate, key = data.get("winrm_certificate"), data.get("winrm_certificate_key")
    if isinstance(certificate, str) and isinstance(key, (str, type(None))):
        pair = ("winrm_certificate", f"{certificate}\n{key}")
        if pair not in checked:
            tls_context(Trust(validate=False), _path(certificate), _path(key))
            checked.add(pair)
    keytab = data.get("winrm_kerberos_keytab")
    if isinstance(keytab, str) and ("winrm_kerberos_keytab", keytab) not in checked:
        check_keytab(name, _path(keytab))
        checked.add(("winrm_kerberos_keytab", keytab))
    if isinstance(password_file, str) and ("winrm_password_file", password_file) not in checked:
        _first_line(name, password_file)
        checked.add(("winrm_password_file", password_file))


def check_target(name: str, data: Mapping[str, Any], checked: set[tuple[str, str]]) -> None:
    """Build the target from the data of *name* and discard it, so that a mistake ends the run at once.

    This does not ask the keyring. Data that many hosts share is checked once.

    Raises:
        UsageError: as `target_of`, or a value has the wrong type; nothing was sent to any PC.
    """
    short, computer, port = name.rpartition("/")[2], data.get("winrm_computer"), data.get("winrm_port")
    _check_computer(short, computer)
    _address(short, {"winrm_address": data.get("winrm_address")})
    said = [(key, repr(value)) for key, value in data.items() if key in WINRM_DATA and key not in _OF_ONE_HOST]
    shared = ("target", repr(sorted(said)))
    if shared not in checked:
        _check_shared(name, {key: data.get(key, meta.default) for key, meta in WINRM_DATA.items()}, computer)
        checked.add(shared)
    _check_type(short, "winrm_port", port)
    _port(short, {"winrm_port": port}, data.get("winrm_scheme") or "http")


_OF_ONE_HOST = frozenset({"winrm_address", "winrm_computer", "winrm_port"})
"""Keys that each host has a value of its own for, and that mean nothing for the others."""


def _check_shared(name: str, own: dict[str, Any], computer: Any) -> None:
    from provmode.transport.target import check_credentials

    for key, value in own.items():
        if key not in ("winrm_computer", "winrm_port"):
            _check_type(name.rpartition("/")[2], key, value)
    keyring = own.pop("winrm_password_keyring")
    own |= {"winrm_password_keyring": None, "winrm_computer": computer, "winrm_port": None}
    target = target_of(name, {**own, **({"winrm_password": "-"} if keyring else {})})
    check_credentials(target.endpoint, target.credentials)


def _check_type(name: str, key: str, value: Any) -> None:
    wanted = _types()[key]
    if value is not None and wanted is not Any and not _fits(value, wanted):
        shown = "" if key in SAY_WHERE_THE_PASSWORD_IS else f" {value!r},"
        raise UsageError(f"{name}: {key} is{shown} of the wrong type")


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, wanted)


@runtime_checkable
class Renewable(Protocol):
    """A password that is changed by itself where it is kept, and can be read anew."""

    @property
    def user(self) -> str:
        """The user that the host's data names."""

    @property
    def logon(self) -> tuple[str, str]:
        """The user and the password, as they were read the last time."""

    def renew(self) -> tuple[str, str]:
        """Read both anew, once.

        Raises:
            NotRenewed: there is no other one, or it cannot be read.
        """


def target_of(host_name: str, data: Mapping[str, Any]) -> Target:
    """Return the target made from a host's data, including the password.

    Raises:
        UsageError: a value cannot be used; the message names its key and never contains a secret.
    """
    from provmode.ccm.client import READING_LINES
    from provmode.packages.on_pc.inventory import READING_LINES as PACKAGE_LINES
    from provmode.transport.target import (
        AUTHENTICATIONS,
        CREDSSP_MECHANISMS,
        STACKS,
        Credentials,
        Deadlines,
        Endpoint,
        Target,
        Trust,
        check_stack,
    )

    name = host_name.rpartition("/")[2]
    scheme = _one_of(name, data, "winrm_scheme", ("http", "https"))
    _check_codepage(name, data["winrm_codepage"])
    path = "/wsman" if data["winrm_path"] is None else data["winrm_path"]
    check_path(f"{name}: winrm_path", path)
    authentication = _one_of(name, data, "winrm_transport", AUTHENTICATIONS)
    needs_password = authentication in ("ntlm", "basic", "credssp") or _logs_on_to_kerberos(data, authentication)
    user = _user(name, data, authentication, needed=needs_password)
    in_keyring = data["winrm_password"] is None and not data["winrm_password_file"] and data["winrm_password_keyring"]
    stack = _one_of(name, data, "winrm_stack", STACKS)
    if stack == "pywinrm" and authentication == "kerberos" and data["winrm_kerberos_keytab"]:
        raise UsageError(
            f"{name}: winrm_stack pywinrm takes Kerberos tickets from the cache only, and winrm_kerberos_keytab is set",
            next_step="run kinit -k -t with that keytab before, or leave winrm_stack out",
        )
    check_stack(name, stack, authentication)
    inside = _one_of(name, data, "winrm_credssp_mechanism", CREDSSP_MECHANISMS)
    check_libraries(
        authentication,
        stack=stack,
        keyring=needs_password and bool(in_keyring),
        inside=inside if authentication == "credssp" else "",
    )
    if data["winrm_kerberos_host"] is not None:
        check_address(f"{name}: winrm_kerberos_host", data["winrm_kerberos_host"])
    password, renew = password_of(name, user, data) if needs_password else "", None
    kept = data["winrm_password"]
    if needs_password and isinstance(kept, Renewable) and user == kept.user:
        (user, password), renew = kept.logon, kept.renew
    if authentication == "basic":
        check_basic(name, user, password)
    return Target(
        endpoint=Endpoint(
            name=name,
            address=_address(name, data),
            port=_port(name, data, scheme),
            scheme=scheme,
            path=path,
            computer=computer_meant(name, data),
        ),
        credentials=Credentials(
            authentication=authentication,
            user=user,
            password=password,
            renew=renew,
            certificate=_path(data["winrm_certificate"]),
            certificate_key=_path(data["winrm_certificate_key"]),
            keytab=_path(data["winrm_kerberos_keytab"]) if authentication == "kerberos" else None,
            kerberos_host=data["winrm_kerberos_host"],
            kerberos_delegation=data["winrm_kerberos_delegation"],
            credssp_mechanism=inside,
            basic_over_http=data["winrm_basic_over_http"],
        ),
        trust=Trust(validate=data["winrm_validate"], ca=_path(data["winrm_ca"])),
        deadlines=Deadlines(
            connect=_seconds(name, data, "winrm_connect_deadline"),
            read=_seconds(name, data, "winrm_read_deadline"),
            host=_seconds(name, data, "winrm_host_deadline"),
        ),
        stack=stack,
        read_only_lines=READING_LINES | PACKAGE_LINES,
    )


def _logs_on_to_kerberos(data: Mapping[str, Any], authentication: str) -> bool:
    """Return whether Kerberos gets its ticket by a password: if a user is named, a password is, and no keytab."""
    if authentication != "kerberos" or data["winrm_kerberos_keytab"] or data["winrm_stack"] == "pywinrm":
        return False
    places = ("winrm_password", "winrm_password_file", "winrm_password_keyring")
    named = any(data[key] not in (None, "") for key in places) or bool(os.environ.get(data["winrm_password_env"] or ""))
    return named and bool(data["winrm_user"] or os.environ.get(USER_ENVIRONMENT))


def mistakes_in(where: str, data: Mapping[str, Any]) -> Iterator[UsageError]:
    """Yield what is wrong with the values of *data*, each by itself: the rest of a host's data may stand elsewhere.

    *where* begins each message. Values have the types of `WinRMData`, and files are not looked for.
    """
    from provmode.transport.target import AUTHENTICATIONS, STACKS

    scheme = data.get("winrm_scheme", "https" if data.get("winrm_port") in (443, 5986) else "http")
    checks: dict[str, Callable[[Any], object]] = {
        "winrm_address": lambda value: check_address(f"{where}: winrm_address", value),
        "winrm_computer": lambda value: _check_computer(where, value),
        "winrm_port": lambda value: _port(where, data, scheme if scheme in ("http", "https") else "http"),
        "winrm_scheme": lambda value: _one_of(where, data, "winrm_scheme", ("http", "https")),
        "winrm_path": lambda value: check_path(f"{where}: winrm_path", value),
        "winrm_transport": lambda value: _one_of(where, data, "winrm_transport", AUTHENTICATIONS),
        "winrm_stack": lambda value: _one_of(where, data, "winrm_stack", STACKS),
        "winrm_user": lambda value: check_user(f"{where}: winrm_user", value, data.get("winrm_transport", "ntlm")),
        "winrm_password_env": lambda value: _check_variable(where, value),
        "winrm_kerberos_host": lambda value: check_address(f"{where}: winrm_kerberos_host", value),
        "winrm_codepage": lambda value: _check_codepage(where, value),
    }
    for key, value in data.items():
        try:
            if key.endswith("_deadline"):
                _seconds(where, data, key)
            elif key in checks:
                checks[key](value)
        except UsageError as error:
            yield error


def _address(name: str, data: Mapping[str, Any]) -> str:
    """Return the name or IP address to connect to.

    Raises:
        UsageError: it is neither, or a resolver would read it as something else.
    """
    address = data["winrm_address"]
    if not isinstance(address, (str, type(None))):
        raise UsageError(f"{name}: winrm_address is {address!r}, of the wrong type")
    check_address(f"{name}: winrm_address" if address else "the host name", address or name)
    return address or name


def _user(name: str, data: Mapping[str, Any], authentication: str, *, needed: bool) -> str:
    """Return the account; empty if none is given and none is *needed*.

    Raises:
        UsageError: it is needed and not given, or cannot be the name of an account.
    """
    user = data["winrm_user"] or os.environ.get(USER_ENVIRONMENT, "")
    if user:
        where = "winrm_user" if data["winrm_user"] else f"${USER_ENVIRONMENT}"
        check_user(f"{name}: {where}", user, authentication)
    elif needed:
        raise UsageError(f"{name}: no user is given", next_step=f"set winrm_user or ${USER_ENVIRONMENT}")
    return str(user)


def computer_meant(name: str, data: Mapping[str, Any]) -> str:
    """Return the name of the PC that is meant by the host *name*; empty if the inventory does not say.

    An IP address names no PC, and beside ``winrm_address`` the host's name may be a label of one's own.

    Raises:
        UsageError: ``winrm_computer`` is not the name of a computer.
    """
    _check_computer(name, data["winrm_computer"])
    if data["winrm_computer"] is not None:
        return str(data["winrm_computer"])
    return "" if data["winrm_address"] or is_address(name) else name


def _check_computer(name: str, computer: Any) -> None:
    """Refuse what is not the name of a computer.

    Raises:
        UsageError: says what is wrong.
    """
    if computer is None:
        return
    if not isinstance(computer, str):
        raise UsageError(f"{name}: winrm_computer is {computer!r}, of the wrong type")
    check_visible(f"{name}: winrm_computer", computer)
    if not first_label(computer) or is_address(computer):
        raise UsageError(f"{name}: winrm_computer is {computer!r}", next_step="give the PC's own name")


def password_of(name: str, user: str, data: Mapping[str, Any]) -> str:
    """Return the password from the data, a file, the keyring or the environment: the first that is set.

    Raises:
        UsageError: none of them is set, or the first that is set cannot be read.
    """
    password = data["winrm_password"]
    if isinstance(password, HiddenValue):
        password = password.unmask()
    if password is not None:
        if not isinstance(password, str):
            raise UsageError(
                f"{name}: winrm_password is not text (pyinfra reads --data values as numbers, booleans and JSON)",
                next_step=f"put it into ${PASSWORD_ENVIRONMENT} or winrm_password_file",
            )
        return password
    if data["winrm_password_file"]:
        return _first_line(name, data["winrm_password_file"])
    if data["winrm_password_keyring"]:
        service = data["winrm_password_keyring"]
        return _visible_ends(name, _from_keyring(name, user, service), f"in the keyring under {service}")
    variable = data["winrm_password_env"]
    _check_variable(name, variable)
    from_environment = os.environ.get(variable)
    if not from_environment:
        named = f"${variable}" if variable == PASSWORD_ENVIRONMENT else "the variable that winrm_password_env names"
        raise UsageError(
            f"{name}: no password for {user}",
            next_step=f"set {named}, winrm_password_file or winrm_password_keyring",
        )
    return _visible_ends(name, from_environment, f"in ${data['winrm_password_env']}")


def _check_variable(name: str, variable: str) -> None:
    """Refuse what is no name of an environment variable, without showing it: it may be the password.

    Raises:
        UsageError: says what to do.
    """
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", variable):
        raise UsageError(
            f"{name}: winrm_password_env is not the name of an environment variable",
            next_step="put the password into a variable, and the variable's name there",
        )


def _first_line(name: str, file: str) -> str:
    """Return the first line of a file. A byte order mark, as editors on Windows write it, is no part of it.

    An error shows the file's name only if there is such a file.
    """
    path = os.path.expanduser(file)
    shown = f" {path}" if os.path.exists(path) else ""
    try:
        data = Path(path).read_bytes()
        utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if utf_16 else "utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or ("not UTF-8" if shown else "not the name of a file")
        raise UsageError(f"{name}: cannot read the file{shown} that winrm_password_file names: {reason}") from None
    if not text:
        raise UsageError(f"{name}: the file {path} that winrm_password_file names is empty")
    line = text.partition("\n")[0].removesuffix("\r")
    if not line:
        raise UsageError(f"{name}: the first line of the file {path} that winrm_password_file names is empty")
    return _visible_ends(name, line, f"in winrm_password_file {path}")


_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode's categories of characters that show nothing: control, format, and separators with all kinds of blanks."""


def _visible_ends(name: str, password: str, where: str) -> str:
    """Return *password*. Its first and last character have to be visible: any other is nearly always a mistake.

    Raises:
        UsageError: one of them is not. The message names that character and nothing else of the password.
    """
    for what, character in (("begins", password[:1]), ("ends", password[-1:])):
        if character and unicodedata.category(character) in _INVISIBLE:
            called = f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()
            raise UsageError(
                f"{name}: the password {where} {what} with an invisible character ({called})",
                next_step="take it out; if it does belong to the password, set winrm_password, which is taken as it is",
            )
    return password


def _from_keyring(name: str, user: str, service: str) -> str:
    import keyring
    import keyring.errors

    try:
        password = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise UsageError(
            f"{name}: the system keyring cannot be read ({type(error).__name__})",
            next_step="unlock it, or use winrm_password_file",
        ) from None
    if password is None:
        raise UsageError(
            f"{name}: the keyring has no password for {user} under the service that winrm_password_keyring names",
            next_step=f"run `keyring set SERVICE {user}` with the name of that service",
        )
    return password


def with_arguments(
    operation: CommandLine, arguments: Mapping[str, Any], control: Mapping[str, Any], codepage: int
) -> CommandLine:
    """Return *operation* with pyinfra's global arguments in the fields that WinRS has for them.

    Raises:
        ValueError: an argument has no counterpart on Windows (``_sudo`` and the like).
    """
    for key in ("_sudo", "_su_user", "_doas", "_dzdo"):
        if arguments.get(key):
            raise ValueError(f"{key} has no counterpart on Windows; connect with an account that has the rights")
    return dataclasses.replace(
        operation,
        codepage=codepage,
        stdin=_stdin(control.get("_stdin")),
        timeout=control.get("_timeout"),
        environment=tuple((str(k), str(v)) for k, v in (arguments.get("_env") or {}).items()),
        directory=arguments.get("_chdir") or None,
    )


def _stdin(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (list, tuple)):
        value = "".join(f"{line}\n" for line in value)
    return str(value).encode()


def _one_of(name: str, data: Mapping[str, Any], key: str, allowed: tuple[Any, ...]) -> Any:
    value = data[key]
    if value not in allowed:
        raise UsageError(f"{name}: {key} is {value!r}", next_step=f"use one of {', '.join(allowed)}")
    return value


def _port(name: str, data: Mapping[str, Any], scheme: str) -> int:
    port = data["winrm_port"]
    if port is None:
        return 5986 if scheme == "https" else 5985
    check_port(name, scheme, port)
    if not 0 < port < 65536:
        raise UsageError(f"{name}: winrm_port is {port}", next_step="use 5985 (http) or 5986 (https)")
    return int(port)


def _seconds(name: str, data: Mapping[str, Any], key: str) -> float:
    seconds = data[key]
    if isinstance(seconds, bool) or not 0 < seconds <= 86400:
        raise UsageError(f"{name}: {key} is {seconds!r}", next_step="give seconds, more than 0")
    return float(seconds)


def _check_codepage(name: str, codepage: int) -> None:
    try:
        codec_of(codepage)
    except ValueError as error:
        raise UsageError(f"{name}: winrm_codepage: {error}") from None


def _path(value: str | None) -> Path | None:
    return Path(os.path.expanduser(value)) if value else None
