"""Carrying out a step: what is there is checked, changed, and read back. Pure conversations.

Three endings: ``CHANGED`` (done and read back), ``ALREADY`` (it was so before; nothing was sent that changes), or an
error. `StaleStep`: what is there is not what the step expects, nothing was changed. `NotProved`: it was sent, and what
is there now is something else. An answer that was lost is no ending: what is there is read back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from provmode.ccm import tcf
from provmode.ccm.client import client_version, provisioning_mode, system_task_excludes
from provmode.ccm.codes import SERVICE_RETURN, name_of
from provmode.errors import AnswerLost, HostError, QuotaExceeded, RemoteFault
from provmode.reading import Absent, Known, Reading, Unknown, known
from provmode.remediation.steps import (
    DisarmTcf,
    RequestPolicy,
    SetFile,
    SetMode,
    SetRegistryKey,
    SetRegistryValue,
    SetServiceState,
    SetStartMode,
    Step,
    data_text,
)
from provmode.windows.conversation import Conversation, Pause, ask
from provmode.windows.file_changes import remove_file, swap_file
from provmode.windows.files import StaleFile, file_hash, read_file, sha256
from provmode.windows.model import Service
from provmode.windows.registry import Key, RegistryData, failure, read_value
from provmode.windows.system import service
from provmode.wsman import Instance, Operation, integer

Ending = Literal["changed", "already"]
CHANGED: Ending = "changed"
ALREADY: Ending = "already"

Work = Conversation[Ending]
Record = Callable[[Any], None]
"""Called with the previous value before a change is sent: bytes of a file, else ``None``. It may raise to stop it."""
Look = Callable[[], Conversation[None]]
"""A last look right before the client's method is called, each time it is. It raises to stop it."""

PAUSES = (*(1.0,) * 12, *(2.0,) * 4, *(5.0,) * 20)
"""Seconds between looks while a service or the client comes back: about two minutes in all."""


ASKED_AGAIN = 4
"""How often a request whose answer was lost is made, where it does no harm to make it twice."""


class StaleStep(HostError):
    """What is there is not what the step expects: somebody changed it since. Nothing was changed."""


class OvertakenStep(StaleStep):
    """What is there came to be as the step wants it after the step was announced, and not by an answer to it."""


class NotProved(HostError):
    """The change was sent, and reading back does not show it."""


def no_look() -> Conversation[None]:
    """Look at nothing: what was seen before counts."""
    yield from ()


def perform(
    step: Step, *, record: Record = lambda previous: None, data: bytes | None = None, look: Look = no_look
) -> Work:
    """Return the conversation that carries out *step*; *data* are the bytes of a `SetFile`, *look* is for a `SetMode`.

    Raises:
        StaleStep: something else is there than the step expects; nothing was changed.
        NotProved: it was sent, and is not so.
        RemoteFault, AccessDenied: the PC refused it.
        HostError: any other; what was sent may have happened.
    """
    if isinstance(step, SetRegistryValue):
        return _registry_value(step, record)
    if isinstance(step, SetRegistryKey):
        return _registry_key(step, record)
    if isinstance(step, SetStartMode):
        return _start_mode(step, record)
    if isinstance(step, SetServiceState):
        return _service_state(step, record)
    if isinstance(step, DisarmTcf):
        return _disarm(step, record)
    if isinstance(step, SetFile):
        return _file(step, record, data)
    if isinstance(step, SetMode):
        return _mode(step, record, look)
    return _policy(step, record)


def _stale(what: str, expected: str, found: str) -> StaleStep:
    return StaleStep(f"{what} is {found}, not {expected} as it was", next_step="look again and plan anew")


def _not_proved(what: str, expected: str, found: str) -> NotProved:
    return NotProved(f"{what} is {found} after the change, not {expected}", next_step="look at the PC, then try again")


# -- registry -----------------------------------------------------------------------------------------------------


def _value_there(key: Key, value: str) -> Conversation[RegistryData | None]:
    reading = yield from read_value(key, value)
    if isinstance(reading, Unknown):
        raise HostError(f"{key}\\{value} cannot be read: {reading.detail}", next_step="look at the account's rights")
    return known(reading, None)


def _registry_value(step: SetRegistryValue, record: Record) -> Work:
    key, what = Key.parse(step.key), f"{step.key}\\{step.value}"
    there = yield from _value_there(key, step.value)
    if there == step.after:
        return ALREADY
    if there != step.before:
        raise _stale(what, data_text(step.before), data_text(there))
    record(None)
    yield from _send(step.operations, what)
    there = yield from _value_there(key, step.value)
    if there != step.after:
        raise _not_proved(what, data_text(step.after), data_text(there))
    return CHANGED


