"""A schedule as units of systemd, by the rules of systemd.syntax(7), systemd.service(5) and systemd.exec(5). Pure.

What of an audit is an answer, and what a failure of the unit: 2 (changes pending) and 8 (some hosts not assessed) are
what the reports are for, and a unit that fails every night is read by nobody. Everything else wants somebody who does
something: 4 and 6 (an account, DNS, a client, too many unassessed hosts), 1, 3 (the run of the night before still
goes) and 130 (somebody ended it). A retry that finds the nightly run still going (3) has nothing to do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from provmode.fleet.night import HOUR, Change
from provmode.fleet.results import PENDING, REFUSED, UNKNOWN
from provmode.report.schedule import STATE, Schedule

AUDIT, RETRY, CHANGE, FAILED = "provmode-audit", "provmode-retry", "provmode-change", "provmode-failed@"
WRITTEN_BY = "# Written by provmode systemd"
_HARDENING = """
NoNewPrivileges=yes
CapabilityBoundingSet=
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateTmp=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome={home}
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077
"""
HOMES = ("/home", "/root", "/run/user")


def units(schedule: Schedule) -> dict[str, str]:
    """Return the text of each unit by its file name. The first line says who wrote it, and what it was then."""
    texts = {
        f"{AUDIT}.service": _service(
            schedule,
            "Look for ConfigMgr clients that are stuck in provisioning mode",
            schedule.audit("%S"),
            accepted=(PENDING, UNKNOWN),
            after=(f"{RETRY}.service",) if schedule.remembers else (),  # it waits for a retry, and is not refused
            limits=("Type=oneshot", "TimeoutStartSec=20h"),
        ),
        f"{AUDIT}.timer": _timer(
            "Look for ConfigMgr clients that are stuck in provisioning mode, every night",
            f"*-*-* {schedule.at // HOUR:02}:{schedule.at % HOUR:02}",
            "RandomizedDelaySec=15min",
            "Persistent=true",  # a look that was missed is made up for: it changes nothing
        ),
        f"{FAILED}.service": _FAILURE,
    }
    if schedule.remembers:
        texts |= {
            f"{RETRY}.service": _service(
                schedule,
                "Look again at the hosts that could not be assessed",
                schedule.retry("%S"),
                accepted=(PENDING, REFUSED, UNKNOWN),
                limits=("Type=oneshot", "TimeoutStartSec=6h"),
            ),
            f"{RETRY}.timer": _timer("Look again at the hosts that could not be assessed", _repeated(schedule)),
        }
    if schedule.change is not None:
        texts |= _units_of_change(schedule, schedule.change)
    return {name: signed(name, text.lstrip("\n")) for name, text in texts.items()}


def _units_of_change(schedule: Schedule, change: Change) -> dict[str, str]:
    says = "Apply the newest plan that is signed, approved and due, inside a change window"
    writes = (*schedule.writes, *(() if _within_state(change.plans) else (change.plans,)))
    needs = replace(
        schedule, secrets={**schedule.secrets, **change.secrets}, reads=(*schedule.reads, *change.reads), writes=writes
    )
    return {
        f"{CHANGE}.service": _service(
            needs,
            says,
            schedule.apply(change),
            accepted=(PENDING, UNKNOWN),
            limits=("Type=exec", f"RuntimeMaxSec={change.longest}", f"TimeoutStopSec={change.grace}"),
        ),
        f"{CHANGE}.timer": _timer(says, change.when.systemd, "Persistent=false"),  # a night that was missed is over
    }


def _within_state(path: str) -> bool:
    return Path(path).is_relative_to(f"/var/lib/{STATE}")


def signed(name: str, text: str) -> str:
    """Return *text* below a first line by which it is known again."""
    return f"{WRITTEN_BY}; write changes into a drop-in: systemctl edit {name} ({_digest(text)})\n{text}"


def is_ours(text: str) -> bool:
    """Return whether a file is one that `signed` made, and nobody has changed since."""
    first, _, rest = text.partition("\n")
    return first.startswith(f"{WRITTEN_BY};") and first.endswith(f" ({_digest(rest)})")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def in_a_home(path: str) -> bool:
    """Return whether a path is in what ``ProtectHome=yes`` hides."""
    return any(path == home or path.startswith(f"{home}/") for home in HOMES)


def _service(
    schedule: Schedule,
    says: str,
    words: Sequence[str],
    *,
    accepted: Sequence[int],
    limits: Sequence[str],
    after: Sequence[str] = (),
) -> str:
    home = (
        "read-only"
        if any(map(in_a_home, (*schedule.program, schedule.folder, *schedule.reads, *schedule.writes)))
        else "yes"
    )
    written = " ".join(f'"-{_plain(folder)}"' for folder in schedule.writes)  # the dash: it need not be there
    writes = f"ReadWritePaths={written}\n" if written else ""
    kind, limit = limits[0], "\n".join(limits[1:])
    loaded = "".join(f"LoadCredential={key}:{_plain(path)}\n" for key, path in sorted(schedule.secrets.items()))
    return f"""
