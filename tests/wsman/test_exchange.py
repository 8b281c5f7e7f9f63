"""Each exchange, driven step by step: what it asks after which answer, and what it frees whatever happens."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.wsman import (
    CommandLine,
    Completed,
    Enumerate,
    Fault,
    FaultKind,
    Get,
    Identify,
    Identity,
    Instance,
    Invoke,
    OpenShell,
    Put,
    Request,
    Resource,
    Response,
    UnexpectedAnswer,
    decode,
    exchange,
    exchange_for,
    uris,
)

SERVICES = Resource.cim("root/cimv2", "Win32_Service")
SPOOLER = Resource.cim("root/cimv2", "Win32_Service", {"Name": "Spooler"})
REGISTRY = Resource.cim("root/cimv2", "StdRegProv")
NOTHING_YET = Fault(code=2150858793, subcode="TimedOut")
DENIED = Fault(code=5)
STATE = f"{uris.SHELL}/CommandState"


def answer(body: str = "") -> Response:
    """Return the answer with *body*."""
    bound = {"s": uris.SOAP, "a": uris.ADDRESSING, "w": uris.WSMAN, "x": uris.TRANSFER, "n": uris.ENUMERATION}
    bound |= {"rsp": uris.SHELL, "xsi": uris.XSI, "cim": uris.CIM_COMMON}
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in bound.items())
    return decode(f"<s:Envelope {declared}><s:Header/><s:Body>{body}</s:Body></s:Envelope>".encode())


def drive(
    operation: Any, answers: Sequence[Response | Exception], shell: OpenShell | None = None
) -> tuple[list[Request], Any]:
    """Return what an exchange sends if it gets *answers* in turn, and what it returns; an error passes through."""
    running = exchange_for(operation, shell)
    sent = [next(running)]
    for item in answers:
        try:
            sent.append(step(running, item))
        except StopIteration as end:
            assert len(sent) == len(answers), "the exchange ended before the last answer"
            return sent, end.value
    raise AssertionError(f"the exchange did not end, and asks {sent[-1].shape}")


def step(running: Any, item: Response | Exception) -> Request:
    """Give an exchange an answer, or throw an error into it; return what it asks next."""
    request: Request = running.throw(item) if isinstance(item, Exception) else running.send(item)
    return request


def failing(
    operation: Any,
    answers: Sequence[Response | Exception],
    error: type[Exception],
    shell: OpenShell | None = None,
) -> list[str]:
    """Return the shapes that an exchange sends until the last of *answers* makes it raise *error*."""
    running = exchange_for(operation, shell)
    sent = [next(running)]
    sent += [step(running, item) for item in answers[:-1]]
    with pytest.raises(error):
        step(running, answers[-1])
    return shapes(sent)


def shapes(sent: Sequence[Request]) -> list[str]:
    return [request.shape for request in sent]


# -- one question, one answer ------------------------------------------------------------------------------------


def test_identify_is_one_message_and_returns_the_identity() -> None:
    body = (
        f'<i:IdentifyResponse xmlns:i="{uris.IDENTITY}"><i:ProtocolVersion>p</i:ProtocolVersion>'
        "<i:ProductVendor>Microsoft Corporation</i:ProductVendor>"
        "<i:ProductVersion>OS: 10.0.22631 SP: 0.0 Stack: 3.0</i:ProductVersion></i:IdentifyResponse>"
    )
    sent, identity = drive(Identify(), [answer(body)])

    assert shapes(sent) == ["Identify"]
    assert identity == Identity("Microsoft Corporation", "OS: 10.0.22631 SP: 0.0 Stack: 3.0", "p")
    assert identity.to_json() == {"vendor": identity.vendor, "version": identity.version, "protocol": "p"}


@pytest.mark.parametrize("operation", [Get(SPOOLER), Put(SPOOLER, (("StartMode", "Auto"),))])
def test_get_and_put_return_the_object(operation: Get | Put) -> None:
    body = f'<p:Win32_Service xmlns:p="{SERVICES.uri}"><p:Name>Spooler</p:Name></p:Win32_Service>'
    sent, instance = drive(operation, [answer(body)])

    assert shapes(sent) == [type(operation).__name__]
    assert instance == Instance("Win32_Service", {"Name": "Spooler"}, SERVICES.uri)


def test_an_object_of_a_derived_class_is_accepted() -> None:
    body = '<p:Win32_TerminalService xmlns:p="urn:t"><p:Name>TermService</p:Name></p:Win32_TerminalService>'

    assert drive(Get(SPOOLER), [answer(body)])[1].class_name == "Win32_TerminalService"


@pytest.mark.parametrize(
    "outputs",
    [
        "<p:sNames>A</p:sNames><p:ReturnValue>0</p:ReturnValue>",
        "<p:ReturnValue>0</p:ReturnValue><p:sNames>A</p:sNames>",
    ],
)
def test_invoke_returns_its_output_in_any_order(outputs: str) -> None:
    body = f'<p:EnumKey_OUTPUT xmlns:p="{REGISTRY.uri}">{outputs}</p:EnumKey_OUTPUT>'
    sent, output = drive(Invoke(REGISTRY, "EnumKey"), [answer(body)])

    assert shapes(sent) == ["Invoke"]
    assert output == Instance("EnumKey_OUTPUT", {"sNames": "A", "ReturnValue": "0"}, REGISTRY.uri)


@pytest.mark.parametrize("body", ["", "<TriggerSchedule_OUTPUT/>"])
def test_a_method_without_a_result_returns_an_empty_output(body: str) -> None:
    output = drive(Invoke(REGISTRY, "TriggerSchedule"), [answer(body)])[1]

    assert (output.class_name, output.properties) == ("TriggerSchedule_OUTPUT", {})


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (Identify(), ""),
        (Identify(), "<Other/>"),
        (Get(SPOOLER), ""),
        (Put(SPOOLER, ()), ""),
        (Invoke(REGISTRY, "EnumKey"), "<EnumValues_OUTPUT/>"),
        (Invoke(REGISTRY, "EnumKey"), "<enumkey_output/>"),
        (Enumerate(SERVICES), ""),
        (Enumerate(SERVICES), "<n:PullResponse><n:EndOfSequence/></n:PullResponse>"),
        (Enumerate(SERVICES), "<n:EnumerateResponse/>"),
        (CommandLine("ver"), ""),
        (CommandLine("ver"), "<rsp:Shell/>"),
        (CommandLine("ver"), "<x:ResourceCreated/>"),
    ],
)
def test_an_answer_to_another_question_is_refused(operation: Any, body: str) -> None:
    assert len(failing(operation, [answer(body)], UnexpectedAnswer)) == 1


@pytest.mark.parametrize(
    "operation", [Identify(), Get(SPOOLER), Put(SPOOLER, ()), Invoke(REGISTRY, "M"), Enumerate(SERVICES)]
)
def test_a_fault_is_raised_to_the_caller(operation: Any) -> None:
    assert len(failing(operation, [DENIED], Fault)) == 1


def test_only_receive_asks_again_after_a_time_out() -> None:
    assert failing(Invoke(REGISTRY, "M"), [NOTHING_YET], Fault) == ["Invoke"]
    assert failing(Enumerate(SERVICES), [NOTHING_YET], Fault) == ["Enumerate"]


def test_a_value_that_is_not_an_operation_has_no_exchange() -> None:
    with pytest.raises(TypeError, match="str"):
        exchange_for("ver")  # type: ignore[arg-type]


# -- enumeration -------------------------------------------------------------------------------------------------


def item(name: str) -> str:
    return f"<w:XmlFragment><Name>{name}</Name></w:XmlFragment>"


def first(items: Sequence[str], context: str | None, *, end: bool = False) -> Response:
    """Return an EnumerateResponse; its items and end are in the namespace of WS-Management."""
    inner = f"<n:EnumerationContext>{context}</n:EnumerationContext>" if context is not None else ""
    inner += f"<w:Items>{''.join(map(item, items))}</w:Items>" if items else ""
    return answer(f"<n:EnumerateResponse>{inner}{'<w:EndOfSequence/>' if end else ''}</n:EnumerateResponse>")


def page(items: Sequence[str], context: str | None = None) -> Response:
    """Return a PullResponse, without a context the last one; its items and end are in the namespace of enumeration."""
    inner = f"<n:EnumerationContext>{context}</n:EnumerationContext>" if context is not None else ""
    inner += f"<n:Items>{''.join(map(item, items))}</n:Items>" if items else ""
    return answer(f"<n:PullResponse>{inner}{'<n:EndOfSequence/>' if context is None else ''}</n:PullResponse>")


def names(found: Sequence[Instance]) -> list[Any]:
    return [instance.properties["Name"] for instance in found]


def contexts(sent: Sequence[Request]) -> list[str]:
    """Return the context that each Pull and Release sends."""
    return [
        request.body.partition("<n:EnumerationContext>")[2].partition("<")[0]
        for request in sent
        if request.shape in ("Pull", "Release")
    ]


def test_an_enumeration_answered_at_once_is_one_message() -> None:
    sent, found = drive(Enumerate(SERVICES), [first(["a", "b", "c"], "", end=True)])

    assert shapes(sent) == ["Enumerate"]
    assert names(found) == ["a", "b", "c"]


def test_the_rest_of_an_enumeration_is_pulled_with_the_newest_context() -> None:
    answers = [first(["a"], "uuid:1"), page(["b", "c"], "uuid:2"), page(["d"], "uuid:3"), page(["e"])]
    sent, found = drive(Enumerate(SERVICES), answers)

    assert shapes(sent) == ["Enumerate", "Pull", "Pull", "Pull"]
    assert contexts(sent) == ["uuid:1", "uuid:2", "uuid:3"]
    assert names(found) == ["a", "b", "c", "d", "e"]
    assert {request.resource for request in sent} == {SERVICES}


@pytest.mark.parametrize(
    "answers",
    [
        [first([], "", end=True)],
        [first([], None, end=True)],
        [first([], "uuid:1"), page([])],
        [first([], "uuid:1"), page([], "uuid:2"), page([])],
    ],
)
def test_an_empty_result_is_an_empty_list_in_every_form(answers: list[Response]) -> None:
    assert drive(Enumerate(SERVICES), answers)[1] == []


def test_a_page_without_items_is_not_the_end() -> None:
    assert names(drive(Enumerate(SERVICES), [first([], "uuid:1"), page([], "uuid:2"), page(["a"])])[1]) == ["a"]


def test_an_end_of_sequence_wins_over_a_context() -> None:
    assert names(drive(Enumerate(SERVICES), [first(["a"], "uuid:1", end=True)])[1]) == ["a"]


def test_objects_with_their_references_beside_them_are_read_as_objects() -> None:
    body = (
        "<n:EnumerateResponse><w:Items><w:Item><p:Win32_Service xmlns:p='urn:p'><p:Name>a</p:Name></p:Win32_Service>"
        "<a:EndpointReference><a:Address>x</a:Address></a:EndpointReference></w:Item></w:Items>"
        "<w:EndOfSequence/></n:EnumerateResponse>"
    )

    assert drive(Enumerate(SERVICES), [answer(body)])[1] == [Instance("Win32_Service", {"Name": "a"}, "urn:p")]


@pytest.mark.parametrize("wrong", [page([], ""), answer("<n:PullResponse/>"), first(["b"], "uuid:2"), answer()])
def test_a_page_with_neither_end_nor_context_is_refused(wrong: Response) -> None:
    assert failing(Enumerate(SERVICES), [first(["a"], "uuid:1"), wrong], UnexpectedAnswer) == ["Enumerate", "Pull"]


def test_a_context_that_the_pc_dropped_gives_a_stale_context_fault() -> None:
    stale = Fault(code=2150858779, subcode="InvalidEnumerationContext")
    running = exchange_for(Enumerate(SERVICES))
    next(running)
    running.send(first(["a"], "uuid:1"))

    with pytest.raises(Fault) as caught:
        running.throw(stale)

    assert caught.value.kind is FaultKind.STALE_CONTEXT


@pytest.mark.parametrize("last", [answer(), DENIED])
def test_an_enumeration_without_an_end_is_released_and_given_up(
    monkeypatch: pytest.MonkeyPatch, last: Response | Exception
) -> None:
    monkeypatch.setattr(exchange, "MAX_PAGES", 3)
    endless = [first(["a"], "uuid:0"), *(page(["a"], f"uuid:{n}") for n in (1, 2, 3)), last]

    assert failing(Enumerate(SERVICES), endless, UnexpectedAnswer) == ["Enumerate", "Pull", "Pull", "Pull", "Release"]


def test_too_many_objects_are_released_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_OBJECTS", 2)
    running = exchange_for(Enumerate(SERVICES))
    sent = [next(running), running.send(first(["a"], "uuid:1")), running.send(page(["b", "c"], "uuid:2"))]

    assert shapes(sent) == ["Enumerate", "Pull", "Release"]
    assert contexts(sent) == ["uuid:1", "uuid:2"]
    with pytest.raises(UnexpectedAnswer, match="no end after 3"):
        running.send(answer())


@given(st.lists(st.lists(st.text("abc", min_size=1, max_size=3), max_size=4), min_size=1, max_size=8))
def test_every_object_comes_once_and_in_order_for_pages_of_any_size(pages: list[list[str]]) -> None:
    head, *rest = pages
    answers = [first(head, "uuid:0", end=not rest)]
    answers += [page(items, f"uuid:{n}" if n < len(rest) else None) for n, items in enumerate(rest, 1)]
    sent, found = drive(Enumerate(SERVICES), answers)

    assert names(found) == [name for items in pages for name in items]
    assert contexts(sent) == [f"uuid:{n}" for n in range(len(rest))]


# -- the shell ---------------------------------------------------------------------------------------------------

SHELL = (
    "<x:ResourceCreated><a:Address>http://pc</a:Address><a:ReferenceParameters>"
    f"<w:ResourceURI>{uris.CMD_SHELL}</w:ResourceURI><w:SelectorSet>"
    '<w:Selector Name="ShellId">S-1</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>'
)
CREATED = answer(SHELL + "<rsp:Shell><rsp:ShellId>S-1</rsp:ShellId></rsp:Shell>")
STARTED = answer("<rsp:CommandResponse><rsp:CommandId>C-1</rsp:CommandId></rsp:CommandResponse>")
SENT = answer("<rsp:SendResponse/>")
OK = answer()


def stream(name: str, data: bytes, *, end: bool = False) -> str:
    text = base64.b64encode(data).decode("ascii")
    last = ' End="true"' if end else ""
    return f'<rsp:Stream Name="{name}" CommandId="C-1"{last}>{text}</rsp:Stream>'


def received(*streams: str, state: str = "Running", code: str | None = None) -> Response:
    """Return a ReceiveResponse with *streams*; an empty *state* leaves the state out."""
    exit_code = f"<rsp:ExitCode>{code}</rsp:ExitCode>" if code is not None else ""
    end = f'<rsp:CommandState CommandId="C-1" State="{STATE}/{state}">{exit_code}</rsp:CommandState>' if state else ""
    return answer(f"<rsp:ReceiveResponse>{''.join(streams)}{end}</rsp:ReceiveResponse>")


def done(code: int | str = 0, *streams: str) -> Response:
    return received(*streams, state="Done", code=str(code))


def test_a_command_is_create_command_receive_delete() -> None:
    sent, completed = drive(CommandLine("echo hi"), [CREATED, STARTED, done(0, stream("stdout", b"hi\r\n")), OK])

    assert shapes(sent) == ["ShellCreate", "Command", "Receive", "ShellDelete"]
    assert [request.resource for request in sent[1:]] == [Resource(uris.CMD_SHELL, (("ShellId", "S-1"),))] * 3
    assert completed == Completed(0, b"hi\r\n", b"")


# -- a shell that stays open -------------------------------------------------------------------------------------

GONE = Fault(code=2150858843, subcode="InvalidSelectors")
S1, S2 = (Resource(uris.CMD_SHELL, (("ShellId", name),)) for name in ("S-1", "S-2"))


def created(shell: str) -> Response:
    return answer(SHELL.replace("S-1", shell))


def started(command: str) -> Response:
    return answer(f"<rsp:CommandResponse><rsp:CommandId>{command}</rsp:CommandId></rsp:CommandResponse>")


def ended(command: str, code: int = 0) -> Response:
    state = f'<rsp:CommandState CommandId="{command}" State="{STATE}/Done"><rsp:ExitCode>{code}</rsp:ExitCode>'
    return answer(f"<rsp:ReceiveResponse>{state}</rsp:CommandState></rsp:ReceiveResponse>")


def opened() -> OpenShell:
    """Return a shell in which one command has run, ``C-1``."""
    shell = OpenShell()
    sent, _ = drive(CommandLine("first"), [created("S-1"), started("C-1"), ended("C-1")], shell)
    assert shapes(sent) == ["ShellCreate", "Command", "Receive"]
    return shell


def test_a_shell_that_stays_open_runs_the_next_command_and_forgets_the_one_before() -> None:
    shell = opened()

    sent, completed = drive(CommandLine("second"), [OK, started("C-2"), ended("C-2", 3)], shell)

    assert shapes(sent) == ["Signal", "Command", "Receive"]
    assert {request.resource for request in sent} == {S1}
    assert 'CommandId="C-1"' in sent[0].body
    assert 'CommandId="C-2"' in sent[2].body
    assert (completed, shell.address) == (Completed(3), S1)


def test_a_shell_is_opened_with_the_time_after_which_the_pc_ends_it() -> None:
    assert "<rsp:IdleTimeOut>PT180S</rsp:IdleTimeOut>" in next(exchange_for(CommandLine("x"), OpenShell())).body


def test_a_command_that_finds_its_shell_gone_is_sent_to_a_new_one() -> None:
    shell = opened()

    sent, completed = drive(CommandLine("x"), [GONE, GONE, created("S-2"), started("C-2"), ended("C-2")], shell)

    assert shapes(sent) == ["Signal", "Command", "ShellCreate", "Command", "Receive"]
    assert [request.resource for request in sent[3:]] == [S2, S2]
    assert (completed, shell.address) == (Completed(0), S2)


def test_a_command_that_a_new_shell_does_not_know_is_not_sent_again() -> None:
    assert failing(CommandLine("x"), [CREATED, GONE, OK], Fault, OpenShell())[-1] == "ShellDelete"
    shell = opened()
    asked = failing(CommandLine("x"), [OK, GONE, created("S-2"), GONE, OK], Fault, shell)
    assert asked == ["Signal", "Command", "ShellCreate", "Command", "ShellDelete"]
    assert shell.address is None


@pytest.mark.parametrize("fault", [DENIED, Fault(code=2147942405), Fault(code=2150859174)])
def test_any_other_fault_of_a_command_in_an_open_shell_ends_the_shell(fault: Fault) -> None:
    shell = opened()

    assert failing(CommandLine("x"), [OK, fault, OK], Fault, shell) == ["Signal", "Command", "ShellDelete"]
    assert shell.address is None


@pytest.mark.parametrize(
    "other",
    [
        CommandLine("x", codepage=850),
        CommandLine("x", environment=(("A", "1"),)),
        CommandLine("x", directory="C:\\Temp"),
    ],
)
def test_a_command_that_wants_another_shell_gets_one(other: CommandLine) -> None:
    shell = opened()

    sent, _ = drive(other, [OK, created("S-2"), started("C-2"), ended("C-2")], shell)

    assert shapes(sent) == ["ShellDelete", "ShellCreate", "Command", "Receive"]
    assert (sent[0].resource, shell.address) == (S1, S2)


def test_a_shell_is_replaced_before_its_commands_fill_the_quota_of_old_windows() -> None:
    shell, created_ = OpenShell(), 0

    for number in range(25):
        running = exchange_for(CommandLine("x"), shell)
        request = next(running)
        try:
            while True:
                created_ += request.shape == "ShellCreate"
                answers = {"ShellCreate": created(f"S-{created_}"), "Command": started(f"C-{number}")}
                request = running.send({**answers, "Receive": ended(f"C-{number}")}.get(request.shape, OK))
        except StopIteration:
            pass

    assert created_ == 3


@pytest.mark.parametrize("answers", [[], [OK], [OK, started("C-2")]])
def test_a_shell_whose_command_was_not_seen_to_end_is_not_used_again(answers: list[Response]) -> None:
    shell = opened()
    running = exchange_for(CommandLine("x"), shell)
    next(running)
    for item_ in answers:
        running.send(item_)
    running.close()

    assert shell.taken_away() == (S1 if answers else None)  # without an answer no command was sent
    assert shell.address == (None if answers else S1)


def test_a_command_cut_off_at_its_limit_ends_the_shell() -> None:
    shell = opened()
    much = answer(
        '<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="C-2">MTIzNDU2</rsp:Stream></rsp:ReceiveResponse>'
    )

    sent, completed = drive(CommandLine("x", max_output=5), [OK, started("C-2"), much, OK, OK], shell)

    assert completed.cut
    assert shapes(sent)[-2:] == ["Signal", "ShellDelete"]
    assert shell.address is None


@pytest.mark.parametrize("element", ["Stream", "CommandState"])
def test_output_and_state_of_another_command_are_refused(element: str) -> None:
    other = {
        "Stream": '<rsp:Stream Name="stdout" CommandId="C-1">aGk=</rsp:Stream>',
        "CommandState": f'<rsp:CommandState CommandId="C-1" State="{STATE}/Done"><rsp:ExitCode>0</rsp:ExitCode>'
        "</rsp:CommandState>",
    }[element]
    shell, stale = opened(), answer(f"<rsp:ReceiveResponse>{other}</rsp:ReceiveResponse>")

    asked = failing(CommandLine("x"), [OK, started("C-2"), stale, OK, OK], UnexpectedAnswer, shell)

    assert asked == ["Signal", "Command", "Receive", "Signal", "ShellDelete"]
    assert shell.address is None


def test_a_command_with_the_id_of_the_one_before_is_refused() -> None:
    shell = opened()

    assert failing(CommandLine("x"), [OK, started("C-1"), OK], UnexpectedAnswer, shell)[-1] == "ShellDelete"
    assert shell.address is None


def test_an_id_in_another_case_is_the_same() -> None:
    assert drive(CommandLine("x"), [CREATED, started("c-1"), ended("C-1"), OK])[1] == Completed(0)


# -- one command -------------------------------------------------------------------------------------------------


def test_an_answer_to_create_with_only_the_shell_is_accepted() -> None:
    older = answer("<rsp:Shell><rsp:ShellId> S-1\n</rsp:ShellId></rsp:Shell>")
    sent, _ = drive(CommandLine("ver"), [older, STARTED, done(), OK])

    assert sent[-1].resource == Resource(uris.CMD_SHELL, (("ShellId", "S-1"),))


@pytest.mark.parametrize(
    ("size", "ends"), [(0, []), (1, [True]), (exchange.SEND_CHUNK, [True]), (exchange.SEND_CHUNK + 1, [False, True])]
)
def test_standard_input_is_sent_in_pieces_and_the_last_one_has_end(size: int, ends: list[bool]) -> None:
    stdin = bytes(range(256)) * (size // 256 + 1)
    sent, _ = drive(CommandLine("sort", stdin[:size]), [CREATED, STARTED, *[SENT] * len(ends), done(), OK])
    sends = [request.body for request in sent if request.shape == "Send"]

    assert [' End="true"' in body for body in sends] == ends
    assert (
        b"".join(base64.b64decode(body.partition(">")[2].partition(">")[2].partition("<")[0]) for body in sends)
        == (stdin[:size])
    )


def test_output_split_over_many_answers_is_put_together_by_stream() -> None:
    whole = "größer 😀\r\n".encode()
    answers = [
        received(stream("stdout", whole[:3]), stream("stderr", b"e1")),
        received(state=""),
        received(stream("stdout", whole[3:11]), stream("stdout", b"")),
        received(stream("stderr", b"e2"), stream("stdout", whole[11:]), state=""),
        done(1, stream("stdout", b"", end=True), stream("stderr", b"", end=True)),
    ]
    sent, completed = drive(CommandLine("x"), [CREATED, STARTED, *answers, OK])

    assert shapes(sent) == ["ShellCreate", "Command", *["Receive"] * 5, "ShellDelete"]
    assert completed == Completed(1, whole, b"e1e2")


@given(st.binary(max_size=60), st.binary(max_size=60), st.data())
def test_output_cut_anywhere_comes_out_whole(stdout: bytes, stderr: bytes, data: st.DataObject) -> None:
    left = {"stdout": stdout, "stderr": stderr}
    answers = []
    while any(left.values()):
        name = data.draw(st.sampled_from([name for name, rest in left.items() if rest]))
        size = data.draw(st.integers(1, len(left[name])))
        answers.append(received(stream(name, left[name][:size])))
        left[name] = left[name][size:]
    completed = drive(CommandLine("x"), [CREATED, STARTED, *answers, done(), OK])[1]

    assert completed == Completed(0, stdout, stderr)


def test_base64_with_line_breaks_in_it_is_read() -> None:
    folded = '<rsp:Stream Name="stdout" CommandId="C-1">\n  aGkN\n  Cg==\n</rsp:Stream>'

    assert drive(CommandLine("x"), [CREATED, STARTED, done(0, folded), OK])[1].stdout == b"hi\r\n"


def test_a_command_without_output_has_empty_streams() -> None:
    empty = [stream("stdout", b"", end=True), stream("stderr", b"", end=True)]

    assert drive(CommandLine("rem"), [CREATED, STARTED, done(0, *empty), OK])[1] == Completed(0)


def test_receive_is_repeated_as_long_as_there_is_no_output_yet() -> None:
    answers: list[Response | Exception] = [NOTHING_YET, received(stream("stdout", b"a")), NOTHING_YET, NOTHING_YET]
    answers.append(done(0, stream("stdout", b"b")))
    sent, completed = drive(CommandLine("x"), [CREATED, STARTED, *answers, OK])

    assert shapes(sent) == ["ShellCreate", "Command", *["Receive"] * 5, "ShellDelete"]
    assert completed.stdout == b"ab"


BUSY = Fault(code=170)
BROKEN_PIPE = Fault(code=109)


def texts(sent: Sequence[Request]) -> list[str]:
    """Return the shape of each request, and of a Send the input in it."""
    return [
        request.shape
        if request.shape != "Send"
        else base64.b64decode(request.body.partition(">")[2].partition(">")[2].partition("<")[0]).decode()
        for request in sent
    ]


def test_input_that_was_not_read_in_time_is_not_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SEND_CHUNK", 3)
    answers: list[Response | Exception] = [NOTHING_YET, SENT, NOTHING_YET, NOTHING_YET, done(0, stream("stdout", b"x"))]
    sent, completed = drive(CommandLine("sort", b"abcdefgh"), [CREATED, STARTED, *answers, OK])

    assert texts(sent) == ["ShellCreate", "Command", "abc", "def", "gh", "Receive", "Receive", "ShellDelete"]
    assert completed == Completed(0, b"x")


def test_a_program_that_is_busy_gets_its_output_taken_before_the_same_input_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "SEND_CHUNK", 3)
    first: list[Response | Exception] = [NOTHING_YET, BUSY, received(stream("stdout", b"1")), BUSY, NOTHING_YET]
    answers = [*first, SENT, SENT, received(stream("stdout", b"2")), done(7, stream("stderr", b"e"))]
    sent, completed = drive(CommandLine("sort", b"abcdefgh"), [CREATED, STARTED, *answers, OK])

    assert texts(sent) == [
        *("ShellCreate", "Command", "abc", "def", "Receive", "def", "Receive", "def", "gh"),
        *("Receive", "Receive", "ShellDelete"),
    ]
    assert completed == Completed(7, b"12", b"e")


@pytest.mark.parametrize("gone", [BROKEN_PIPE, Fault(code=0x800700E8)])
def test_a_program_that_ended_before_it_read_everything_has_its_exit_code_and_output(
    monkeypatch: pytest.MonkeyPatch, gone: Fault
) -> None:
    monkeypatch.setattr(exchange, "SEND_CHUNK", 3)
    answers = [SENT, gone, done(3, stream("stdout", b"x"))]
    sent, completed = drive(CommandLine("cmd /c exit 3", b"abcdefgh"), [CREATED, STARTED, *answers, OK])

    assert texts(sent) == ["ShellCreate", "Command", "abc", "def", "Receive", "ShellDelete"]
    assert completed == Completed(3, b"x")


def test_nothing_more_is_sent_to_a_program_that_ended_while_it_was_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SEND_CHUNK", 3)
    sent, completed = drive(CommandLine("x", b"abcdefgh"), [CREATED, STARTED, BUSY, done(4), OK])

    assert texts(sent) == ["ShellCreate", "Command", "abc", "Receive", "ShellDelete"]
    assert completed == Completed(4)


@pytest.mark.parametrize("wrong", [DENIED, Fault(code=995), Fault(code=None, subcode="EndpointUnavailable")])
def test_any_other_fault_of_a_send_ends_the_command(wrong: Fault) -> None:
    assert failing(CommandLine("x", b"in"), [CREATED, STARTED, wrong, OK, OK], Fault)[2:] == [
        *("Send", "Signal", "ShellDelete")
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [("0", 0), ("1", 1), ("255", 255), ("3221225477", 0xC0000005), ("-1073741819", 0xC0000005), (" 9 ", 9)],
)
def test_an_exit_code_is_an_unsigned_number(text: str, code: int) -> None:
    assert drive(CommandLine("x"), [CREATED, STARTED, done(text), OK])[1].exit_code == code


@pytest.mark.parametrize("text", ["", "x", "1.0", "--1", "-", "²", "0x1", "99999999999"])
def test_an_invalid_exit_code_is_refused_and_the_shell_freed(text: str) -> None:
    assert failing(CommandLine("x"), [CREATED, STARTED, done(text), OK, OK], UnexpectedAnswer) == [
        *("ShellCreate", "Command", "Receive", "Signal", "ShellDelete")
    ]


def test_done_without_an_exit_code_is_refused() -> None:
    assert failing(CommandLine("x"), [CREATED, STARTED, received(state="Done"), OK, OK], UnexpectedAnswer)[-2:] == [
        *("Signal", "ShellDelete")
    ]


@pytest.mark.parametrize("state", ["Running", "Pending", "done", "NotDone"])
def test_only_done_is_done(state: str) -> None:
    sent, _ = drive(CommandLine("x"), [CREATED, STARTED, received(state=state, code="7"), done(), OK])

    assert shapes(sent).count("Receive") == 2


@pytest.mark.parametrize("text", ["!", "aGk", "é", "aGk=aGk=", "=====", "a"])
def test_a_stream_that_is_not_base64_is_refused_and_the_shell_freed(text: str) -> None:
    broken = f'<rsp:Stream Name="stdout" CommandId="C-1">{text}</rsp:Stream>'

    assert failing(CommandLine("x"), [CREATED, STARTED, received(broken), OK, OK], UnexpectedAnswer)[-2:] == [
        *("Signal", "ShellDelete")
    ]


def test_output_without_an_end_is_terminated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_OUTPUT", 10)
    much = received(stream("stdout", b"123456"), stream("stderr", b"78901"))

    assert failing(CommandLine("x"), [CREATED, STARTED, much, OK, OK], UnexpectedAnswer)[-2:] == [
        *("Signal", "ShellDelete")
    ]


def test_output_over_the_limit_of_its_command_is_the_answer_so_far_and_the_command_is_terminated() -> None:
    much = received(stream("stdout", b"123456"), stream("stderr", b"78"))

    sent, completed = drive(CommandLine("x", max_output=7), [CREATED, STARTED, much, OK, OK])

    assert (completed.stdout, completed.stderr, completed.cut) == (b"123456", b"78", True)
    assert shapes(sent)[-2:] == ["Signal", "ShellDelete"]
    assert not drive(CommandLine("x", max_output=8), [CREATED, STARTED, much, done(), OK])[1].cut


@pytest.mark.parametrize("good", [1, 2, 3])
@pytest.mark.parametrize("clean", [OK, DENIED], ids=["cleanly", "or-not"])
def test_after_a_fault_at_any_point_the_shell_is_freed_and_the_fault_raised(
    good: int, clean: Response | Exception
) -> None:
    held = {1: ["ShellDelete"], 2: ["Signal", "ShellDelete"], 3: ["Signal", "ShellDelete"]}[good]
    answers = [CREATED, STARTED, SENT][:good]
    asked = ["ShellCreate", "Command", "Send", "Receive"][: good + 1]

    assert failing(CommandLine("x", b"in"), [*answers, DENIED, *[clean] * len(held)], Fault) == asked + held


def test_after_a_fault_at_create_there_is_nothing_to_free() -> None:
    assert failing(CommandLine("x"), [DENIED], Fault) == ["ShellCreate"]


def test_the_result_is_returned_even_if_the_shell_cannot_be_deleted() -> None:
    assert drive(CommandLine("x"), [CREATED, STARTED, done(3), DENIED])[1] == Completed(3)


def test_a_closed_exchange_asks_nothing_more() -> None:
    for count in range(4):
        running = exchange_for(CommandLine("x", b"in"))
        next(running)
        for item_ in [CREATED, STARTED, SENT][:count]:
            running.send(item_)
        running.close()
        with pytest.raises(StopIteration):
            next(running)


@pytest.mark.parametrize("line", ["x" * (exchange.MAX_LINE + 1), "a\nb", "a\rb", "a\r\n"])
def test_a_line_that_cmd_does_not_accept_is_refused_before_anything_is_sent(line: str) -> None:
    with pytest.raises(ValueError, match="command line"):
        next(exchange_for(CommandLine(line)))


def test_the_longest_line_is_sent() -> None:
    assert next(exchange_for(CommandLine("x" * exchange.MAX_LINE))).shape == "ShellCreate"


@pytest.mark.parametrize("body", ["", "<rsp:CommandResponse/>", "<rsp:ReceiveResponse/>"])
def test_a_command_without_an_id_is_refused_and_the_shell_freed(body: str) -> None:
    assert failing(CommandLine("x"), [CREATED, answer(body), OK], UnexpectedAnswer)[-1] == "ShellDelete"


def test_code_page_and_description_come_from_the_operation() -> None:
    create = next(exchange_for(CommandLine("echo " + "x" * 100, codepage=850)))

    assert ("WINRS_CODEPAGE", "850") in create.options
    assert create.what == "Command echo " + "x" * 55
    assert next(exchange_for(Get(SPOOLER))).what == "Get Win32_Service Spooler"
    assert next(exchange_for(Invoke(REGISTRY, "EnumKey"))).what == "Invoke EnumKey on StdRegProv"
    assert next(exchange_for(Enumerate.query("root/cimv2", "SELECT 1"))).what == "Enumerate SELECT 1"
