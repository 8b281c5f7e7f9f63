"""Steps on the client: what each sends, how long it waits and tries again, and when it says that it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.ccm.model import ClientReadings
from provmode.errors import AccessDenied, AnswerLost, HostError, QuotaExceeded, RemoteFault
from provmode.reading import Known
from provmode.remediation.execute import ALREADY, CHANGED, PAUSES, StaleStep, execute
from provmode.remediation.steps import RequestPolicy, SetMode, Step, step_from_json
from provmode.windows.conversation import Conversation
from provmode.wsman import Get, Instance, Resource

Converse = Callable[..., Any]
LOST, DENIED = AnswerLost("the connection broke"), AccessDenied("access denied")
AWAY = RemoteFault("shutting down", code=0x80041033, kind="unavailable")
FULL = QuotaExceeded("too many operations")
LEAVE, ENTER = SetMode(False, "true"), SetMode(True, "false")

_VALUE = (
    "winrm invoke GetStringValue wmicimv2/StdRegProv "
    '@{hDefKey="2147483650";sSubKeyName="SOFTWARE\\Microsoft\\CCM\\CcmExec";sValueName="'
)
MODE_ASKED = [f'{_VALUE}ProvisioningMode"}}', f'{_VALUE}SystemTaskExcludes"}}']
SERVICE_ASKED = (
    "winrm enumerate wmicimv2/* -dialect:WQL "
    "-filter:\"SELECT Name,State,StartMode FROM Win32_Service WHERE Name='CcmExec'\""
)
VERSION_ASKED = "winrm get wmi/root/ccm/SMS_Client"
EXIT, ENTRY = (
    f'winrm invoke SetClientProvisioningMode wmi/root/ccm/SMS_Client @{{bEnable="{flag}"}}'
    for flag in ("false", "true")
)
POLICY_ASKED = [
    f'winrm invoke TriggerSchedule wmi/root/ccm/SMS_Client @{{sScheduleID="{{00000000-0000-0000-0000-{last:0>12}}}"}}'
    for last in (21, 22)
]


def answer(**properties: Any) -> Instance:
    return Instance("X_OUTPUT", properties)


def value(data: str) -> Instance:
    return answer(ReturnValue="0", sValue=data)


def service(state: str = "Running") -> list[Instance]:
    return [Instance("XmlFragment", {"Name": "CcmExec", "State": state, "StartMode": "Auto"})]


DONE, MISSING, VERSION = answer(), answer(ReturnValue="1"), answer(ClientVersion="5.00.9128.1007")
IN, OUT = (value("true"), value("Scheduler")), (value("false"), value(""))
HALF = (value("false"), value("Scheduler"))
KEY, NO_KEY = answer(ReturnValue="0", sNames=("Start",), Types=("4",)), answer(ReturnValue="2")


def pauses(spans: Iterable[float]) -> list[str]:
    return [f"pause {seconds:g}" for seconds in spans]


# -- the mode -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "before", "after", "call"), [(LEAVE, IN, OUT, EXIT), (ENTER, OUT, IN, ENTRY), (LEAVE, HALF, OUT, EXIT)]
)
def test_the_mode_is_read_twice_set_once_and_read_back(
    converse: Converse, step: SetMode, before: Any, after: Any, call: str
) -> None:
    talk = converse(execute(step), *before, *before, DONE, service(), *after, VERSION)

    assert talk.end == CHANGED
    assert talk.asked == [*MODE_ASKED, *MODE_ASKED, call, SERVICE_ASKED, *MODE_ASKED, VERSION_ASKED]


@pytest.mark.parametrize("after", [OUT, (MISSING, MISSING)])
def test_a_mode_that_is_already_as_wanted_is_not_set(converse: Converse, after: Any) -> None:
    announced: list[Any] = []

    assert converse(execute(LEAVE, announce=announced.append), *after).end == ALREADY
    assert announced == []
    assert converse(execute(LEAVE, announce=announced.append), *IN, *after).end == ALREADY, "somebody else was first"
    assert announced == [None]


def test_the_last_look_comes_before_the_announcement_and_can_stop_the_step(converse: Converse) -> None:
    announced: list[Any] = []

    def look() -> Conversation[None]:
        yield Get(Resource.cim("root/ccm", "LastLook"))
        raise StaleStep("TSManager.exe running")

    talk = converse(execute(LEAVE, announce=announced.append, look=look), *IN, DONE)

    assert (talk.asked[-1], talk.end) == ("winrm get wmi/root/ccm/LastLook", "StaleStep: TSManager.exe running")
    assert announced == []


def test_whoever_waits_for_the_service_looks_again_before_the_method_is_called_again(converse: Converse) -> None:
    def look() -> Conversation[None]:
        yield Get(Resource.cim("root/ccm", "LastLook"))

    given = (*IN, DONE, *IN, AWAY, DONE, DONE, service(), *OUT, VERSION)
    talk = converse(execute(LEAVE, look=look), *given)

    looked = "winrm get wmi/root/ccm/LastLook"
    assert talk.end == CHANGED
    assert talk.asked[2:8] == [looked, *MODE_ASKED, EXIT, "pause 1", looked]
    assert talk.asked[8] == EXIT


@pytest.mark.parametrize("refusal", [AWAY, FULL])
def test_a_client_that_cannot_be_called_now_is_called_again_for_two_minutes(
    converse: Converse, refusal: HostError
) -> None:
    refused = [refusal] * len(PAUSES)

    talk = converse(execute(LEAVE), *IN, *IN, *refused, DONE, service(), *OUT, VERSION)
    given_up = converse(execute(LEAVE), *IN, *IN, *refused, refusal)

    assert talk.end == CHANGED
    assert talk.asked[4:-4] == [line for pause in pauses(PAUSES) for line in (EXIT, pause)] + [EXIT]
    assert given_up.end == f"{type(refusal).__name__}: {refusal}"


def test_another_fault_of_the_method_is_raised_at_once(converse: Converse) -> None:
    fault = RemoteFault("no such method", code=0x8004102E, kind="invalid")

    assert converse(execute(LEAVE), *IN, *IN, fault).end == "RemoteFault: no such method"
    assert converse(execute(LEAVE), *IN, *IN, DENIED).end == "AccessDenied: access denied"


def test_the_method_is_not_called_again_after_a_lost_answer(converse: Converse) -> None:
    talk = converse(execute(LEAVE), *IN, *IN, LOST, service("Stop Pending"), service(), *OUT, VERSION)

    assert talk.end == CHANGED
    assert talk.asked[4:] == [EXIT, SERVICE_ASKED, "pause 1", SERVICE_ASKED, *MODE_ASKED, VERSION_ASKED]


@pytest.mark.parametrize(
    "not_yet",
    [
        (service("Start Pending"),),
        (service(), *IN, VERSION),
        (service(), *HALF, VERSION),
        (service(), value("true"), value(""), VERSION),
        (service(), *OUT, AWAY),
        (service(), *OUT, RemoteFault("no such class", code=0x80041010, kind="not-found")),
    ],
    ids=["starting", "in the mode", "tasks excluded", "mode on, no task excluded", "not answering", "no namespace"],
)
def test_changed_is_not_said_before_mode_tasks_service_and_client_agree(
    converse: Converse, not_yet: tuple[Any, ...]
) -> None:
    talk = converse(execute(LEAVE), *IN, *IN, DONE, *not_yet, service(), *OUT, VERSION)

    assert talk.end == CHANGED
    assert talk.asked[-5:] == ["pause 1", SERVICE_ASKED, *MODE_ASKED, VERSION_ASKED]


NO_CLIENT_ANSWERS = "and the client does not answer (CcmExec {}); look at the PC"


@pytest.mark.parametrize(
    ("step", "before", "last", "says"),
    [
        (
            LEAVE,
            IN,
            ("Running", *IN, VERSION),
            "ProvisioningMode is true, tasks excluded after the change, not false; look at the PC, then try again",
        ),
        (
            LEAVE,
            IN,
            ("Running", *HALF, VERSION),
            "ProvisioningMode is false, tasks excluded after the change, not false; look at the PC, then try again",
        ),
        (
            ENTER,
            OUT,
            ("Running", *OUT, VERSION),
            "ProvisioningMode is false after the change, not true; look at the PC, then try again",
        ),
        (LEAVE, IN, ("Running", *OUT, AWAY), f"ProvisioningMode is false, {NO_CLIENT_ANSWERS.format('Running')}"),
        (LEAVE, IN, ("Stopped", *OUT, VERSION), f"ProvisioningMode is false, {NO_CLIENT_ANSWERS.format('Stopped')}"),
        (ENTER, OUT, ("Stopped", *IN, VERSION), f"ProvisioningMode is true, {NO_CLIENT_ANSWERS.format('Stopped')}"),
    ],
)
def test_a_client_that_does_not_come_back_in_two_minutes_is_not_proved(
    converse: Converse, step: SetMode, before: Any, last: tuple[Any, ...], says: str
) -> None:
    waiting = [service("Start Pending")] * len(PAUSES)
    state, *rest = last

    talk = converse(execute(step), *before, *before, DONE, *waiting, service(state), *rest)

    assert talk.end == f"NotProved: {says}"
    assert [line for line in talk.asked if line.startswith("pause")] == pauses(PAUSES)


RIGHTS = "; look at the account's rights"


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ((DENIED, value("")), f"the mode cannot be read: access denied{RIGHTS}"),
        ((value("false"), DENIED), f"the mode cannot be read: access denied{RIGHTS}"),
        ((*IN, *IN, DONE, [], NO_KEY), "there is no service CcmExec; check its name"),
        (
            (*IN, *IN, DONE, [], KEY),
            "service CcmExec cannot be read: service CcmExec exists "
            "(HKLM\\SYSTEM\\CurrentControlSet\\Services\\CcmExec), "
            f"but the account is not shown it{RIGHTS}",
        ),
        ((*IN, *IN, DONE, DENIED), f"service CcmExec cannot be read: access denied{RIGHTS}"),
        (
            (*IN, *IN, answer(ReturnValue="2147500037")),
            "the client answered 0x80004005; look at SmsClientMethodProvider.log there",
        ),
    ],
)
def test_what_the_client_does_not_do_is_said_in_one_line(
    converse: Converse, answers: tuple[Any, ...], says: str
) -> None:
    assert converse(execute(LEAVE), *answers).end == f"HostError: {says}"


def test_a_return_value_of_0_is_success(converse: Converse) -> None:
    given = (*IN, *IN, answer(ReturnValue="0"), service(), *OUT, VERSION)

    assert converse(execute(LEAVE), *given).end == CHANGED


def test_the_session_does_not_repeat_the_call_by_itself_so_that_we_look_first() -> None:
    assert [getattr(operation, "at_once", None) for operation in LEAVE.operations] == [True]
    assert [getattr(operation, "at_once", None) for operation in RequestPolicy().operations] == [False, False]


# -- policy ---------------------------------------------------------------------------------------------------------


def test_policy_is_requested_and_then_evaluated(converse: Converse) -> None:
    announced: list[Any] = []

    talk = converse(execute(RequestPolicy(), announce=announced.append), DONE, DONE)

    assert (talk.end, talk.asked, announced) == (CHANGED, POLICY_ASKED, [None])


def test_policy_is_asked_for_again_after_each_lost_answer_until_it_was_sent_four_times(converse: Converse) -> None:
    request, evaluate = POLICY_ASKED
    thrice = [line for _ in range(3) for line in (request, "pause 1")]

    talk = converse(execute(RequestPolicy()), LOST, LOST, LOST, DONE, DONE)
    given_up = converse(execute(RequestPolicy()), LOST, LOST, LOST, LOST)

    assert (talk.end, talk.asked) == (CHANGED, [*thrice, request, evaluate])
    assert (given_up.end, given_up.asked) == ("AnswerLost: the connection broke", [*thrice, request])


def test_policy_is_given_up_if_the_answer_after_the_last_pause_is_lost(converse: Converse) -> None:
    talk = converse(execute(RequestPolicy()), *[AWAY] * len(PAUSES), LOST)

    assert talk.end == "AnswerLost: the connection broke"
    assert len(talk.asked) == 2 * len(PAUSES) + 1


def test_policy_is_requested_only_on_a_host_on_which_something_was_changed() -> None:
    assert RequestPolicy.only_after_changes
    assert not SetMode.only_after_changes


# -- as values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "document", "words"),
    [
        (LEAVE, {"kind": "mode", "enabled": False, "before": "true"}, "ProvisioningMode true -> false"),
        (ENTER, {"kind": "mode", "enabled": True, "before": "false"}, "ProvisioningMode false -> true"),
        (RequestPolicy(), {"kind": "policy"}, "machine policy as it is -> requested and evaluated"),
    ],
)
def test_a_step_on_the_client_is_kept_as_json_shown_in_words_and_never_undone(
    step: Step, document: dict[str, Any], words: str
) -> None:
    assert step.to_json() == document
    assert step_from_json(document) == step
    assert [str(item) for item in step.properties] == [words]
    assert step.undo is None


def test_a_plan_leaves_the_mode_and_never_enters_it() -> None:
    fields = SetMode.plan_fields or {}

    assert {name: field.schema for name, field in fields.items()} == {
        "enabled": {"const": False},
        "before": {"enum": ["true", "half-exited"]},
    }
    assert SetMode.plan_description == "Provisioning mode is left, by the client's own method."
    assert RequestPolicy.plan_fields == {}
    assert RequestPolicy.plan_description == "Machine policy is requested and evaluated."


@pytest.mark.parametrize(
    ("mode", "excludes", "done"), [(False, (), True), (True, (), False), (False, ("SchedulerStartup",), False)]
)
def test_the_mode_is_still_left_unless_the_client_is_in_it_or_half_out(
    mode: bool, excludes: tuple[str, ...], done: bool
) -> None:
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    client = ClientReadings(at, provisioning_mode=Known(mode), system_task_excludes=Known(excludes))

    assert LEAVE.still_done(client) is done
