"""Real servers, started by the tests that use them, each in a folder of its own, and stopped when the tests end."""

from __future__ import annotations

import os
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
