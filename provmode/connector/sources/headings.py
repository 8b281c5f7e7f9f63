"""What the heading of a column means, and the type of its values. Pure.

A heading is a key of ``winrm_*`` data, or a word for the name, the address or the groups of a PC. Case, blanks and
underscores do not count. A column that begins with ``#`` is a remark. A column of passwords is refused, in any language
in which its heading is known here: a table lies around, is mailed and copied, and everybody can read it.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, get_type_hints

from provmode.connector.host_data import KEYS, OTHER_KEYS, PASSWORD_ENVIRONMENT, SITE, WinRMData

NAME, GROUPS, REMARK = "name", "groups", "#"
"""The columns that are no key."""

WORDS: Mapping[str, tuple[str, ...]] = {
    NAME: ("name", "host", "hostname", "pc", "computer", "computername"),
    "winrm_address": ("address", "ip", "ipaddress", "ipv4address", "fqdn", "dnshostname"),
    GROUPS: ("groups", "group"),
    SITE: ("site", "adsite"),
}
"""Other headings of a column; the first is the one that errors propose."""

_COLUMNS = {word: column for column, words in WORDS.items() for word in words}
_KEYS = {key.replace("_", ""): key for key in (KEYS | {SITE}) - {"winrm_password"}}

WAYS_FOR_PASSWORDS = (
    f"take the column out; ${PASSWORD_ENVIRONMENT}, winrm_password_file or winrm_password_keyring hold the password"
)
"""What to do in place of a column of passwords."""

_LETTERS = str.maketrans("łøđðı", "loddi")
"""Letters whose marks are part of them."""


def _plain(text: str) -> str:
    """Return the letters and digits of *text*, without marks on them, in one case."""
    decomposed = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    return "".join(character for character in decomposed if character.isalnum())


def _words(text: str) -> frozenset[str]:
    return frozenset(_plain(word) for word in text.split())


_PASSWORDS = _words("""
    password passwd passwort passphrase passord kennwort motdepasse motpasse contraseña palavrapasse lösenord pwd
    adgangskode kodeord wachtwoord salasana hasło jelszó slaptažodis lozinka lykilorð katasandi matkhau
    пароль парола лозинка κωδικός συνθηματικό סיסמה סיסמא كلمةالمرور كلمةالسر 密码 密碼 口令 パスワード 비밀번호 암호
    รหัสผ่าน पासवर्ड
""")
"""Words for a password, in any place of a heading."""
_SHORT = _words("""
    pass pw psw pin secret secrets geheim geheimnis mdp clave senha parola parole parool heslo geslo şifre sandi
    credential credentials laps token
""")
"""Shorter words for it, which count if they are a word of the heading by themselves."""
_ABOUT = _words("""
    passwordlastset passwordexpired passwordneverexpires passwordnotrequired cannotchangepassword pwdlastset badpwdcount
    badpasswordtime lastbadpasswordattempt msmcsadmpwdexpirationtime mslapspasswordexpirationtime
""")
"""What Active Directory says about a password; these columns hold none."""

_TRUE = _words("true yes y 1 wahr ja vrai oui verdadero verdadeiro vero waar prawda sant")
_FALSE = _words("false no n 0 falsch nein faux non falso onwaar fałsz falskt")
"""What spreadsheets write for the two, in their own language."""


def holds_passwords(heading: str) -> bool:
    """Return whether the heading is that of passwords, also of a remark."""
    heading = heading.lstrip("# \t")
    whole = _plain(heading)
    if whole in _KEYS or f"winrm{whole}" in _KEYS or whole in _ABOUT:
        return False
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading)  # UserPwd
    words = {_plain(word) for word in re.split(r"[\W_\d]+", spaced)}
    return whole.endswith("pass") or any(word in whole for word in _PASSWORDS) or not words.isdisjoint(_SHORT)


def column_of(heading: str) -> str | None:
    """Return the column that a heading means: a key, `NAME`, `GROUPS` or `REMARK`; ``None`` if it is not known."""
    if heading.startswith("#"):
        return REMARK
    whole = _plain(heading)
    return _COLUMNS.get(whole) or _KEYS.get(whole)


def nearest_column(heading: str) -> str:
    """Return a hint about a heading that is not known."""
    whole = _plain(heading)
    if f"winrm{whole}" in _KEYS:
        return f"did you mean {_KEYS[f'winrm{whole}']}?"
    if whole in {key.replace("_", "") for key in OTHER_KEYS}:
        return "set it in group_data/all.py beside the file"
    close = difflib.get_close_matches(whole, [*_COLUMNS, *_KEYS], n=1, cutoff=0.75)
    if close:
        return f"did you mean {_KEYS.get(close[0], close[0])}?"
    return "take it out, or begin it with # so that it is a remark"


def value_of(key: str, text: str) -> Any:
    """Return the value of a cell.

    Raises:
        ValueError: it is none of this key; the message ends a sentence that names the key.
    """
    wanted = _TYPES[key]
    if wanted is bool:
        plain = _plain(text)
        if plain in _TRUE or plain in _FALSE:
            return plain in _TRUE
        raise ValueError("neither true nor false")
    if wanted is int:
        if text.isascii() and text.isdigit() and len(text) < 10:
            return int(text)
        raise ValueError("no whole number")
    if wanted is str:
        return text
    if re.fullmatch(r"[0-9]{1,9}([.,][0-9]{1,9})?", text):
        return float(text.replace(",", "."))
    raise ValueError("no number")


_TYPES: Mapping[str, Any] = {**get_type_hints(WinRMData), SITE: str}
