"""Lines of a report: nothing is cut off, nothing is padded, identical cases come once."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from provmode.report.lines import count_of, fold, line, names_of


def printed(text: str, indent: int, width: int = 80) -> str:
    file = io.StringIO()
    line(text, Console(file=file, width=width, highlight=False), indent)
    return file.getvalue()


WORDS = st.lists(st.text(st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=0xFF), min_size=1, max_size=200))


@given(WORDS, st.integers(0, 6), st.integers(40, 120))
def test_whatever_the_width_nothing_is_cut_off_and_nothing_is_padded(words: list[str], indent: int, width: int) -> None:
    said = printed(" ".join(words), indent, width)

    assert "".join(said.split()) == "".join(words)
    for each in said.splitlines():
        assert each == each.rstrip()
        assert len(each) <= width
        assert not each or each.startswith(" " * indent)


def test_a_name_that_steers_the_terminal_is_shown_as_what_it_is() -> None:
    assert printed("PC-\x1b[31m1", 2) == "  PC-\N{REPLACEMENT CHARACTER}[31m1\n"


def test_what_holds_for_most_comes_first_and_the_rest_in_order() -> None:
    folded = fold(["a", "bb", "c", "dd", "eee", "f"], lambda word: str(len(word)))

    assert folded == [("1", ["a", "c", "f"]), ("2", ["bb", "dd"]), ("3", ["eee"])]


def test_names_and_counts_are_written_as_people_do() -> None:
    assert (count_of(1), count_of(0), count_of(1842)) == ("1 host", "0 hosts", "1,842 hosts")
    assert names_of(["a", "b", "c"], 2) == "a, b and 1 more"
    assert names_of(["a", "b"], 2) == "a, b"
