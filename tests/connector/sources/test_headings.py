"""What the heading of a column means; columns of passwords are known in many languages."""

from __future__ import annotations

from typing import Any

import pytest

from provmode.connector.host_data import KEYS
from provmode.connector.sources.headings import (
    GROUPS,
    NAME,
    REMARK,
    WORDS,
    column_of,
    holds_passwords,
    nearest_column,
    value_of,
)


@pytest.mark.parametrize(
    ("heading", "column"),
    [
        ("name", NAME),
        ("Computer Name", NAME),
        ("HOSTNAME", NAME),
        ("IP-Address", "winrm_address"),
        ("DNSHostName", "winrm_address"),
        ("winrm_address", "winrm_address"),
        ("WinRM Port", "winrm_port"),
        ("Group", GROUPS),
        ("# seen by Anna", REMARK),
        ("port", None),
        ("location", None),
        ("", None),
    ],
)
def test_a_heading_means_a_column_whatever_its_case_and_blanks(heading: str, column: str | None) -> None:
    assert column_of(heading) == column


def test_every_key_but_the_password_is_a_column() -> None:
    assert {key: column_of(key) for key in KEYS} == {key: key for key in KEYS - {"winrm_password"}} | {
        "winrm_password": None
    }
    assert not [key for key in KEYS - {"winrm_password"} if holds_passwords(key)]
    assert not [word for words in WORDS.values() for word in words if holds_passwords(word)]


@pytest.mark.parametrize(
    "heading",
    [
        *("winrm_password", "Password", "PASSWD", "pwd", "pw", "Admin PW", "UserPwd", "local pass", "userpass", "pass"),
        *("Passphrase", "secret", "Credentials", "LAPS", "ms-Mcs-AdmPwd", "msLAPS-Password", "pin", "# password"),
        *("Passwort", "Kennwort", "Lokales Kennwort", "mot de passe", "MotDePasse", "mdp", "contraseña", "CONTRASENA"),
        *("clave", "senha", "palavra-passe", "parola", "lösenord", "passord", "adgangskode", "wachtwoord", "salasana"),
        *("heslo", "hasło", "HASLO", "jelszó", "Slaptažodis", "lozinka", "geslo", "şifre", "lykilorð", "kata sandi"),
        *("пароль", "Пароль админа", "парола", "Κωδικός", "סיסמה", "كلمة المرور", "密码", "パスワード", "비밀번호"),
        *("mật khẩu", "รหัสผ่าน", "पासवर्ड", "password1", "Password_2", "Password (required)", "pwd of account"),
    ],
)
def test_a_heading_of_passwords_is_known(heading: str) -> None:
    assert holds_passwords(heading)


@pytest.mark.parametrize(
    "heading", ["name", "PasswordLastSet", "PasswordExpired", "badPwdCount", "password_file", "spin", "compassion", "#"]
)
def test_a_heading_of_something_else_is_not_taken_for_passwords(heading: str) -> None:
    assert not holds_passwords(heading)


@pytest.mark.parametrize(
    ("heading", "hint"),
    [
        ("port", "did you mean winrm_port?"),
        ("Password File", "did you mean winrm_password_file?"),
        ("winrm_adress", "did you mean winrm_address?"),
        ("hostnam", "did you mean hostname?"),
        ("provmode_policy", "set it in group_data/all.py beside the file"),
        ("location", "take it out, or begin it with # so that it is a remark"),
    ],
)
def test_a_heading_that_is_not_known_gets_a_hint(heading: str, hint: str) -> None:
    assert nearest_column(heading) == hint


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("winrm_port", "5986", 5986),
        ("winrm_validate", "FALSCH", False),
        ("winrm_validate", "Wahr", True),
        ("winrm_read_only", "yes", True),
        ("winrm_read_only", "0", False),
        ("winrm_read_deadline", "2,5", 2.5),
        ("winrm_read_deadline", "30", 30.0),
        ("winrm_user", "1234", "1234"),
    ],
)
def test_a_cell_has_the_type_of_its_key(key: str, text: str, value: Any) -> None:
    assert value_of(key, text) == value
    assert type(value_of(key, text)) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("winrm_port", "59x86", "no whole number"),
        ("winrm_port", "-1", "no whole number"),
        ("winrm_port", "\u0665", "no whole number"),
        ("winrm_validate", "maybe", "neither true nor false"),
        ("winrm_read_deadline", "1e9", "no number"),
        ("winrm_read_deadline", "nan", "no number"),
    ],
)
def test_a_cell_of_another_type_is_said(key: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        value_of(key, text)
