"""A schedule as lines of ``/etc/cron.d``. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from provmode.fleet.night import HOUR
from provmode.report.schedule import Schedule

STATE = "/var/lib"


def crontab(schedule: Schedule) -> Iterator[str]:
    """Yield the lines of a file in ``/etc/cron.d``. The lock of a run makes ``flock`` unnecessary."""
    yield f"XDG_STATE_HOME={STATE}"
    yield _line(schedule, f"{schedule.at % HOUR} {schedule.at // HOUR} * * *", schedule.audit(STATE))
    if schedule.remembers:
        yield _line(schedule, _repeated(schedule), schedule.retry(STATE))
    if schedule.change is not None:
        words = ["timeout", str(schedule.change.longest), *schedule.apply(schedule.change)]
        yield _line(schedule, schedule.change.when.cron, words)


def _line(schedule: Schedule, when: str, words: Sequence[str]) -> str:
    command = f"cd {shlex.quote(schedule.folder)} && umask 077 && {shlex.join(words)}"
    return f"{when}  {schedule.user}  {escaped(command)}"


def escaped(command: str) -> str:
    """Return a command as cron takes it: a bare ``%`` would end it."""
    return command.replace("%", "\\%")


def _repeated(schedule: Schedule) -> str:
    hours, minutes = divmod(schedule.offset, HOUR)
    if schedule.every < HOUR:
        return f"{minutes}-59/{schedule.every} * * * *"
    if schedule.every == HOUR:
        return f"{minutes} * * * *"
    return f"{minutes} {hours}-23/{schedule.every // HOUR} * * *"
