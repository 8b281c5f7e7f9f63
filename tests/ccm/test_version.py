"""Client versions compare as numbers."""

from __future__ import annotations

import pytest

from provmode.ccm.version import build, leaves_by_itself, release


@pytest.mark.parametrize(
    ("version", "leaves"),
    [
        ("5.00.8790.1007", True),
        ("5.0.8790.1000", True),
        ("5.00.9128.1007", True),
        ("5.00.10000.1", True),
        ("5.00.8740.1024", False),
        ("4.00.6487.2000", False),
        ("6.0.1.1", True),
        ("", None),
        ("x.y", None),
    ],
)
def test_clients_of_8790_and_later_leave_by_themselves(version: str, leaves: bool | None) -> None:
    assert leaves_by_itself(version) is leaves


def test_a_known_build_has_its_release() -> None:
    assert (build("5.00.8790.1007"), release("5.00.8790.1007"), release("5.00.1.1")) == (8790, "1902", None)
