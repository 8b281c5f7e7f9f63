"""Inputs that a coverage-guided fuzzer found (`.ci/fuzz.py`): each is an answer, or one of the promised errors."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from provmode.transport.framing import Answer, AnswerReader, CutOff, NotHttp, TooLarge
from provmode.transport.sealed_body import NEGOTIATE, SealError, unpack

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


def read(stream: bytes, size: int) -> Answer | type[Exception]:
    """Read *stream* in pieces of a *size*; bytes after the answer are refused, in which piece they come or not."""
    reader = AnswerReader(1 << 16)
    try:
        for start in range(0, len(stream), size):
            answer = reader.feed(stream[start : start + size])
            if answer is not None:
                return answer if start + size >= len(stream) else NotHttp
        answer = reader.feed(b"")
    except (NotHttp, TooLarge, CutOff) as error:
        return type(error)
    assert answer is not None
    return answer


def test_there_are_inputs() -> None:
    assert len(CORPUS) > 50


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name[:8])
def test_an_input_of_the_fuzzer_is_read_the_same_however_it_comes(path: Path) -> None:
    stream = path.read_bytes()[1:]
    whole = read(stream, max(1, len(stream)))

    for size in (1, 2, 7, 64):
        assert read(stream, size) == whole
    if isinstance(whole, Answer):
        with suppress(SealError):
            assert unpack(NEGOTIATE, whole.body)
