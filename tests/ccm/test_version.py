"""Client versions compare as numbers."""

from __future__ import annotations

import pytest

from provmode.ccm.version import leaves_by_itself


@pytest.mark.parametrize(
    ("version", "leaves"),
    [
        *[("5.00.8790.1007", True), ("5.0.8790.1000", True), ("5.00.8790", True), ("5.00.8790.0", True)],
        *[("5.00.9128.1007", True), ("5.00.10000.1", True), ("6.0.1.1", True), ("6.0", True), ("5.1.1.1", True)],
        *[("5.00.8789.9999", False), ("5.00.8740.1024", False), ("4.00.6487.2000", False), ("4.99.9999.1", False)],
        *[("5.00", False), ("5.0.1", False)],
        *[(" 5.00.8790.1007 ", True), ("\t5.00.8740.1024\x1f", False), ("999999999.1", True), ("1.2.3.4.5.6", False)],
        *[("", None), ("x.y", None), ("5", None), ("5.", None), (".5", None), ("5.00.x", None), ("-5.0", None)],
        *[("5,00", None), ("5.00.8790 (1902)", None), ("1000000000.1", None), ("1.2.3.4.5.6.7", None)],
    ],
)
def test_clients_of_8790_and_later_leave_by_themselves(version: str, leaves: bool | None) -> None:
    assert leaves_by_itself(version) is leaves
