"""The diff of two files, line by line up to a limit, then by their hashes alone."""

from __future__ import annotations

from hashlib import sha256

import pytest

from provmode.remediation.diff import text_diff


def lines(count: int, last: str = "") -> bytes:
    return "".join(f"line {number}\r\n" for number in range(count - bool(last))).encode() + last.encode()


def test_a_diff_is_unified_and_names_the_file_twice() -> None:
    assert text_diff("C:\\x", b"one\r\ntwo\r\n", b"one\r\nthree\r\n") == (
        *("--- C:\\x", "+++ C:\\x", "@@ -1,2 +1,2 @@"),
        *(" one", "-two", "+three"),
    )


def test_files_that_do_not_differ_have_no_diff_however_large_they_are() -> None:
    assert text_diff("x", b"one\n", b"one\r\n") == (), "the text is the same"
    assert text_diff("x", lines(3000), lines(3000)) == ()


def test_files_of_2000_lines_together_are_compared_line_by_line_and_larger_ones_by_their_hashes() -> None:
    before, after, larger = lines(1000), lines(1000, "other"), lines(1001, "other")

    assert text_diff("x", before, after)[2:] == (
        *("@@ -997,4 +997,4 @@", " line 996", " line 997", " line 998", "-line 999", "+other"),
    )
    assert text_diff("x", before, larger) == (
        *("--- x", "+++ x"),
        f"-(1000 lines, SHA-256 {sha256(before).hexdigest()})",
        f"+(1001 lines, SHA-256 {sha256(larger).hexdigest()})",
    )


@pytest.mark.parametrize(
    ("length", "shown"),
    [(999, "+" + "x" * 999), (1000, "+" + "x" * 979 + "\N{HORIZONTAL ELLIPSIS} (1,001 characters)")],
)
def test_of_a_line_1000_characters_are_shown_with_its_sign(length: int, shown: str) -> None:
    line = text_diff("x", b"", b"x" * length)[-1]

    assert line == shown
    assert len(line) == 1000
