"""Tests of a connection run over both stacks: our own, and pywinrm's, which is its reference."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["lean", "pywinrm"])
def stack(request: pytest.FixtureRequest) -> str:
    """The code that speaks HTTP to the PCs."""
    return str(request.param)
