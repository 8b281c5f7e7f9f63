"""When a reason to wait has lasted too long: a task sequence that hangs, a flag of Setup that was left behind. Pure.

A client at work is never touched. Without an end to that, an engine that never stops would keep a client out of every
report.
"""

from __future__ import annotations

from datetime import timedelta

from provmode.ccm.rules import Case, duration, later
from provmode.reading import Known, known


def too_long(case: Case) -> str:
    """Return in words what is at work for longer than anything lasts; empty if nothing is, or if it is not known.

    * A client in the mode: its time limit, the hourly check and the policy's grace have passed. If it has no time
      limit, the policy's ``maximum_work_minutes`` have.
    * A process that counts as legitimate work, by its start and the policy's ``maximum_work_minutes``.
    * Windows Setup that is in progress by its flags alone, on a PC that was not restarted for as long: a real one has
      a program that runs.
    """
    state, clock = case.state, known(case.state.clock, None)
    if clock is None:
        return ""
    longest = timedelta(minutes=case.policy.maximum_work_minutes)
    if state.in_mode and isinstance(state.enabled_time, Known):
        if case.past_time_limit:
            return f"at work for longer than its time limit: in provisioning mode {case.since}"
        if case.without_limit and clock.now > later(state.enabled_time.value, longest):
            return f"at work for longer than {duration(longest)}: in provisioning mode {case.since}"
    legitimate = {name.lower() for name in case.policy.legitimate_processes}
    starts = [item for item in known(state.process_starts, ()) if item.name.lower() in legitimate]
    oldest = min(starts, key=lambda item: item.started, default=None)
    if oldest is not None and clock.now > later(oldest.started, longest):
        since = f"{oldest.started:%Y-%m-%d %H:%M UTC} ({duration(clock.now - oldest.started)})"
        return f"{oldest.name} has been running since {since}, longer than {duration(longest)}"
    setup = known(state.setup, None)
    idle = not any(name.lower() in legitimate for name in known(state.processes, ()))
    if setup is not None and setup.running and idle and clock.last_boot is not None:
        up = clock.now - clock.last_boot
        if up > longest:
            started = f"Windows last started {duration(up)} ago"
            return f"Windows Setup is in progress by its flags, none of its programs runs, and {started}"
    return ""
