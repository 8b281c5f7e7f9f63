"""A domain of its own with a Samba domain controller, and the directory of `objects.py`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def corp(start_domain: Callable[..., Any]) -> Iterator[Any]:
    """The domain lab.test."""
    with start_domain(HERE / "objects.py") as domain:
        yield domain


@pytest.fixture
def provmode(corp: Any, tmp_path: Path) -> Callable[..., Any]:
    """Run provmode's command line in the domain's network, in an empty folder."""
    return lambda *arguments, **environment: corp.run(
        sys.executable, "-m", "provmode", *arguments, cwd=tmp_path, timeout=120, **environment
    )


@pytest.fixture(params=["healthy"])
def pc(request: pytest.FixtureRequest, corp: Any, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The port and the password of a PC of the lab; it has the key that the domain has for it."""
    keytabs = tmp_path / "keytabs"
    keytabs.mkdir()
    export = ["domain", "exportkeytab", str(keytabs / "PC-00001.keytab"), "--principal=PC-00001$"]
    made = corp.run("/usr/bin/samba-tool", *export, f"--configfile={corp.folder / 'smb.conf'}")
    assert made.returncode == 0, made.stderr
    inventory = tmp_path / "lab_inventory.py"
    options = ["--hosts", "1", "--mix", f"{request.param}=1", "--dns-domain", "lab.test", "--keytabs", str(keytabs)]
    with subprocess.Popen(
        [*corp.enter(tmp_path), sys.executable, "-m", "provmode", "lab", *options, "--inventory", str(inventory)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **corp.environment},
    ) as lab:
        try:
            assert lab.stdout is not None
            said = "".join(iter(lab.stdout.readline, "Ctrl-C ends the lab\n"))
            (password_file,) = re.findall(r"password in (\S+)", said)
            (port,) = re.findall(r"winrm_port\D+(\d+)", inventory.read_text())
            yield SimpleNamespace(port=port, password=Path(password_file).read_text().strip())
        finally:
            lab.terminate()


@pytest.fixture
def shown(provmode: Callable[..., Any]) -> Callable[..., Any]:
    """Return what an inventory would ask."""

    def show(inventory: str, *arguments: str, **environment: str) -> Any:
        ran = provmode("inventory", "show", inventory, "--json", *arguments, **environment)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return show
