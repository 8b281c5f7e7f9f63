"""Secrets in a package: which settings are secrets, and where secrets stand in command lines, scripts and other texts.

What looks like a secret is replaced (`MASK`): rather too much than too little. Nothing here returns a secret: a `Span`
says only where one stands.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

MASK = "***"
SHORTEST = 4
"""Characters of the shortest known secret that is looked for inside other texts."""
MOST_KNOWN = 150
"""Known secrets that are looked for inside other texts."""

_UNLIKELY = 8
"""Characters from which on a known secret within another word is no accident."""
_MACROS = re.compile(r"(?:\$\(__(?:PackageID|ICCID|DEVICEIDHASH)\)|%SERIAL%|%RAND:\d{1,3}%)+", re.IGNORECASE)
"""What Windows replaces when it applies a setting. Others than these are not taken for macros: they would be shown."""

_EXACT = {
    "password": "password",
    "secret": "secret",
    "securitykey": "Wi-Fi key",
    "keymaterial": "Wi-Fi key",
    "bprt": "bulk token",
    "pin": "PIN",
    "productkey": "product key",
    "upgradeeditionwithproductkey": "product key",
    "changeproductkey": "product key",
}
_ENDINGS = {
    **dict.fromkeys(("password", "passwd", "passphrase", "passcode", "pwd"), "password"),
    **dict.fromkeys(("secret", "secretkey"), "secret"),
    **dict.fromkeys(("psk", "presharedkey", "sharedkey", "networkkey", "securitykey", "wepkey"), "pre-shared key"),
    **dict.fromkeys(("privatekey", "apikey", "accesskey", "encryptionkey", "recoverykey"), "key"),
    **dict.fromkeys(("licensekey", "licencekey", "activationkey"), "key"),
    **dict.fromkeys(("token", "bprt"), "token"),
    "productkey": "product key",
}
_ABOVE = (
    ("certificate", "password", "certificate password"),
    ("computeraccount", "password", "domain join password"),
    ("domain", "password", "domain join password"),
    ("users", "password", "account password"),
    ("wlan", "pre-shared key", "Wi-Fi key"),
    ("enrollments", "secret", "enrolment secret"),
    ("dmacc", "secret", "device management secret"),
    ("application", "secret", "device management secret"),
)
"""A name above, a kind, and what the kind is called there."""
_POLICIES = ("policies", "policy")
"""Below these, names such as ``AllowSimpleDevicePassword`` mostly are rules about passwords."""
_CHOICE = re.compile(
    r"[0-9]{0,4}|yes|no|true|false|on|off|(?:not ?)?(?:enabled|disabled|allowed|configured|required)|optional"
)


def kind_of(names: Sequence[str], value: str = "") -> str | None:
    """Return the kind of secret that stands at a path of names; ``None`` if none stands there.

    A policy whose *value* is a number or a choice is a rule about passwords, and no password.
    """
    if not names:
        return None
    leaf, above = names[-1].lower(), [name.lower() for name in names[:-1]]
    found = _EXACT.get(leaf)
    if found is None and not (above and above[0] in _POLICIES and _CHOICE.fullmatch(value.strip().lower())):
        found = next((kind for ending, kind in _ENDINGS.items() if leaf.endswith(ending)), None)
    if found is None:
        return None
    if found == "password" and leaf != "password" and ("cert" in leaf or "pfx" in leaf):
        return "certificate password"
    for name, kind, called in _ABOVE:
        if kind == found and any(each.startswith(name) for each in above):
            return called
    return found


def is_macro(value: str) -> bool:
    """Return whether a value is nothing but what Windows replaces."""
    return _MACROS.fullmatch(value.strip()) is not None


# -- texts ------------------------------------------------------------------------------------------------------------

_WORD = (
    r"(?:password[do]?|passwd|passphrase|passcode|pwd|secret|(?<!publickey)token|api[_-]?key|access[_-]?key|secret[_-]?key"
    r"|security[_-]?key|shared[_-]?key|licen[sc]e[_-]?key|product[_-]?key|activation[_-]?key|registration[_-]?key"
    r"|install[_-]?key|network[_-]?key|keymaterial|l2tppsk|psk|bprt)"
)
_VALUE = r"(?P<secret>(?:\\?\"[^\"\r\n]*\"?|'[^'\r\n]*'(?=[\s),;}\]\"]|$)|[^\s\"])+)"
"""A word as a command line has it: quoted, not quoted, or both. More rather than less is taken for it."""
_ARGUMENT = r"(?:\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\s\"']+)"
_NO_OPTION = r"(?![-/])"

_HINT = re.compile(
    _WORD
    + r"|[-/]p(?:ass|w)?[:=\s]|[-/]pd:|[-/](?:rp|ipk)[:=\s]|\bnet1?(?:\.exe)?\s+use|autologon|securestring|credential|://"
    r"|\bcurl\b|key[=\"':<]|private key|\beyJ|\bAKIA|[-/]e[nc]|\bsig=|[A-Z0-9]{5}-[A-Z0-9]{5}-",
    re.IGNORECASE,
)
"""Whether a text can contain any of the below at all."""

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.MULTILINE))
    for kind, pattern in (
        ("password", rf"\bset\s+\"[^\"=\r\n]{{0,60}}?{_WORD}[\w-]{{0,20}}=(?P<secret>[^\"\r\n]+)"),
        ("password", rf"{_WORD}[\"'\]}}]{{0,2}}[ \t]{{0,20}}(?:=|:(?![\\/]))=?>?[ \t]{{0,20}}{_VALUE}"),
        ("password", rf"(?<![\w])[-/]{{1,2}}[\w.]{{0,30}}?{_WORD}[ \t]{{1,20}}{_NO_OPTION}{_VALUE}"),
        ("password", rf"(?<![\w])[-/]{{1,2}}(?:p|pw|pd|pass|rp|ipk)[:=]{_VALUE}"),
        ("password", rf"(?<![\w])[-/]{{1,2}}(?:pw|pass|rp|ipk)[ \t]{{1,20}}{_NO_OPTION}{_VALUE}"),
        ("password", rf"[-/]u(?:ser(?:name)?)?[:=\s][^\r\n]{{0,200}}?\s[-/]p[ \t]{{1,20}}{_NO_OPTION}{_VALUE}"),
        ("password", rf"[-/]p[ \t]{{1,20}}{_NO_OPTION}{_VALUE}[ \t]{{1,20}}[-/]u"),
        (
            "password",
            rf"\bnet1?(?:\.exe)?\"?[ \t]{{1,20}}users?[ \t]{{1,20}}(?:/\w+[ \t]{{1,20}}){{0,4}}{_NO_OPTION}{_ARGUMENT}"
            rf"[ \t]{{1,20}}(?:/\w+[ \t]{{1,20}}){{0,4}}{_NO_OPTION}{_VALUE}",
        ),
        (
            "password",
            rf"\bnet1?(?:\.exe)?\"?[ \t]{{1,20}}use[ \t][^\r\n]{{0,300}}?/user:{_ARGUMENT}[ \t]{{1,20}}{_NO_OPTION}"
            rf"{_VALUE}",
        ),
        (
            "password",
            rf"\bnet1?(?:\.exe)?\"?[ \t]{{1,20}}use[ \t][^\r\n]{{0,40}}?\\\\{_ARGUMENT}[ \t]{{1,20}}"
            rf"{_NO_OPTION}{_VALUE}",
        ),
        (
            "password",
            rf"\bautologon(?:64)?(?:\.exe)?\"?[ \t]{{1,20}}(?:[-/]\w+[ \t]{{1,20}}){{0,2}}{_NO_OPTION}{_ARGUMENT}"
            rf"[ \t]{{1,20}}{_ARGUMENT}[ \t]{{1,20}}{_VALUE}",
        ),
        ("password", rf"ConvertTo-SecureString[ \t]{{1,20}}(?:-String[ \t]{{1,20}})?{_NO_OPTION}{_VALUE}"),
        ("password", rf"(?:Network|PS)Credential[^\r\n,]{{0,300}},[ \t]{{0,20}}{_VALUE}"),
        ("password", r"://[^\s/:@\"']{1,200}:(?P<secret>[^\s/@\"']{1,400})@"),
        ("password", rf"\bcurl\b[^\r\n]{{0,400}}?(?:-u|--user)[ \t]{{1,20}}[\"']?[^\s:\"']{{1,200}}:{_VALUE}"),
        ("Wi-Fi key", rf"\bnetsh\b[^\r\n]{{0,400}}?\bkey={_VALUE}"),
        ("key", rf"(?-i:\b[A-Z][A-Z0-9_]{{0,40}}KEY=){_VALUE}"),
        ("token", rf"[?&]sig={_VALUE}"),
        ("password", rf"<[\w:.-]{{0,60}}?{_WORD}[^>\r\n]{{0,300}}>\s{{0,50}}<(?:\w+:)?Value>(?P<secret>[^<]+)<"),
        ("password", rf"<[\w:.-]{{0,60}}?{_WORD}(?:\s[^>\r\n]{{0,300}})?>(?P<secret>[^<]*[^<\s][^<]*)<"),
        ("product key", r"\b(?P<secret>[A-Z0-9]{5}(?:-[A-Z0-9]{5}){4})\b"),
        ("token", r"\b(?P<secret>eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?)"),
        ("key", r"\b(?P<secret>AKIA[A-Z0-9]{16})\b"),
        ("private key", r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----\s{0,9}(?P<secret>[^-]*)"),
    )
)
_NAMED = re.compile(rf"(?:/v|-Name|-n)[ \t]{{1,20}}[\"']?[\w.-]{{0,60}}?{_WORD}[\w.-]{{0,30}}", re.IGNORECASE)
_DATA = re.compile(rf"(?<![\w])(?:/d|-Value)[ \t]{{1,20}}{_VALUE}", re.IGNORECASE)
_NEAR = 1000
"""Characters before and behind the name of a registry value within which its data is looked for."""
_ENCODED = re.compile(r"[-/]e(?:nc?\w{0,20}|c)?[ \t]{1,20}\"?(?P<secret>[A-Za-z0-9+/]{16,}={0,2})", re.IGNORECASE)
_REFERENCE = re.compile(
    r"[\"'(]*(?:%\w+%|![\w]+!|\$\{?[\w:.\[\]]*\}?|\$?null|true|false|\*|\(?(?:Read-Host|Get-\w+|ConvertTo-\w+|New-Object)"
    r"|\[[\w.]+\][^\r\n]*)[\"')};,]*",
    re.IGNORECASE,
)
"""What stands for a value that is elsewhere. It is replaced all the same, since a password may look like it."""
_PROPERTY = re.compile(r"[A-Za-z]\w*=\w")
"""What follows ``/p:`` in a line for MSBuild, replaced too."""


@dataclass(frozen=True)
class Span:
    """Where something stands in a text that is not shown."""

    start: int
    end: int
    kind: str
    counts: bool
    """Whether it is a secret, and not only what may look like one."""


def may_hide(text: str) -> bool:
    """Return whether a text is worth the work of looking through it."""
    return _HINT.search(text) is not None


def spans(text: str, known: Iterable[str] = ()) -> list[Span]:
    """Return where secrets stand in *text*, by how it is written and by the secrets that are *known*."""
    found = list(_known(text, known))
    if may_hide(text):
        found += _written(text)
    return sorted(found, key=lambda span: (span.start, -span.end))


def masked(text: str, known: Iterable[str] = ()) -> tuple[str, bool]:
    """Return *text* with `MASK` for each secret, and whether there was one that counts."""
    return replaced(text, spans(text, known))


def replaced(text: str, found: Sequence[Span]) -> tuple[str, bool]:
    """Return *text* with `MASK` for each of what was *found* in it, and whether any of that counts."""
    if not found:
        return text, False
    parts, at = [], 0
    for span in found:
        if span.start >= at:
            parts += [text[at : span.start], MASK]
        at = max(at, span.end)
    return "".join([*parts, text[at:]]), any(span.counts for span in found)


def usable(secrets: Iterable[str]) -> list[str]:
    """Return the secrets that are looked for in other texts, longest first: not too short, not too many.

    Each is there twice if XML within a text would write it in another way.
    """
    found = {each.strip() for each in secrets if len(each.strip()) >= SHORTEST}
    first = sorted(found, key=lambda each: (-len(each), each))[:MOST_KNOWN]
    return list(dict.fromkeys(each for secret in first for each in (escape(secret), secret)))


def _known(text: str, known: Iterable[str]) -> Iterator[Span]:
    for secret in known:
        at = text.find(secret)
        while at >= 0:
            end = at + len(secret)
            within = text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()
            yield Span(at, end, "known secret", len(secret) >= _UNLIKELY or not within)
            at = text.find(secret, end)


def _written(text: str) -> Iterator[Span]:
    for kind, pattern in _PATTERNS:
        for found in pattern.finditer(text):
            yield _span(found, kind)
    done = 0
    for named in _NAMED.finditer(text):
        start = max(text.rfind("\n", done, named.start()) + 1, named.start() - _NEAR, done)
        end = text.find("\n", named.end(), named.end() + _NEAR)
        done = max(done, end if end >= 0 else named.end() + _NEAR)
        for found in _DATA.finditer(text, start, done):
            yield _span(found, "password")
    for found in _ENCODED.finditer(text):
        if _hides(found.group("secret")):
            yield Span(*found.span("secret"), "password", True)


def _span(found: re.Match[str], kind: str) -> Span:
    value = found.group("secret")
    elsewhere = _REFERENCE.fullmatch(value) or _PROPERTY.match(value)
    return Span(*found.span("secret"), kind, elsewhere is None and value.strip("\"'") != "")


def _hides(encoded: str) -> bool:
    """Return whether a command of PowerShell in base64 contains a secret."""
    try:
        text = b64decode(encoded[: len(encoded) // 4 * 4]).decode("utf-16-le", "replace")
    except ValueError:
        return False
    return any(_span(found, kind).counts for kind, pattern in _PATTERNS for found in pattern.finditer(text))
