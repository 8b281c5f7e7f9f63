"""What undoing steps would make of a client: asked, and nothing is changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provmode.ccm.client import activity, client_state
from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.rules import live
from provmode.ccm.verdict import Assessment
from provmode.errors import HostError
from provmode.reading import NOT_READ
from provmode.remediation.execute import StaleStep, execute
from provmode.remediation.steps import SetFile, Step
from provmode.windows.conversation import Conversation
from provmode.windows.files import StaleFile


@dataclass(frozen=True)
class Foreseen:
    """What undoing would do to one client."""

    now: Assessment
    then: Assessment | None
    """``None``: the readings do not tell."""
    restored: tuple[str, ...]
    """What would be restored."""
    left: tuple[str, ...]
    """What would be left as it is, and why: it was changed since, or could not be looked at."""
    busy: str = ""
    """What runs there, because of which nothing would be restored now."""


def in_short(step: Step) -> str:
    """Return what a step restores; for a file without its hashes, which differ from PC to PC."""
    if isinstance(step, SetFile):
        return f"{step.path} as it was before the run"
    return "; ".join(str(item) for item in step.properties)


class _Enough(Exception):
    """The step would now be carried out."""


def _enough(previous: Any) -> None:
    raise _Enough


def foresee(
    steps: Sequence[tuple[Step, bytes | None]], now: Callable[[], datetime], policy: Policy
) -> Conversation[Foreseen]:
    """Return what carrying out *steps* (each with the bytes that it writes) would make of a client.

    Each step looks at the PC as it does when it is carried out, and ends right before its change. *now* is the
    controller's clock.
    """
    client: ClientReadings = yield from client_state(now, policy.legitimate_processes)
    before = judge(client, policy, now())
    after: ClientReadings | None = client
    restored: list[str] = []
    left: list[str] = []
    for step, data in steps:
        try:
            yield from execute(step, announce=_enough, data=data)
        except _Enough:
            restored.append(in_short(step))
            after = step.shown_after(after, data) if after is not None else None
        except (StaleStep, StaleFile) as error:
            left.append(f"{error.what}; it would be left as it is")
        except HostError as error:
            left.append(str(error))
    runs = yield from activity(ClientReadings(now()), policy.legitimate_processes)
    signals, _ = live(runs, policy)
    if after is not None and after.in_question and after.processes == NOT_READ:
        after = yield from activity(after, policy.legitimate_processes)
    then = judge(after, policy, now()) if after is not None else None
    return Foreseen(before, then, tuple(restored), tuple(left), "; ".join(signals))
