"""The `winrm` notation: printed text reads back as the same operation; any other text is never printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.wsman import CommandLine, Enumerate, Get, Identify, Invoke, Operation, Resource
from provmode.wsman.notation import NotationError, describe, format_operation, parse
from provmode.wsman.operations import Put

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
TEXTS = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=30)
VALUES = st.one_of(st.none(), TEXTS, st.tuples(TEXTS, TEXTS))
RESOURCES = st.builds(
    lambda namespace, name, selectors: Resource.cim(namespace, name, selectors),
    st.sampled_from(["root/cimv2", "root/ccm", "root/ccm/SoftMgmtAgent"]),
    NAMES,
    st.dictionaries(NAMES, st.text(min_size=1, max_size=12), max_size=2),
)
PAIRS = st.dictionaries(NAMES, VALUES, max_size=3).map(lambda pairs: tuple(pairs.items()))
OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.just(Identify()),
    st.builds(Get, RESOURCES),
    st.builds(Enumerate, RESOURCES, st.one_of(st.none(), TEXTS)),
    st.builds(Invoke, RESOURCES, NAMES, PAIRS),
    st.builds(Put, RESOURCES, PAIRS),
)


@given(OPERATIONS)
def test_every_operation_reads_back_the_same_or_is_refused(operation: Operation) -> None:
    try:
        text = format_operation(operation)
    except NotationError:
        return
    assert parse(text) == operation
    assert "\n" not in text


@given(OPERATIONS)
def test_every_operation_can_be_described(operation: Operation) -> None:
    assert describe(operation)


@given(st.one_of(TEXTS, st.builds("winrm {} {}".format, st.sampled_from(["get", "invoke", "enumerate", "set"]), TEXTS)))
def test_any_text_is_an_operation_or_a_clear_refusal(text: str) -> None:
    try:
        operation = parse(text)
    except NotationError as error:
        refused = str(error)
    else:
        refused = ""
        assert not isinstance(operation, CommandLine) or operation.line == text
    assert "\n" not in refused


@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("winrm get wmi/root/ccm/SMS_Client", Get(Resource.cim("root/ccm", "SMS_Client"))),
        (
            "winrm g wmicimv2/Win32_Service?Name=CcmExec",
            Get(Resource.cim("root/cimv2", "Win32_Service", {"Name": "CcmExec"})),
        ),
        (
            "winrm enumerate wmicimv2/* -dialect:WQL -filter:\"SELECT Name FROM Win32_Service WHERE Name='CcmExec'\"",
            Enumerate.query("root/cimv2", "SELECT Name FROM Win32_Service WHERE Name='CcmExec'"),
        ),
        (
            'winrm invoke SetClientProvisioningMode wmi/root/ccm/SMS_Client @{bEnable="false"}',
            Invoke(Resource.cim("root/ccm", "SMS_Client"), "SetClientProvisioningMode", (("bEnable", "false"),)),
        ),
        (
            'WinRM I M wmi/root/ccm/C @{a="1";b=$null;a="2"}',
            Invoke(Resource.cim("root/ccm", "C"), "M", (("a", ("1", "2")), ("b", None))),
        ),
        ("winrm id", Identify()),
        ("winrm quickconfig", CommandLine("winrm quickconfig")),
        ("hostname", CommandLine("hostname")),
    ],
)
def test_commands_of_the_winrm_tool_are_read(text: str, operation: Operation) -> None:
    assert parse(text) == operation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("winrm get", "needs a resource URI"),
        ("winrm get nonsense/x", "does not begin with one of"),
        ("winrm get wmi/root/ccm/SMS_Client extra", "'extra' is not expected here"),
        ("winrm invoke M wmi/root/ccm/C bEnable=false", "is not a hash"),
        ('winrm invoke M wmi/root/ccm/C @{a="1" b="2"}', "separated by ;"),
        ("winrm invoke M wmi/root/ccm/C @{a=1}", "is not Name="),
        ("winrm enumerate wmicimv2/* -shallow:x", "is not supported"),
        ("winrm get wmi/root/cimv2/X?novalue", "is not a selector"),
    ],
)
def test_the_error_for_a_text_outside_the_grammar_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(NotationError, match=message):
        parse(text)


def test_an_operation_that_the_tool_cannot_escape_is_refused() -> None:
    resource = Resource.cim("root/cimv2", "StdRegProv")

    for operation in (
        Enumerate.query("root/cimv2", 'SELECT * FROM X WHERE Name="a"'),
        Invoke(resource, "SetStringValue", (("sValue", 'say "hello"'),)),
        Get(Resource.cim("root/cimv2", "CIM_DataFile", {"Name": "C:\\a b.txt"})),
        CommandLine("winrm get wmi/root/ccm/SMS_Client"),
    ):
        with pytest.raises(NotationError):
            format_operation(operation)
