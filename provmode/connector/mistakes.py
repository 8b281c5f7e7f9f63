"""Mistakes in a host's data that can be seen before anything is sent: characters, addresses, paths, ports, libraries.

What is wrong here would otherwise show as a fault of the PC, or lead to another one. Nothing here asks the network.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from pathlib import Path

from provmode.errors import UsageError

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of characters that show nothing, blanks aside."""
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that show nothing all the same."""
_OTHER_PORTS = {"http": {5986: "https", 443: "https"}, "https": {5985: "http", 80: "http"}}
"""Ports that belong to the other scheme: WinRM's own, and those of its compatibility listeners."""


def check_visible(what: str, value: str, *, blanks: bool = False) -> None:
    """Refuse characters that nobody sees. *blanks*: single blanks may stand between other characters.

    Raises:
        UsageError: *what* names the value; the message names the character.
    """
    if value.isascii() and value.isprintable() and " " not in value:
        return
    for position, character in enumerate(value):
        called = f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()
        if character.isspace() and unicodedata.category(character) != "Cc":
            inside = 0 < position < len(value) - 1
            if blanks and inside and character == " ":
                continue
            raise UsageError(f"{what} is {value!a}, with a blank ({called})", next_step="take it out")
        if unicodedata.category(character) in _UNSEEN or character in _BLANK_LETTERS or _selects(character):
            escaped = ord(character) < 0x20
            raise UsageError(
                f"{what} is {value!a}, with a character that cannot be seen ({called})",
                next_step="in Python a backslash in quotes is written twice, or r stands before the quotes"
                if escaped
                else "type it anew",
            )


def _selects(character: str) -> bool:
    """Return whether *character* is a variation selector."""
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def check_address(what: str, address: str) -> None:
    """Refuse what is neither an IP address nor a name that a resolver takes as it stands.

    Raises:
        UsageError: *what* names the value; the message says how to write it.
    """
    check_visible(what, address)
    if "://" in address:
        raise _wrong(what, address, "a URL", "give the name alone; winrm_scheme, winrm_port, winrm_path have the rest")
    if "[" in address or "]" in address:
        raise _wrong(what, address, "in brackets", f"write {address.strip('[]')!a} without them")
    bare, has_zone, zone = address.partition("%")
    if ":" in bare:
        _check_ipv6(what, address, bare, zone, bool(has_zone))
    elif has_zone:
        raise _wrong(what, address, "not an IPv6 address, and only those have a zone (%)", "leave the zone out")
    else:
        _check_name(what, address)


def _check_ipv6(what: str, address: str, bare: str, zone: str, has_zone: bool) -> None:
    try:
        number = ipaddress.IPv6Address(bare)
    except ValueError:
        host, _, port = address.rpartition(":")
        if port.isdigit() and ":" not in host:
            raise _wrong(what, address, "a name with a port", f"write {host!a}, and winrm_port {port}") from None
        raise _wrong(what, address, "not an IPv6 address", "write it as in fe80::1%eth0, or 2001:db8::1") from None
    if number.is_link_local and not zone:
        raise _wrong(
            what, address, "link-local without a zone", f"name the interface of this computer, as in {bare}%eth0"
        )
    from provmode.transport.resolver import has_interface

    if has_zone and not has_interface(zone):
        raise _wrong(
            what,
            address,
            f"in the zone {zone!a}, and this computer has no such network interface",
            "a PC shows the number of its own interface; give that of this computer (`ip link`)",
        )


_NUMBER = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN = re.compile(
    rf"(?!.*xn--)[a-z][a-z0-9_-]{{0,62}}(?:\.[a-z0-9_-]{{1,63}})*|{_NUMBER}(?:\.{_NUMBER}){{3}}",
    re.IGNORECASE | re.ASCII,
)
"""What every resolver takes as it stands: names in ASCII without encoded letters, and IPv4 addresses."""


def _check_name(what: str, address: str) -> None:
    if len(address) <= 253 and _PLAIN.fullmatch(address):
        return
    for character in address:
        if character in "/\\":
            raise _wrong(what, address, f"not a host name: it has a {character}", "winrm_path is the listener's path")
        if not (character.isalnum() or character in "-_." or unicodedata.category(character)[0] == "M"):
            called = f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()
            raise _wrong(what, address, f"not a host name: no name has {called}", "type it anew")
    if address.endswith("."):
        raise _wrong(what, address, "a name that ends with a dot", f"write {address.rstrip('.')!a}")
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        pass
    else:
        return
    try:
        asked = address.encode("idna")
    except UnicodeError:
        raise _wrong(what, address, "not a host name", "each part between dots has 1 to 63 characters") from None
    if not address or len(asked) > 253:
        raise _wrong(what, address[:80], "not a host name", "a name has 1 to 253 characters")
    from provmode.transport.resolver import number_read

    read = number_read(asked.decode())
    if read is not None:
        raise _wrong(
            what, address, f"a number that resolvers read as {read}", "write four numbers from 0 to 255, or the name"
        )
    if asked.replace(b".", b"").isdigit():
        raise _wrong(what, address, "neither an IP address nor a name", "write four numbers from 0 to 255, or the name")
    try:
        shown = asked.decode("idna")
    except UnicodeError:
        raise _wrong(what, address, "a name whose encoded letters (xn--) mean nothing", "type it anew") from None
    if shown.lower() != unicodedata.normalize("NFC", address).lower():
        raise _wrong(what, address, f"a name that is looked up as {shown!a}", "set winrm_address to an IP address")


def _wrong(what: str, value: str, why: str, next_step: str) -> UsageError:
    return UsageError(f"{what} is {value[:100]!a}, {why}", next_step=next_step)


