"""A password appears nowhere: not in output, log, error, debug dump or JSON, however it is given."""

from __future__ import annotations

import base64
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring.errors
import pytest

from provmode.connector.host_data import WINRM_DATA, password_of
from provmode.errors import UsageError
from provmode.lab.process import Host, LabProcess

Run = Callable[..., Any]

KEYRING = """
import os
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        return open(os.environ["CANARY_FILE"]).readline().strip() if service == "provmode" else None

    def set_password(self, service, username, password):
        raise NotImplementedError
"""


def shapes(secret: str) -> list[str]:
    """Return the forms in which a secret could appear."""
    return [
        secret,
        secret[::-1],
        base64.b64encode(secret.encode()).decode().rstrip("="),
        base64.b64encode(secret.encode("utf-16-le")).decode().rstrip("="),
        secret.encode().hex(),
    ]


@pytest.fixture
def canary(lab: LabProcess) -> str:
    """The lab's password: long and random, so that it appears nowhere by chance."""
    assert len(lab.password) >= 12
    return lab.password


def nowhere(secret: str, ran: Any, folder: Path, *, apart_from: tuple[str, ...] = ()) -> None:
    """Fail if *secret* is in a program's output, or in a file that it left behind."""
    texts = [ran.stdout, ran.stderr]
    texts += [
        path.read_text(errors="replace")
        for path in folder.rglob("*")
        if path.is_file() and path.name not in apart_from and path.suffix != ".pyc"
    ]
    for text in texts:
        for shape in shapes(secret):
            assert shape not in text


@pytest.fixture
def ways(lab: LabProcess, canary: str, tmp_path: Path) -> Callable[[str], tuple[dict[str, Any], dict[str, str]]]:
    """Return inventory data and environment for each way to give the password."""

    def way(name: str) -> tuple[dict[str, Any], dict[str, str]]:
        if name == "inventory":
            return {"winrm_password": canary}, {}
        if name == "environment":
            return {}, {"PROVMODE_PASSWORD": canary}
        if name == "own-variable":
            return {"winrm_password_env": "MY_SECRET"}, {"MY_SECRET": canary}
        if name == "file":
            return {"winrm_password_file": str(lab.password_file)}, {}
        (tmp_path / "canary_keyring.py").write_text(KEYRING)
        return {"winrm_password_keyring": "provmode"}, {
            "PYTHON_KEYRING_BACKEND": "canary_keyring.Keyring",
            "PYTHONPATH": str(tmp_path),
            "CANARY_FILE": str(lab.password_file),
        }

    return way


WAYS = ("inventory", "environment", "own-variable", "file", "keyring")


def write_inventory(path: Path, lab: LabProcess, hosts: list[Host], data: dict[str, Any]) -> str:
    """Write an inventory that contains the password only if *data* does."""
    pcs = [(f"@winrm/{host.name}", {"winrm_address": host.address, "winrm_port": host.port}) for host in hosts]
    everybody = {"winrm_user": lab.user, **data}
    path.write_text(f"pcs = ({pcs!r}, {everybody!r})\n")
    return str(path)


@pytest.mark.parametrize("way", WAYS)
def test_the_password_is_accepted_from_every_source_and_printed_nowhere(
    lab: LabProcess, canary: str, ways: Any, way: str, pyinfra: Run, tmp_path: Path
) -> None:
    data, environment = ways(way)
    hosts = [host for host in lab.hosts if host.persona in ("healthy", "wrong-password", "refused")]
    inventory = write_inventory(tmp_path / "fleet.py", lab, hosts, data)

    for arguments in (
        ("-vvv", "--debug", inventory, "fact", "facts.client.ClientState"),
        ("--json", inventory, "fact", "facts.client.ClientVersion"),
        (inventory, "debug-inventory"),
        ("--json", inventory, "debug-inventory"),
    ):
        ran = pyinfra(*arguments, environment=environment)
        nowhere(canary, ran, tmp_path, apart_from=("fleet.py",))
        if "facts.client.ClientVersion" in arguments:
            assert '"known": "5.00.' in ran.stdout, ran.stderr


@pytest.mark.parametrize("way", WAYS)
def test_an_audit_shows_no_password_even_with_debug(
    lab: LabProcess, canary: str, ways: Any, way: str, provmode: Run, tmp_path: Path
) -> None:
    data, environment = ways(way)
    inventory = write_inventory(tmp_path / "fleet.py", lab, list(lab.hosts), data)

    for options in (("--format", "json"), ("--output", "report.txt")):
        ran = provmode("--debug", "audit", inventory, *options, environment=environment)
        assert ran.returncode in (2, 6), ran.stderr
        nowhere(canary, ran, tmp_path, apart_from=("fleet.py",))
        assert "TlRMTVNTUAA" not in ran.stderr, "an NTLM token, from which a weak password can be guessed"


def test_an_unexpected_error_shows_no_password(
    lab: LabProcess, canary: str, healthy: Host, pyinfra: Run, tmp_path: Path
) -> None:
    inventory = write_inventory(tmp_path / "fleet.py", lab, [healthy], {"winrm_password": canary})
    deploy = tmp_path / "deploy.py"
    deploy.write_text("from pyinfra import host\nraise RuntimeError(repr(host.data) + str(host.data.winrm_password))\n")

    ran = pyinfra("--debug", inventory, str(deploy))

    assert ran.returncode != 0
    nowhere(canary, ran, tmp_path, apart_from=("fleet.py",))


def test_a_missing_keyring_entry_says_what_to_run(
    lab: LabProcess, healthy: Host, ways: Any, pyinfra: Run, tmp_path: Path
) -> None:
    data, environment = ways("keyring")
    inventory = write_inventory(tmp_path / "fleet.py", lab, [healthy], {**data, "winrm_password_keyring": "s3cret"})

    ran = pyinfra(inventory, "fact", "facts.client.ClientVersion", environment=environment)

    shown = " ".join(ran.stderr.split())
    assert "run `keyring set SERVICE LAB\\provmode` with the name of that service" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "secret", ["s3cret", "s3cret with blanks!", "/etc/s3cret", "~s3cret", "s3cret\0", "s" * 5000, "\ud800"]
)
@pytest.mark.parametrize("key", ["winrm_password_env", "winrm_password_file", "winrm_password_keyring"])
def test_a_password_in_the_place_of_a_name_is_not_shown(monkeypatch: pytest.MonkeyPatch, key: str, secret: str) -> None:
    empty = types.SimpleNamespace(get_password=lambda service, user: None, errors=keyring.errors)
    monkeypatch.setitem(sys.modules, "keyring", empty)
    data = {name: meta.default for name, meta in WINRM_DATA.items()} | {key: secret}

    with pytest.raises(UsageError, match=key) as error:
        password_of("PC-1", "user", data)

    assert secret not in str(error.value)
    assert "s3cret" not in str(error.value)


def test_a_password_file_that_is_there_is_named_in_the_error(tmp_path: Path) -> None:
    file = tmp_path / "password"
    data = {name: meta.default for name, meta in WINRM_DATA.items()} | {"winrm_password_file": str(file)}
    for content, message in ((b"", "is empty"), (b"\xff\n", "not UTF-8")):
        file.write_bytes(content)

        with pytest.raises(UsageError, match=message) as error:
            password_of("PC-1", "user", data)
        assert str(file) in str(error.value)
