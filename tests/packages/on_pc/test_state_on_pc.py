"""Everything about a PC's packages: how many questions it is, and what is left if shells are forbidden."""

from __future__ import annotations

from typing import Any

import pytest

from provmode.errors import AccessDenied, RemoteFault
from provmode.packages.on_pc.inventory import HASHES, INVENTORY
from provmode.packages.on_pc.model import Place
from provmode.packages.on_pc.state import packages, packages_on_pc
from provmode.reading import Absent, Known, Unknown, plain
from provmode.wsman import CommandLine, Completed, Enumerate, Instance, Invoke

ID = "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"
KEPT = "C:\\ProgramData\\Microsoft\\Provisioning"
FIVE = tuple(f"{KEPT}\\{name}.ppkg" for name in ("a", "b", "c", "d", "e"))
HASH = "ab" * 32
FORBIDDEN = RemoteFault("no shells", code=0x803381AC, kind="shells-forbidden")


class Pc:
    """A PC that answers each kind of question, and counts them."""

    def __init__(self, line: Completed | Exception, files: tuple[str, ...] = FIVE) -> None:
        self.line, self.files = line, files
        self.asked: list[Any] = []

    def answer(self, operation: Any) -> Any:
        """Answer as a PC with *files* does."""
        self.asked.append(operation)
        if isinstance(operation, CommandLine):
            return self.line
        if isinstance(operation, Invoke):
            missing = "Security" in str(operation.parameters)
            return Instance("X", {"ReturnValue": "2"} if missing else {"ReturnValue": "0", "sNames": (ID,)})
        assert isinstance(operation, Enumerate)
        wql = str(operation.wql)
        if "Win32_OperatingSystem" in wql:
            return [Instance("A", {"Version": "10.0", "BuildNumber": "26100", "WindowsDirectory": "C:\\Windows"})]
        if "Win32_Service" in wql:
            return [Instance("A", {"Name": "dmwappushservice", "State": "Stopped", "StartMode": "Disabled"})]
        if "'\\\\ProgramData\\\\Microsoft\\\\Provisioning\\\\'" in wql:
            return [Instance("A", {"Name": file.lower(), "FileSize": "6026"}) for file in self.files]
        return []

    def run(self, conversation: Any) -> Any:
        """Drive a conversation."""
        try:
            operation = next(conversation)
            while True:
                answer = self.answer(operation)
                throw = isinstance(answer, Exception)
                operation = conversation.throw(answer) if throw else conversation.send(answer)
        except StopIteration as stop:
            return stop.value


def line(*, hashes: bool = True) -> Completed:
    """Return what the one command line prints."""
    files = "".join(f"@provmode file {path}\r\nSHA256:\r\n{HASH}\r\nOK\r\n" for path in FIVE if hashes)
    rest = "@provmode registry \r\n\r\n@provmode done \r\n@provmode events \r\n@provmode done\r\n"
    return Completed(0, (files + rest).encode())


def test_a_pc_with_five_packages_is_one_process_and_a_dozen_questions() -> None:
    pc = Pc(line())

    state = pc.run(packages_on_pc())

    assert [each for each in pc.asked if isinstance(each, CommandLine)] == [INVENTORY]
    assert len(pc.asked) <= 12
    assert [file.sha256 for file in state.files] == [Known(HASH)] * 5
    assert state.applied_ids == Known((ID,))
    assert state.results == Absent()
    assert state.push_service.value.disabled


def test_without_shells_the_rest_is_known() -> None:
    state = Pc(FORBIDDEN).run(packages_on_pc())

    unknown = [state.results, state.commands, state.events, *(file.sha256 for file in state.files)]
    assert {each.cause for each in unknown} == {"shells-forbidden"}
    assert len(state.files) == 5
    assert isinstance(state.applied_ids, Known)
    assert state.policies.allow_add == Absent()
    assert isinstance(state.push_service, Known)
    assert all(isinstance(each.files, Known) for each in state.places)


def test_the_files_alone_are_one_process_and_none_without_files() -> None:
    pc, empty = Pc(Completed(0, line().stdout)), Pc(AccessDenied("no"), files=())

    assert [file.place for file in pc.run(packages()).value] == [Place.KEPT] * 5
    assert HASHES in pc.asked
    assert empty.run(packages()) == Absent()
    assert HASHES not in empty.asked


def test_a_place_that_could_not_be_read_makes_the_list_of_files_unknown() -> None:
    pc = Pc(line())
    denied = pc.answer

    def answer(operation: Any) -> Any:
        return AccessDenied("no") if "Recovery" in str(operation) else denied(operation)

    pc.answer = answer  # type: ignore[method-assign]
    assert isinstance(pc.run(packages()), Unknown)


@pytest.mark.parametrize("state", [Pc(line()).run(packages_on_pc()), Pc(FORBIDDEN).run(packages_on_pc())])
def test_all_of_it_can_be_written_as_json(state: Any) -> None:
    document = plain(state)

    assert set(document) == {
        *("places", "results", "applied_ids", "commands", "trusted", "policies", "events", "push_service")
    }
    assert document["places"][0]["place"] == "kept"
