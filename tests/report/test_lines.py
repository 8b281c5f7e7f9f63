"""Lines of a report: nothing is cut off, nothing is padded, identical cases are folded."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from provmode.report.lines import Page, count_of, fold, line, names_of


def printed(text: str, indent: int, width: int = 80) -> str:
    file = io.StringIO()
    line(text, Console(file=file, width=width, highlight=False), indent)
    return file.getvalue()


WORDS = st.lists(st.text(st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=0xFF), min_size=1, max_size=200))


@given(WORDS, st.integers(0, 6), st.integers(40, 120))
def test_at_any_width_nothing_is_cut_off_and_nothing_is_padded(words: list[str], indent: int, width: int) -> None:
    output = printed(" ".join(words), indent, width)

    assert "".join(output.split()) == "".join(words)
    for each in output.splitlines():
        assert each == each.rstrip()
        assert len(each) <= width
        assert not each or each.startswith(" " * indent)


def test_control_characters_in_a_name_are_replaced() -> None:
    assert printed("PC-\x1b[31m1", 2) == "  PC-\N{REPLACEMENT CHARACTER}[31m1\n"


def test_the_largest_group_comes_first_and_equal_groups_keep_their_order() -> None:
    folded = fold(["a", "bb", "c", "dd", "eee", "f"], lambda word: str(len(word)))

    assert folded == [("1", ["a", "c", "f"]), ("2", ["bb", "dd"]), ("3", ["eee"])]


def test_names_and_counts_are_written_in_words() -> None:
    assert (count_of(1), count_of(0), count_of(1842)) == ("1 host", "0 hosts", "1,842 hosts")
    terminal, wide = Page(file=io.StringIO(), width=20), Page(file=io.StringIO(), width=20, wide=True)
    assert names_of(["a", "b", "c"], terminal, 2) == "a, b and 1 more"
    assert names_of(["a", "b"], terminal, 2) == "a, b"
    assert names_of(["a", "b", "c"], wide, 2) == "a, b, c"


def test_a_wide_line_is_not_wrapped() -> None:
    file = io.StringIO()

    line(f"{'PC ' * 100}end ", Page(file=file, width=20, wide=True), 2)

    assert file.getvalue() == f"  {'PC ' * 100}end\n"


def test_what_stands_in_a_line_begins_none_of_its_own() -> None:
    """Else who makes a plan could write into it what its approver takes for ours."""
    file, forged = io.StringIO(), "plan 1\nsigned with the given key\r\n\u2028changes  0 of 6"

    line(forged, Page(file=file, width=20, wide=True))

    shown = "plan 1 signed with the given key\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}changes  0 of 6\n"
    assert (file.getvalue(), printed(forged, 0, 100)) == (shown, shown)
