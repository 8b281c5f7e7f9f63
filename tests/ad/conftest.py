"""A domain of its own with a Samba domain controller, and the directory of `objects.py`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def corp(start_domain: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The domain lab.test."""
    with start_domain(tmp_path_factory.mktemp("corp"), HERE / "objects.py") as domain:
        yield domain


@pytest.fixture
def provmode(corp: Any, tmp_path: Path) -> Callable[..., Any]:
    """Run provmode's command line in the domain's network, in an empty folder."""
    return lambda *arguments, **environment: corp.run(
        sys.executable, "-m", "provmode", *arguments, cwd=tmp_path, timeout=120, **environment
    )


@pytest.fixture
def shown(provmode: Callable[..., Any]) -> Callable[..., Any]:
    """Return what an inventory would ask."""

    def show(inventory: str, *arguments: str, **environment: str) -> Any:
        ran = provmode("inventory", "show", inventory, "--json", *arguments, **environment)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return show
