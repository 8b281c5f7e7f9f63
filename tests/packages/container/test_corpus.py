"""Inputs that a coverage-guided fuzzer found (`.ci/fuzz.py`): each is read, or one of the promised errors."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from provmode.packages.container import of_bytes, open_container, signature, signature_of, signed_data, tree, xpress
from provmode.packages.container.certificates import Unsupported
from provmode.packages.container.der import Malformed
from provmode.packages.container.header import read_header
from provmode.packages.errors import PackageUnreadable
from provmode.packages.lint import lint
from provmode.packages.read import read_package

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


def test_there_are_inputs() -> None:
    assert len(CORPUS) > 50


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name[:8])
def test_an_input_of_the_fuzzer_is_read_or_is_one_error(path: Path) -> None:
    data = path.read_bytes()
    kind, rest = data[:1], data[1:]
    with suppress(PackageUnreadable, Malformed, Unsupported, signed_data.NoCertificate):
        match (kind[0] if kind else 0) % 4:
            case 1:
                tree.read_tree(rest)
            case 2:
                size = 1 + int.from_bytes(rest[:2], "little")
                assert len(xpress.unpack(rest[2:], size)) == size
            case 3:
                signed_data.read_signed_data(rest, signature.INDIRECT_DATA).holds()
            case _:
                signature_of(of_bytes(rest), read_header(of_bytes(rest)))
                container = open_container(of_bytes(rest))
                for name in container.files:
                    container.content(name)
                lint(read_package(of_bytes(rest)))
