"""Work on what a PC sent grows with its size, not with the square of it: one PC cannot hold up the others.

Each row is a reader with a text that it finds hard. The reader gets the text in two sizes, one `TIMES` as large as the
other. Work that grows with the square takes `TIMES` times longer than in proportion. Only the ratio is compared, of
processor time.
"""

from __future__ import annotations

import base64
import gc
import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.ccm import tcf
from provmode.ccm.client import TCF_PATHS, bounded, mobile_client_tcf
from provmode.ccm.model import ClientReadings
from provmode.ccm.version import leaves_by_itself
from provmode.packages.on_pc.events import read_events
from provmode.packages.on_pc.inventory import hashes_in, inventory
from provmode.packages.on_pc.model import package_id
from provmode.packages.on_pc.reg_query import read_tree
from provmode.reading import Known
from provmode.remediation.diff import text_diff
from provmode.remediation.lease import release
from provmode.text import shortened, visible
from provmode.windows.codepages import decode_console
from provmode.windows.files import script_answer
from provmode.windows.registry import values_of
from provmode.wsman import CommandLine, Completed, Enumerate, Instance, Resource, exchange_for, text
from provmode.wsman.messages import Response, decode
from provmode.wsman.notation import parse as read_notation
from provmode.wsman.values import boolean, integers, read_interval, read_moment, read_object
from provmode.wsman.xml import MAX_BYTES, MAX_NAMESPACE, parse

TIMES = 8
ALLOWED = 5.0
"""How much longer than in proportion it may take: caches and the memory allocator make it uneven."""
NOW = datetime(2026, 8, 20, 12, 0, tzinfo=timezone.utc)
SOAP = 'xmlns:s="http://www.w3.org/2003/05/soap-envelope"'

Work = Callable[[], Any]
Reader = Callable[[int], Work]
"""A reader's work on a text of so many characters."""


def quietly(work: Work) -> Work:
    """Return *work*; what it refuses is work done, too."""

    def run() -> Any:
        try:
            return work()
        except ValueError as refused:  # also what is malformed or unexpected
            return refused
        except OSError as refused:
            return refused

    return run


def answering(conversation: Any, *answers: Any) -> Any:
    """Drive a conversation or an exchange with answers."""
    try:
        next(conversation)
        for answer in answers:
            conversation.send(answer)
    except StopIteration as stop:
        return stop.value
    return None


def marks(contents: bytes) -> Completed:
    """Return what the command for `MobileClient.TCF` prints if the first file has these *contents*."""
    rest = b"".join(b"@provmode %d absent\r\n" % number for number in range(1, len(TCF_PATHS)))
    return Completed(0, contents + b"@provmode 0 shown\r\n" + rest)


def repeated(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]


def many(form: str, count: int) -> str:
    """Return *form* so often, each with its number; ``{1}`` is a quote."""
    return "".join(form.format(number, '"') for number in range(count))


def of_tcf(head: str, unit: str, tail: str = "") -> dict[str, Reader]:
    """Return the readers of a TCF file with this content."""

    def content(size: int) -> bytes:
        return (head + repeated(unit, size) + tail).encode()

    def read(size: int) -> Work:
        data = content(size)
        return lambda: tcf.read(data)

    def disarm(size: int) -> Work:
        data = content(size)
        return lambda: tcf.disarm(data)

    def asked(size: int) -> Work:
        completed = marks(content(size))
        return lambda: answering(mobile_client_tcf(), completed, [])

    def diff(size: int) -> Work:
        before = content(size)
        after = tcf.disarm(before)
        return lambda: text_diff("x", before, after)

    name = f"{head}{unit}"[:30]
    return {f"{what} {name!r}": reader for what, reader in locals_of(read, disarm, asked, diff).items()}


def locals_of(*readers: Reader) -> dict[str, Reader]:
    return {reader.__name__: reader for reader in readers}


def of_xml(name: str, make: Callable[[int], str]) -> dict[str, Reader]:
    """Return the readers of an answer with this document."""

    def parsing(size: int) -> Work:
        data = make(size).encode()
        return lambda: parse(data)

    def decoding(size: int) -> Work:
        data = f"<s:Envelope {SOAP}><s:Body>{make(size)}</s:Body></s:Envelope>".encode()

        def work() -> Any:
            body = decode(data).body
            assert body is not None
            return read_object(body)

        return work

    return {f"parse {name}": parsing, f"decode {name}": decoding}


def on_text(reader: Callable[[str], Any], unit: str, head: str = "", tail: str = "") -> Reader:
    """Return *reader* with a text made of *unit*."""

    def start(size: int) -> Work:
        content = head + repeated(unit, size) + tail
        return lambda: reader(content)

    return start


