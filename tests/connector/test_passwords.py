"""Where a password comes from: byte order marks are no part of it, and invisible ends are refused by name."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.connector.host_data import WINRM_DATA, password_of
from provmode.errors import UsageError
from provmode.lab.process import Host, LabProcess

DATA = {key: meta.default for key, meta in WINRM_DATA.items()}


@pytest.fixture
def from_file(tmp_path: Path) -> Callable[[bytes], str]:
    """Return the password that a file with these bytes gives."""

    def read(content: bytes) -> str:
        (tmp_path / "password").write_bytes(content)
        return password_of("PC-1", "LAB\\x", {**DATA, "winrm_password_file": str(tmp_path / "password")})

    return read


@pytest.mark.parametrize(
    "content",
    [
        b"Secret1!",
        b"Secret1!\n",
        b"Secret1!\r\n",
        b"Secret1!\r\nsecond line\r\n",
        codecs.BOM_UTF8 + b"Secret1!\r\n",
        codecs.BOM_UTF16_LE + "Secret1!\r\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "Secret1!\n".encode("utf-16-be"),
    ],
)
def test_the_password_is_the_first_line_without_mark_and_line_end(
    from_file: Callable[[bytes], str], content: bytes
) -> None:
    assert from_file(content) == "Secret1!"


@pytest.mark.parametrize("password", ["a b  c", "p\u00e4ssw\u00f6rt", "a\u2028b", "a\x1cb", "a\x85b", "a\tb\x0bc"])
def test_whatever_stands_between_first_and_last_character_is_part_of_it(
    from_file: Callable[[bytes], str], password: str
) -> None:
    assert from_file(f"{password}\n".encode()) == password


INVISIBLE = {
    " ": "U+0020 SPACE",
    "\t": "U+0009",
    "\r": "U+000D",
    "\0": "U+0000",
    "\u00a0": "U+00A0 NO-BREAK SPACE",
    "\u3000": "U+3000 IDEOGRAPHIC SPACE",
    "\u200b": "U+200B ZERO WIDTH SPACE",
    "\u2060": "U+2060 WORD JOINER",
    "\u2028": "U+2028 LINE SEPARATOR",
    "\ufeff": "U+FEFF ZERO WIDTH NO-BREAK SPACE",
}


@pytest.mark.parametrize(("character", "called"), INVISIBLE.items(), ids=INVISIBLE.values())
@pytest.mark.parametrize("way", ["file", "environment", "keyring"])
@pytest.mark.parametrize("end", ["begins", "ends"])
def test_an_invisible_first_or_last_character_is_refused_by_name(
    character: str, called: str, way: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if character == "\0" and way == "environment":
        called = INVISIBLE[character := "\u200b"]  # a variable cannot hold it
    password = f"{character}canary" if end == "begins" else f"canary{character}"
    data = dict(DATA)
    if way == "file":
        mark = "\ufeff" if character == "\ufeff" and end == "begins" else ""  # the second one is no mark any more
        (tmp_path / "password").write_bytes(f"{mark}{password}\n".encode())
        data["winrm_password_file"] = str(tmp_path / "password")
        where = f"in winrm_password_file {tmp_path / 'password'}"
    elif way == "environment":
        monkeypatch.setenv("MY_SECRET", password)
        data["winrm_password_env"] = "MY_SECRET"
        where = "in $MY_SECRET"
    else:
        monkeypatch.setattr("provmode.connector.host_data._from_keyring", lambda *_: password)
        data["winrm_password_keyring"] = "provmode"
        where = "in the keyring under provmode"
    if way == "file" and character == "\r" and end == "ends":
        (tmp_path / "password").write_bytes(b"canary\r\r\n")

    with pytest.raises(UsageError) as refused:
        password_of("PC-1", "LAB\\x", data)

    message = str(refused.value)
    assert message.startswith(f"PC-1: the password {where} {end} with an invisible character ({called})")
    assert "set winrm_password, which is taken as it is" in message
    assert "canary" not in message
    assert "\n" not in message


def test_a_password_in_the_inventory_is_taken_as_it_is() -> None:
    assert password_of("PC-1", "LAB\\x", {**DATA, "winrm_password": " blank "}) == " blank "


@pytest.mark.parametrize("content", [b"", codecs.BOM_UTF8, b"\n", b"\r\nsecond line\n"])
def test_an_empty_password_in_a_file_is_not_tried(from_file: Callable[[bytes], str], content: bytes) -> None:
    with pytest.raises(UsageError, match="is empty"):
        from_file(content)


def test_an_empty_variable_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVMODE_PASSWORD", "")

    with pytest.raises(UsageError, match="no password for"):
        password_of("PC-1", "LAB\\x", DATA)


def test_inventory_names_and_password_with_a_byte_order_mark_reach_the_pc(
    lab: LabProcess, healthy: Host, provmode: Any, pyinfra: Any, tmp_path: Path
) -> None:
    (tmp_path / "password").write_bytes(codecs.BOM_UTF8 + f"{lab.password}\r\n".encode())
    (tmp_path / "pcs.txt").write_bytes(codecs.BOM_UTF8 + f"{healthy.name}\r\n".encode())
    text = (
        "from pathlib import Path\n"
        "pcs = ([f'@winrm/{name}' for name in Path(__file__).with_name('pcs.txt').read_text('utf-8').split()],\n"
        f" {{'winrm_user': {lab.user!r}, 'winrm_password_file': {str(tmp_path / 'password')!r},\n"
        f"  'winrm_address': {healthy.address!r}, 'winrm_port': {healthy.port}}})\n"
    )
    (tmp_path / "fleet.py").write_bytes(codecs.BOM_UTF8 + text.encode())
    (tmp_path / "plain.py").write_text(text)

    audited = provmode("audit", "fleet.py", "--format", "json")
    fact = pyinfra(str(tmp_path / "plain.py"), "fact", "facts.client.ClientVersion")

    assert f'"host": "{healthy.name}"' in audited.stdout, audited.stderr
    assert '"verdict": "healthy"' in audited.stdout
    assert fact.returncode == 0, fact.stderr
