"""Real servers, started by the tests that use them, each in a folder of its own, and stopped when the tests end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# -- Kerberos ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kdc(start_kdc: Callable[..., Any]) -> Iterator[Any]:
    """A realm with a KDC, a user and a host key (MIT Kerberos, on ports of its own, without root)."""
    with start_kdc() as realm:
        yield realm


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Postgres:
    """A running server; it listens on a socket in *folder* alone."""

    folder: Path
    programs: Path
    prefix: tuple[str, ...]
    """What runs a program as the server's user."""

    def sql(self, statement: str) -> str:
        """Run a statement and return what it prints."""
        psql = [*self.prefix, str(self.programs / "psql"), "-XAt", "-h", str(self.folder), "-U", "postgres"]
        ran = subprocess.run([*psql, "-c", statement], capture_output=True, text=True, check=True, cwd=self.folder)
        return ran.stdout.strip()


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server. It refuses to run as root, so root hands it to the package's user."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    prefix = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    folder = Path("/tmp") / f"provmode-pg-{os.getpid()}"
    folder.mkdir(mode=0o700)
    if prefix:
        shutil.chown(folder, "postgres", "postgres")
    data, log = folder / "data", folder / "log"
    control = [*prefix, str(programs / "pg_ctl"), "-D", str(data), "-l", str(log), "-s", "-w"]
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    try:
        subprocess.run(
            [*prefix, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"],
            check=True,
            cwd="/",
            capture_output=True,
        )
        subprocess.run([*control, "-o", options, "start"], check=True, cwd="/", stdout=subprocess.DEVNULL)
        try:
            yield Postgres(folder, programs, prefix)
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd="/")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- Active Directory -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def active_directory(start_domain: Callable[..., Any]) -> Iterator[Any]:
    """A domain controller for LAB.TEST, made from nothing."""
    with start_domain() as domain:
        yield domain


# -- a browser --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Browser:
    """Chromium without a window."""

    profile: Path

    def screenshot(self, page: Path, picture: Path, size: tuple[int, int] = (800, 600)) -> None:
        """Show a page and write what is seen as PNG."""
        self._run(page, f"--screenshot={picture}", f"--window-size={size[0]},{size[1]}")

    def text(self, page: Path) -> str:
        """Return the page as the browser has it after its scripts ran."""
        return self._run(page, "--dump-dom")

    def _run(self, page: Path, *arguments: str) -> str:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = ["chromium", "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", *root]
        chromium += [f"--user-data-dir={self.profile}", "--host-resolver-rules=MAP * ~NOTFOUND"]
        ran = subprocess.run(
            [*chromium, *arguments, page.as_uri()], capture_output=True, text=True, check=True, timeout=120
        )
        return ran.stdout


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A browser that reaches no network."""
    return Browser(tmp_path_factory.mktemp("chromium"))