def pages(size: int) -> Work:
    """Enumerate: objects in pages of a hundred."""
    page = "<PullResponse><EnumerationContext>c</EnumerationContext><Items>%s</Items></PullResponse>"
    body = parse((page % ("<p:A xmlns:p='u'><p:N>1</p:N></p:A>" * 100)).encode())
    count = size // 3000
    first = parse(b"<EnumerateResponse><EnumerationContext>c</EnumerationContext></EnumerateResponse>")
    operation = Enumerate(Resource.cim("root/ccm", "A"))
    return lambda: answering(exchange_for(operation), Response("", first), *[Response("", body)] * count)


def received(size: int) -> Work:
    """Output of a command in chunks of a few bytes."""
    chunk = base64.b64encode(b"abcdef").decode()
    stream = f'<Stream Name="stdout" CommandId="C">{chunk}</Stream>'
    body = parse(f"<ReceiveResponse>{stream * 100}</ReceiveResponse>".encode())
    shell = parse(b"<Shell><ShellId>S</ShellId></Shell>")
    begun = parse(b"<CommandResponse><CommandId>C</CommandId></CommandResponse>")
    answers = [Response("", shell), Response("", begun), *[Response("", body)] * (size // 2000)]
    return lambda: answering(exchange_for(CommandLine("x")), *answers)


def received_with_blanks(size: int) -> Work:
    """Output of a command as base64 with a blank after each character."""
    stream = f'<Stream Name="stdout" CommandId="C">{"Y " * (size // 2 // 4 * 4)}</Stream>'
    body = parse(f"<ReceiveResponse>{stream}</ReceiveResponse>".encode())
    shell = parse(b"<Shell><ShellId>S</ShellId></Shell>")
    begun = parse(b"<CommandResponse><CommandId>C</CommandId></CommandResponse>")
    return lambda: answering(exchange_for(CommandLine("x")), *(Response("", each) for each in (shell, begun, body)))


def registry(size: int) -> Work:
    names = tuple(f"n{number}" for number in range(size // 10))
    answer = Instance("EnumValues_OUTPUT", {"ReturnValue": "0", "sNames": names, "Types": ("1",) * len(names)})
    return lambda: values_of(answer, "a key")


def numbers(size: int) -> Work:
    answer = Instance("A", {"uValue": ("0x00000007",) * (size // 10)})
    return lambda: integers(answer, "uValue")


def properties(size: int) -> Work:
    item = Instance("A", {f"n{number}": "1" for number in range(size // 10)})
    return lambda: (text(item, "nosuch"), boolean(item, "nosuch"))


def leases(size: int) -> Work:
    completed = Completed(0, b"20260101T000000Z-0123456789abcdef\r\n" * (size // 35))
    return lambda: answering(release("f" * 16), completed)


def facts(size: int) -> Work:
    state = ClientReadings(NOW, system_task_excludes=Known(("x",) * (size // 4)))
    return lambda: bounded(state)


def of_packages(unit: str, head: str = "", tail: str = "") -> dict[str, Reader]:
    """Return the readers of what a PC prints about packages."""

    def inventory_of_packages(size: int) -> Work:
        completed = Completed(0, (head + repeated(unit, size) + tail).encode())
        return lambda: answering(inventory(), completed, Instance("A", {"ReturnValue": "2"}))

    name = f"{head}{unit}"[-24:]
    readers = {
        "events": on_text(read_events, unit, head, tail),
        "registry": on_text(lambda content: read_tree(content, ROOT), unit, f"{ROOT}\n{head}", tail),
        "hashes": on_text(lambda content: hashes_in(content.split("\n")), unit, f"@provmode file x\n{head}", tail),
        "id": on_text(package_id, unit, head, tail),
        "inventory": inventory_of_packages,
    }
    return {f"{what} of packages {name!r}": reader for what, reader in readers.items()}


ROOT = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Provisioning"
PACKAGE_READERS = {
    **of_packages("<Event>"),
    **of_packages("<Event ", tail="</Event>"),
    **of_packages("</Event>"),
    **of_packages("<Event></Event>"),
    **of_packages("    "),
    **of_packages("    REG_SZ", "    a"),
    **of_packages("    a    REG_SZ    b\n"),
    **of_packages("\\0", "    a    REG_MULTI_SZ    "),
    **of_packages("x\n", "    a    REG_SZ    "),
    **of_packages(f"{ROOT}\\a\n"),
    **of_packages("\\a", ROOT),
    **of_packages("0a ", "@provmode file "),
    **of_packages("@provmode file x\n"),
    **of_packages("@provmode registry\n@provmode events\n"),
    **of_packages("00000000-0000-"),
}
TCF_READERS = {
    **of_tcf("Install=", "SMSPROVISIONINGMODE=1 "),
    **of_tcf("Install=", 'SMSPROVISIONINGMODE=1 " '),
    **of_tcf("Install=", " "),
    **of_tcf("", "SMSPROVISIONINGMODE=1\r\n"),
    **of_tcf("", "\r"),
    **of_tcf("", "Install=\n"),
    **of_tcf("SMSPROVISIONINGMODE", " ", "=1 x"),
    **of_tcf("\ufeff", "@provmode 0 "),
    **of_tcf("", "\0x"),
}
XML_READERS = {
    **of_xml("elements", lambda size: f"<a>{'<b/>' * (size // 20)}</a>"),
    **of_xml(
        "elements in a long namespace", lambda size: f"<a xmlns='{'u' * (size // 4)}'>{'<b/>' * (size // 24)}</a>"
    ),
    **of_xml(
        "elements in the longest namespace",
        lambda size: f"<a xmlns='{'u' * MAX_NAMESPACE}'>{'<b/>' * (size // 25)}</a>",
    ),
    **of_xml("a long prefix", lambda size: f"<a xmlns:{'p' * (size // 2)}='{'u' * (size // 2)}'/>"),
    **of_xml("namespaces", lambda size: f"<a {many(' xmlns:p{0}={1}u{0}{1}', size // 24)}/>"),
    **of_xml("the word xmlns", lambda size: f"<a>{repeated('xmlns', size)}</a>"),
    **of_xml("prefixes", lambda size: f"<a>{repeated('xmlns:' + 'p' * 250 + ' ', size)}</a>"),
    **of_xml("blanks after xmlns", lambda size: f"<a>xmlns{repeated(' ', size)}</a>"),
    **of_xml("attributes", lambda size: f"<a {many(' a{0}={1}{1}', size // 12)}/>"),
    **of_xml("entities", lambda size: f"<a>{repeated('&lt;', size)}</a>"),
    **of_xml("line ends", lambda size: f"<a>{repeated(chr(13) + chr(10), size)}</a>"),
    **of_xml("a declaration", lambda size: f"<?xml {repeated('encoding=', size)}?><a/>"),
    **of_xml("properties", lambda size: f"<a>{many('<p{0}>1</p{0}>', size // 25)}</a>"),
    **of_xml("an array", lambda size: f"<a>{'<p>1</p>' * (size // 21)}</a>"),
    **of_xml("objects", lambda size: f"<a>{'<p><q><r>1</r></q></p>' * (size // 64)}</a>"),
}
TEXT_READERS: dict[str, Reader] = {
    "visible": on_text(visible, "\x1b[31m"),
    "shortened": on_text(shortened, "x"),
    "version": on_text(leaves_by_itself, "5.00."),
    "version of blanks": on_text(leaves_by_itself, " ", tail="x"),
    "version of digits": on_text(leaves_by_itself, "1"),
    "time": on_text(read_moment, "2026-08-20T12:00:00"),
    "time of blanks": on_text(read_moment, " ", tail="x"),
    "interval": on_text(read_interval, "P1D"),
    "interval of signs": on_text(read_interval, "-"),
    "console": on_text(lambda content: decode_console(content.encode(), 65001), "a\r\n"),
    "console of OEM": on_text(lambda content: decode_console(content.encode(), 850), "\x85\r"),
    "script": on_text(lambda content: script_answer(Completed(0, content.encode()), "x"), '{"a":1}\n'),
    "script of digits": on_text(lambda content: script_answer(Completed(0, content.encode()), "x"), "1", '{"a":', "}"),
    "script of brackets": on_text(lambda content: script_answer(Completed(0, content.encode()), "x"), "["),
    "script as JSON": on_text(
        lambda content: script_answer(Completed(0, json.dumps({"a": content}).encode()), "x"), "x"
    ),
    "notation of a hash": on_text(read_notation, 'a="1";', "winrm invoke M wmi/root/x @{", "}"),
    "notation of a query": on_text(read_notation, "-dialect:wql ", "winrm enumerate wmi/root/x ", '-filter:"x"'),
    "notation of selectors": on_text(read_notation, "a=1+", "winrm get wmi/root/x?", "b=1"),
    "notation of blanks": on_text(read_notation, " ", "winrm get wmi/root/x ", "x"),
}
OTHER_READERS: dict[str, Reader] = {
    **locals_of(pages, received, received_with_blanks, registry, numbers, properties, leases, facts)
}


def seconds(work: Work) -> float:
    """Return the processor time of *work*, at its best."""
    best = float("inf")
    for _ in range(3):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


@pytest.mark.parametrize(
    ("reader", "largest"),
    [
        *(pytest.param(reader, tcf.MAX_BYTES - 64, id=name) for name, reader in TCF_READERS.items()),
        *(pytest.param(reader, MAX_BYTES - 4096, id=name) for name, reader in XML_READERS.items()),
        *(pytest.param(reader, 1024 * 1024, id=name) for name, reader in TEXT_READERS.items()),
        *(pytest.param(reader, 1024 * 1024, id=name) for name, reader in OTHER_READERS.items()),
        *(pytest.param(reader, 512 * 1024, id=name) for name, reader in PACKAGE_READERS.items()),
    ],
)
def test_a_reader_takes_time_in_proportion_to_the_size(reader: Reader, largest: int) -> None:
    gc.disable()
    try:
        small = seconds(quietly(reader(largest // TIMES)))
        large = seconds(quietly(reader(largest)))
    finally:
        gc.enable()

    assert large <= TIMES * ALLOWED * max(small, 0.0005)