def check_path(what: str, path: str) -> None:
    """Refuse what is not the path of a URL.

    Raises:
        UsageError: says how to write it.
    """
    check_visible(what, path)
    if not path.startswith("/"):
        meant = "/wsman" if "://" in path else f"/{path}"
        raise UsageError(f"{what} is {path!a}, which does not begin with a slash", next_step=f"write {meant!a}")
    for character in path:
        if character in '?#\\[]<>"^`{|}' or not character.isascii():
            raise UsageError(f"{what} is {path!a}: no path has {character!a}", next_step="write it as in /wsman")
    if path.startswith("//"):
        raise UsageError(f"{what} is {path!a}, with two slashes at its beginning", next_step="write it as in /wsman")


def check_port(name: str, scheme: str, port: int) -> None:
    """Refuse a port that belongs to the other scheme.

    Raises:
        UsageError: names both keys.
    """
    other = _OTHER_PORTS[scheme].get(port)
    if other is not None:
        raise UsageError(
            f"{name}: winrm_port is {port}, the port of {other}, and winrm_scheme is {scheme}",
            next_step=f"set winrm_scheme {other}, or another port",
        )


def check_user(what: str, user: str, authentication: str) -> None:
    """Refuse what cannot be the name of an account; *what* says where it was given.

    Raises:
        UsageError: says how to write it.
    """
    check_visible(what, user, blanks=True)
    if authentication == "kerberos":
        return  # a principal, such as HTTP/server@REALM
    domain, backslash, account = user.partition("\\")
    if backslash and account.startswith("\\"):
        raise _wrong(what, user, "with two backslashes", f"write {domain}\\{account.lstrip(chr(92))}")
    if (backslash and (not domain or not account)) or "\\" in account or user.startswith("@") or user.endswith("@"):
        raise _wrong(what, user, "of which a part is missing", "write DOMAIN\\user, user@domain or .\\user")
    if not backslash and "/" in user and "@" not in user:
        raise _wrong(what, user, "with a slash", f"write {user.replace('/', chr(92), 1)}")


def check_basic(name: str, user: str, password: str) -> None:
    """Refuse what Basic cannot carry.

    Raises:
        UsageError: says which of the two; it shows nothing of the password.
    """
    if ":" in user:
        raise _wrong(f"{name}: the user", user, "and with Basic it ends at the colon", "use winrm_transport ntlm")
    for what, text in (("user", user), ("password", password)):
        try:
            text.encode("latin-1")
        except UnicodeEncodeError:
            raise UsageError(
                f"{name}: the {what} has characters outside Latin-1, which Basic cannot carry",
                next_step="use winrm_transport ntlm",
            ) from None


def check_keytab(name: str, path: Path | None) -> None:
    """Refuse a file that is no keytab, or cannot be read.

    Raises:
        UsageError: says which, and how one is made.
    """
    made = "a keytab is made on a domain controller (ktpass) or by ktutil"
    try:
        beginning = path.read_bytes()[:2] if path is not None else b""
    except OSError as error:
        raise UsageError(
            f"{name}: cannot read winrm_kerberos_keytab {path}: {error.strerror or type(error).__name__}",
            next_step=f"give a file that you can read; {made}",
        ) from None
    if beginning not in (b"\5\1", b"\5\2"):  # MIT's file format: version 5, formats 1 and 2
        raise UsageError(f"{name}: winrm_kerberos_keytab {path} is not a keytab", next_step=made)


def check_libraries(authentication: str, *, stack: str, keyring: bool, inside: str = "") -> None:
    """Refuse what needs a library that is not installed here, or cryptography that this computer does not allow.

    *stack* is the code that speaks HTTP, *inside* how the account logs on inside of CredSSP.

    Raises:
        UsageError: says how to install it, or what to use instead.
    """
    if inside == "kerberos" or (authentication == "kerberos" and stack == "lean"):
        try:
            import gssapi
            import krb5
        except ModuleNotFoundError:
            raise missing_library("kerberos") from None
        except ImportError as error:  # the system's library below them
            raise UsageError(
                f"winrm_transport {authentication} cannot load this system's Kerberos library ({error})",
                next_step="install MIT Kerberos (Debian: libgssapi-krb5-2)",
            ) from None
        del gssapi, krb5
    elif authentication == "kerberos":
        import winrm.transport

        if not winrm.transport.HAVE_KERBEROS:
            raise missing_library(authentication)
    if "ntlm" in (authentication, inside):
        _check_ntlm(authentication)
    if keyring:
        _check_keyring()


def _check_ntlm(authentication: str) -> None:
    from provmode.transport import refusals
    from provmode.transport.security import ntlm_lacks

    lacks = ntlm_lacks()
    if lacks:
        inside = "set winrm_credssp_mechanism kerberos, or " if authentication == "credssp" else ""
        raise UsageError(
            f"winrm_transport {authentication} cannot be used here: {refusals.without(lacks)}",
            next_step=inside + refusals.WITHOUT_NTLM,
        )


def missing_library(authentication: str) -> UsageError:
    """Return the error about a missing extra."""
    return UsageError(
        f"winrm_transport {authentication} needs a library that is not installed here",
        next_step=f"in the checkout: pip install '.[{authentication}]'",
    )


def _check_keyring() -> None:
    elsewhere = "set winrm_password_file or winrm_password_env instead"
    try:
        import keyring
        import keyring.backends.fail
    except ImportError:
        raise UsageError(
            "winrm_password_keyring needs the library keyring, which is not installed here", next_step=elsewhere
        ) from None
    if isinstance(keyring.get_keyring(), keyring.backends.fail.Keyring):
        raise UsageError(
            "winrm_password_keyring is set, and this computer has no keyring that can be used", next_step=elsewhere
        )