[Unit]
Description={says}
Wants=network-online.target
After={" ".join(("network-online.target", "nss-lookup.target", *after))}
OnFailure={FAILED}%n.service

[Service]
{kind}
User={schedule.user}
WorkingDirectory={_plain(schedule.folder)}
ExecStart={command_line(words)}
SuccessExitStatus={" ".join(map(str, accepted))}
{limit}
KillMode=mixed
StateDirectory={STATE}
StateDirectoryMode=0700
{writes}{loaded}{_HARDENING.format(home=home)}"""


def _timer(says: str, when: str, *more: str) -> str:
    lines = "\n".join((f"OnCalendar={when}", "AccuracySec=1min", *more))
    return f"""
[Unit]
Description={says}

[Timer]
{lines}

[Install]
WantedBy=timers.target
"""


def _repeated(schedule: Schedule) -> str:
    hours, minutes = divmod(schedule.offset, HOUR)
    if schedule.every < HOUR:
        return f"*-*-* *:{minutes:02}/{schedule.every}"
    return f"*-*-* {hours:02}/{schedule.every // HOUR}:{minutes:02}"


def command_line(words: Sequence[str]) -> str:
    """Return a command line as ``ExecStart=`` takes it. The colon keeps systemd from replacing ``$`` in it."""
    first, *rest = words
    return " ".join(_word(word) for word in (f":{first}", *rest))


def _word(word: str) -> str:
    """Return a word; ``%S`` at its beginning is systemd's own name of a folder."""
    specifier, rest = ("%S", word[2:]) if word.startswith("%S/") else ("", word)
    escaped = specifier + rest.replace("%", "%%")
    return escaped if re.fullmatch(r"[\w%@+=:,./-]+", escaped) else f'"{escaped}"'


def _plain(path: str) -> str:
    """Return a path as settings take it that hold nothing else: blanks count, and nothing is quoted."""
    return path.replace("%", "%%")


_FAILURE = f"""
[Unit]
Description=Say that %i failed

[Service]
Type=oneshot
DynamicUser=yes
SupplementaryGroups=systemd-journal
ExecStart=/bin/sh -c 'unit="$$1"; set -- --unit="$$unit"; if [ -n "$$MONITOR_INVOCATION_ID" ]; then \
set -- "_SYSTEMD_INVOCATION_ID=$$MONITOR_INVOCATION_ID" + "INVOCATION_ID=$$MONITOR_INVOCATION_ID"; fi; \
{{ echo "$$unit failed (exit code $${{MONITOR_EXIT_STATUS:-unknown}}); its last lines:"; \
journalctl --lines=20 --output=cat --no-pager "$$@"; }} | \
systemd-cat --identifier=provmode-failed --priority=err' sh %i
{_HARDENING.format(home="yes")}"""
"""For ``OnFailure=``: the journal says with the priority of an error what failed, and its last lines.

systemd before 251 does not say which of its runs it was: then the lines can be those of earlier ones too.
"""