def _registry_key(step: SetRegistryKey, record: Record) -> Work:
    key = Key.parse(step.key)

    def look() -> Conversation[bool]:
        reading: Reading[bool] = yield from ask(
            key.invoke("EnumKey"), lambda answer: failure(answer, step.key) or Known(True), step.key
        )
        if isinstance(reading, Unknown):
            raise HostError(f"{step.key} cannot be read: {reading.detail}", next_step="look at the account's rights")
        return isinstance(reading, Known)

    if (yield from look()) == step.present:
        return ALREADY
    record(None)
    yield from _send(step.operations, step.key)
    if (yield from look()) != step.present:
        raise _not_proved(step.key, *(("present", "absent") if step.present else ("absent", "present")))
    return CHANGED


def _send(operations: tuple[Operation, ...], what: str) -> Conversation[None]:
    """Send calls of StdRegProv; a lost answer is no failure yet: the caller reads back."""
    for operation in operations:
        try:
            answer: Instance = yield operation
        except AnswerLost:
            continue
        failed = failure(answer, what)
        if failed is not None:
            said = failed.detail if isinstance(failed, Unknown) else f"{what}: there is no such key or value"
            raise HostError(f"{said}: it was not changed", next_step="look at the account's rights on that key")


# -- services -----------------------------------------------------------------------------------------------------


def _service_there(name: str) -> Conversation[Service]:
    reading = yield from service(name)
    if isinstance(reading, Absent):
        raise HostError(f"there is no service {name}", next_step="check its name")
    if isinstance(reading, Unknown):
        raise HostError(f"service {name} cannot be read: {reading.detail}", next_step="look at the account's rights")
    return reading.value


def _call_service(operation: Operation, what: str, *, fine: frozenset[int] = frozenset({0})) -> Work:
    """Call a method of Win32_Service; a return value that is none of *fine* is an error, in words."""
    try:
        answer: Instance = yield operation
    except AnswerLost:
        return CHANGED  # the caller reads back
    code = integer(answer, "ReturnValue")
    if code not in fine:
        said = "nothing" if code is None else f"{name_of(code, SERVICE_RETURN)} ({code})"
        raise HostError(f"{what}: the PC answered {said}", next_step="look at the service on the PC")
    return CHANGED


def _start_mode(step: SetStartMode, record: Record) -> Work:
    what = f"{step.service} start mode"
    there = yield from _service_there(step.service)
    if there.start_mode == step.after:
        return ALREADY
    if there.start_mode != step.before:
        raise _stale(what, step.before, there.start_mode)
    record(None)
    yield from _call_service(step.operations[0], what)
    there = yield from _service_there(step.service)
    if there.start_mode != step.after:
        raise _not_proved(what, step.after, there.start_mode)
    return CHANGED


def _service_state(step: SetServiceState, record: Record) -> Work:
    there = yield from _service_there(step.service)
    if there.state == step.after:
        return ALREADY
    record(None)
    if step.after in ("Stopped", "Restarted") and there.state != "Stopped":
        # 5, 6: it cannot accept the control, or is not active: it stops already
        yield from _call_service(step.operations[0], f"stop of {step.service}", fine=frozenset({0, 5, 6}))
        yield from _until_state(step.service, "Stopped")
    if step.after in ("Running", "Restarted"):
        # 10: it runs already
        yield from _call_service(step.operations[-1], f"start of {step.service}", fine=frozenset({0, 10}))
        yield from _until_state(step.service, "Running")
    return CHANGED


def _until_state(name: str, state: str) -> Work:
    for pause in (*PAUSES, None):
        there = yield from _service_there(name)
        if there.state == state:
            return CHANGED
        if pause is not None:
            yield Pause(pause)
    raise _not_proved(f"{name} state", state, there.state)


# -- files --------------------------------------------------------------------------------------------------------


def _disarm(step: DisarmTcf, record: Record) -> Work:
    there = yield from read_file(step.path)
    if there is not None and sha256(there) == step.after:
        return ALREADY
    if there is None or sha256(there) != step.before:
        raise _stale(step.path, "what it was", "another file" if there is not None else "absent")
    edited = tcf.disarm(there)
    if sha256(edited) != step.after:
        raise _stale(step.path, "edited as planned", "edited otherwise by this version of provmode")
    record(there)
    return (yield from _swap(step.path, edited, step.before, step.after))


def _file(step: SetFile, record: Record, data: bytes | None) -> Work:
    if step.after is not None and (data is None or sha256(data) != step.after):
        raise HostError(f"{step.path}: the bytes to write are not those of the step", next_step="plan anew")
    there = yield from read_file(step.path) if step.before is not None else file_hash(step.path)
    digest = sha256(there) if isinstance(there, bytes) else there
    if digest == step.after:
        return ALREADY
    if digest != step.before:
        raise _stale(step.path, "what it was", "absent" if digest is None else "another file")
    record(there if isinstance(there, bytes) else None)
    if data is None or step.after is None:
        assert step.before is not None
        return (yield from _remove(step.path, step.before, step.backup))
    return (yield from _swap(step.path, data, step.before, step.after, step.backup))


