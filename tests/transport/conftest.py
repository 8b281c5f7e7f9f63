"""Tests of a connection run over both stacks: our own, and pywinrm's, which is its reference."""

from __future__ import annotations

import pytest

from provmode.transport import lean, pywinrm  # noqa: F401 - each takes variables out of the environment once, here


@pytest.fixture(params=["lean", "pywinrm"])
def stack(request: pytest.FixtureRequest) -> str:
    """The code that speaks HTTP to the PCs."""
    return str(request.param)
