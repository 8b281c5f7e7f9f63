"""The bytes of a package on a PC: few of them, each once, and always those of one and the same file."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import AccessDenied, HostError, ProtocolError
from provmode.packages.on_pc.contents import LARGEST, MOST, ROUNDS, WHOLE, Ranges, RangeWanted, with_bytes
from provmode.windows.files import CHUNK, StaleFile, TooLarge, sha256
from provmode.wsman import Completed


class Pc:
    """A PC with one file; *size* larger than its bytes: the rest is zero."""

    def __init__(self, data: bytes, size: int = 0) -> None:
        self.data, self.size = data, size or len(data)
        self.hash = sha256(data) if self.size == len(data) else "ab" * 32
        self.asked: list[tuple[int, int]] = []
        self.changes: dict[str, Any] = {}

    def answer(self, offset: int, count: int) -> Completed:
        """Answer as the script does."""
        self.asked.append((offset, count))
        count = max(0, min(count, self.size - offset))
        part = self.data[offset : offset + count].ljust(count, b"\0")
        body = {"exists": True, "size": self.size, "sha256": self.hash, "base64": b64encode(part).decode()}
        return Completed(0, json.dumps({**body, **self.changes}).encode())

    def run(self, work: Callable[[Ranges, str], Any], **options: Any) -> Any:
        """Drive the conversation."""
        conversation = with_bytes("C:\\a.ppkg", work, **options)
        try:
            line = next(conversation)
            while True:
                asked = json.loads(line.stdin)
                line = conversation.send(self.answer(asked["offset"], asked["count"]))
        except StopIteration as stop:
            return stop.value


def test_a_small_package_is_one_request_and_whole() -> None:
    pc = Pc(b"MSWIM" + bytes(6000))

    assert pc.run(lambda source, digest: (source.whole, digest)) == (pc.data, pc.hash)
    assert pc.asked == [(0, CHUNK)]


def test_a_package_of_a_gigabyte_costs_what_is_read_of_it() -> None:
    size = LARGEST - 100

    def work(source: Ranges, digest: str) -> bytes:
        header, table, xml = source.read(0, 208), source.read(size - 9000, 5000), source.read(size - 4000, 4000)
        return header + source.read(size // 2, 700) + table + xml

    pc = Pc(b"MSWIM", size)

    assert len(pc.run(work)) == 208 + 700 + 5000 + 4000
    assert len(pc.asked) == 3
    assert sum(count for _, count in pc.asked) < 3 * CHUNK + 1


def test_bytes_are_asked_for_once() -> None:
    pc = Pc(bytes(range(256)) * 12_000)
    assert pc.data.__len__() > WHOLE
    wanted = [(1_000_000, 300_000), (900_000, 200_000), (0, 10), (999_000, 2_000), (2_999_999, 50)]

    found = pc.run(lambda source, _: [source.read(*each) for each in wanted])

    assert found == [pc.data[offset : offset + count] for offset, count in wanted]
    covered = [byte for offset, count in pc.asked for byte in range(offset, min(offset + count, pc.size))]
    assert len(covered) == len(set(covered))


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 80)), max_size=12), st.integers(1, 300))
def test_ranges_in_any_order_are_the_files_bytes(parts: list[tuple[int, int]], size: int) -> None:
    data = bytes(at % 251 for at in range(size))
    source = Ranges(size)

    for offset, count in parts:
        while True:
            try:
                assert source.read(offset, count) == data[offset : offset + count]
                break
            except RangeWanted as wanted:
                start, length = source.missing(wanted.offset, wanted.count)
                assert length > 0
                source.add(start, data[start : start + length])
    assert source.fetched <= size
    assert source.whole in (None, data)


def test_a_file_that_is_not_there_is_none_and_one_that_goes_is_stale() -> None:
    pc = Pc(b"x" * 10)
    pc.changes = {"exists": False}
    assert pc.run(lambda source, digest: source.whole) is None

    pc = Pc(bytes(WHOLE + 10))

    def work(source: Ranges, digest: str) -> bytes:
        pc.changes = {"exists": False}
        return source.read(WHOLE, 5)

    with pytest.raises(StaleFile, match="is gone"):
        pc.run(work)


@pytest.mark.parametrize("change", [{"sha256": "cd" * 32}, {"size": WHOLE + 11}])
def test_a_file_that_changes_in_between_is_stale(change: dict[str, Any]) -> None:
    pc = Pc(bytes(WHOLE + 10))

    def work(source: Ranges, digest: str) -> bytes:
        pc.changes = change
        return source.read(WHOLE, 5)

    with pytest.raises(StaleFile, match="not the file that was seen"):
        pc.run(work)


def test_another_file_than_was_hashed_is_stale() -> None:
    with pytest.raises(StaleFile):
        Pc(b"x" * 10).run(lambda source, digest: source.whole, expected="cd" * 32)


def test_bytes_that_do_not_have_the_hash_are_refused() -> None:
    pc = Pc(b"x" * 10)
    pc.hash = "ab" * 32

    with pytest.raises(ProtocolError, match="do not have the file's hash"):
        pc.run(lambda source, digest: source.whole)


@pytest.mark.parametrize(
    "change",
    [{"base64": b64encode(b"y" * 9).decode()}, {"base64": ""}, {"sha256": "short"}, {"size": -1}, {"base64": "%"}],
)
def test_an_answer_that_is_none_is_one_error(change: dict[str, Any]) -> None:
    pc = Pc(b"x" * 10)
    pc.changes = change

    with pytest.raises(HostError):
        pc.run(lambda source, digest: source.whole)


def test_a_file_that_is_too_large_is_refused_after_its_first_bytes() -> None:
    pc = Pc(b"x", LARGEST + 1)

    with pytest.raises(TooLarge, match="read it on this computer"):
        pc.run(lambda source, digest: source.whole)
    assert len(pc.asked) == 1


def test_a_reader_that_wants_everything_is_stopped() -> None:
    pc = Pc(b"x", LARGEST - 1)
    with pytest.raises(TooLarge, match="takes more than"):
        pc.run(lambda source, digest: source.read(0, MOST + 10))

    pc = Pc(b"x", LARGEST - 1)
    with pytest.raises(TooLarge, match="takes more than"):
        pc.run(lambda source, digest: [source.read(at * 2 * CHUNK, 5) for at in range(100)])
    assert len(pc.asked) <= ROUNDS + 1


def test_a_denied_file_is_said_as_it_is() -> None:
    pc = Pc(b"x")
    pc.changes = {"error": "UnauthorizedAccessException"}

    with pytest.raises(AccessDenied):
        pc.run(lambda source, digest: source.whole)