def _swap(path: str, data: bytes, before: str | None, after: str, backup: str = "provmode-backup") -> Work:
    try:
        yield from swap_file(path, data, expected=before, backup=backup)
    except StaleFile:  # somebody was faster, between our look and our write; or a request of ours arrived twice
        if (yield from file_hash(path)) == after:
            raise OvertakenStep(f"{path} came to be as planned in between", next_step="look again") from None
        raise _stale(path, "what it was a moment ago", "another file") from None
    except AnswerLost:
        there = yield from file_hash(path)
        if there != after:
            found = "what it was before" if there == before else "another file" if there else "absent"
            raise _not_proved(path, "what was written", found) from None
    return CHANGED


def _remove(path: str, before: str, backup: str) -> Work:
    try:
        yield from remove_file(path, expected=before, backup=backup)
    except StaleFile:
        raise _stale(path, "what it was a moment ago", "another file") from None
    except AnswerLost:
        pass  # read back below
    there = yield from file_hash(path)
    if there is not None:
        raise _not_proved(path, "absent", "a file")
    return CHANGED


# -- the client ---------------------------------------------------------------------------------------------------


def _mode_there() -> Conversation[tuple[bool, bool]]:
    """Return mode and whether tasks are excluded.

    Raises:
        HostError: one of them cannot be read.
    """
    mode = yield from provisioning_mode()
    excludes = yield from system_task_excludes()
    for reading in (mode, excludes):
        if isinstance(reading, Unknown):
            raise HostError(f"the mode cannot be read: {reading.detail}", next_step="look at the account's rights")
    return known(mode, False), bool(known(excludes, ()))


def _mode(step: SetMode, record: Record, look: Look) -> Work:
    """Set the mode. The client has no compare-and-swap, so the last look comes as late as can be."""
    if (yield from _mode_there()) == (step.enabled, step.enabled):
        return ALREADY
    yield from look()
    record(None)
    if (yield from _mode_there()) == (step.enabled, step.enabled):
        return ALREADY  # somebody was faster
    yield from _call_client(step.operations[0], look=look)
    return (yield from _until_mode(step.enabled))


def _call_client(operation: Operation, *, again: bool = False, look: Look = no_look) -> Work:
    """Call a method of the client; while its service restarts, wait, *look* and call again: nothing was done yet.

    With *again* it does no harm to call it twice, and it is called until it answers. Otherwise the caller reads back.
    """
    lost = 0
    for pause in (*PAUSES, None):
        try:
            answer: Instance = yield operation
        except AnswerLost:
            lost += 1
            if not again:
                return CHANGED
            if pause is None or lost == ASKED_AGAIN:
                raise
            yield Pause(pause)
        except (RemoteFault, QuotaExceeded) as refused:
            if not (isinstance(refused, QuotaExceeded) or refused.kind == "unavailable") or pause is None:
                raise
            yield Pause(pause)
            yield from look()  # much may have begun in the meantime
        else:
            code = integer(answer, "ReturnValue")
            if code:  # absent counts as success, as published scripts take it: its return type is not documented
                raise HostError(f"the client answered {code:#x}", next_step="look at SmsClientMethodProvider.log there")
            return CHANGED
    raise AssertionError("unreachable: the last round returns or raises")


def _until_mode(enabled: bool) -> Work:
    """Wait until registry and excludes agree, the service runs and the client answers again."""
    mode, excluded = not enabled, not enabled
    answering: Reading[str] = Absent()
    state = ""
    for pause in (*PAUSES, None):
        state = (yield from _service_there("CcmExec")).state
        if state != "Running" and pause is not None:
            yield Pause(pause)  # nothing else is worth a question yet
            continue
        mode, excluded = yield from _mode_there()
        answering = yield from client_version()
        if (mode, excluded) == (enabled, enabled) and state == "Running" and isinstance(answering, Known):
            return CHANGED
        if pause is not None:
            yield Pause(pause)
    words = "true" if enabled else "false"
    if (mode, excluded) != (enabled, enabled):
        raise _not_proved("ProvisioningMode", words, f"{str(mode).lower()}{', tasks excluded' if excluded else ''}")
    raise NotProved(
        f"ProvisioningMode is {words}, and the client does not answer (CcmExec {state})", next_step="look at the PC"
    )


def _policy(step: RequestPolicy, record: Record) -> Work:
    """Ask for policy. Nothing shows whether it was asked for, so a lost answer is asked for again."""
    record(None)
    for operation in step.operations:
        yield from _call_client(operation, again=True)
    return CHANGED
