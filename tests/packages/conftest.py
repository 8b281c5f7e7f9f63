"""Packages from short descriptions, and what they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.packages.writer import Description, package
from provmode.packages.container import of_bytes
from provmode.packages.model import Package
from provmode.packages.read import read_package

RECORDINGS = Path(__file__).parents[1] / "recordings" / "ppkg"
ID = "{11111111-2222-3333-4444-555555555555}"
KEY = b"a key of this test"

Make = Callable[..., Package]


@pytest.fixture(scope="session")
def described() -> Callable[..., Description]:
    """Return what describes a package; what is not said is as usual."""
    return lambda **told: Description(**{"id": ID, "name": "office", **told})


@pytest.fixture(scope="session")
def made(described: Callable[..., Description]) -> Make:
    """Return what makes a package and reads it."""

    def make(**told: Any) -> Package:
        return read_package(of_bytes(package(described(**told))), key=KEY)

    return make


@pytest.fixture(scope="session")
def recorded() -> Make:
    """Return what reads a recorded package."""
    return lambda name: read_package(of_bytes((RECORDINGS / f"{name}.ppkg").read_bytes()), key=KEY)
