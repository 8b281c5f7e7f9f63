"""How hosts and runs end: the one table of outcomes and exit codes.

The commands take their exit codes from it, and so do their help texts. A test compares it with ``docs/running.md``.

Exit codes 2 and 4 add up to 6. Code 8 is used only if none of these applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from provmode.ccm.verdict import TO_MEND, Outcome
from provmode.errors import Cause

COMPLIANT, BAD_USAGE, PENDING, REFUSED, FAILED, UNKNOWN, INTERRUPTED = 0, 1, 2, 3, 4, 8, 130


class HostOutcome(str, Enum):
    """How one host ended in a run that changes PCs."""

    CHANGED = "changed"
    """As planned, and read back."""
    RESTORED = "restored"
    """Undone, and read back."""
    ALREADY = "already"
    """It was as planned before anything was done; nothing was changed."""
    NOTHING = "nothing"
    """There was nothing to undo, or nothing that can be undone."""
    STALE = "stale"
    """It is not as the plan saw it, another PC answers, or another controller works on it. Nothing more was changed."""
    FAILED = "failed"
    """A step failed, or reading back does not show what was planned: a compliant client, or packages."""
    UNREACHED = "unreached"
    NOT_STARTED = "not-started"
    DEFERRED = "deferred"
    """Its turn comes in the next window: `--resume` goes on with it."""

    def counts_as(self, cause: str | None, *, to_mend: bool = False) -> HostOutcome:
        """Return the outcome by which a host with *cause* counts for the exit code.

        If the cause is the operator's *to_mend*, nobody worked on the PC, and trying again does not help: a failure.
        """
        return HostOutcome.FAILED if to_mend or cause in TO_MEND else self

    def __str__(self) -> str:
        """Return the word itself."""
        return self.value


APPLY_OUTCOMES = (
    *(HostOutcome.CHANGED, HostOutcome.ALREADY, HostOutcome.STALE),
    *(HostOutcome.FAILED, HostOutcome.UNREACHED, HostOutcome.NOT_STARTED, HostOutcome.DEFERRED),
)
"""The outcomes of an apply, as its JSON counts them."""

UNDO_OUTCOMES = (
    *(HostOutcome.RESTORED, HostOutcome.NOTHING, HostOutcome.STALE),
    *(HostOutcome.FAILED, HostOutcome.UNREACHED, HostOutcome.NOT_STARTED, HostOutcome.DEFERRED),
)
"""The outcomes of an undo, as its JSON counts them."""

MEANINGS: Mapping[HostOutcome, str] = {
    HostOutcome.CHANGED: "changed as planned, and read back",
    HostOutcome.RESTORED: "restored, and read back",
    HostOutcome.ALREADY: "as planned before anything was done",
    HostOutcome.NOTHING: "nothing to restore",
    HostOutcome.STALE: "not as the plan saw it, another PC, or in use by another run: left as it is",
    HostOutcome.FAILED: "a step failed, or reading back does not show what was planned",
    HostOutcome.UNREACHED: "could not be reached or assessed",
    HostOutcome.NOT_STARTED: "the run ended before its turn, or a waiver holds it",
    HostOutcome.DEFERRED: "its window closed before its turn: `--resume` in the next one goes on with it",
}


class Ending(Protocol):
    """How a host ended, as the exit code counts it."""

    @property
    def host(self) -> str:
        """Its name, without the connector."""

    @property
    def outcome(self) -> HostOutcome:
        """How it ended."""

    @property
    def cause(self) -> str | None:
        """Why it could not be reached, if so."""

    @property
    def to_mend(self) -> bool:
        """Whether that is the operator's to mend, whatever the cause says."""


def counted(endings: Iterable[Ending], by_name: Set[str]) -> list[HostOutcome]:
    """Return the outcome by which each host counts for the exit code; *by_name* are those that are looked up."""
    hosts = list(endings)
    no_dns = none_resolves({each.host: each.cause for each in hosts}, by_name)
    return [
        each.outcome.counts_as(each.cause, to_mend=each.to_mend or (no_dns and each.cause == Cause.NAME_RESOLUTION))
        for each in hosts
    ]


def none_resolves(causes: Mapping[str, str | None], by_name: Set[str]) -> bool:
    """Return whether most hosts have names that must be looked up, and not one was found: that is DNS, not the PCs.

    *causes* says for each host why it could not be reached; *by_name* are the hosts that are looked up.
    """
    named = [cause for host, cause in causes.items() if host in by_name]
    return 2 * len(named) > len(causes) and all(cause == Cause.NAME_RESOLUTION for cause in named)


@dataclass(frozen=True)
class ExitCodes:
    """The exit codes of one command: which outcome of a host leads to which code, and what each code means."""

    code_of: Mapping[Enum, int]
    """The code for each outcome of a host; an outcome that is not here has code 0."""
    meanings: Mapping[int, str]
    """What each code means, in the order of help and documents."""

    def code(self, outcomes: Iterable[Enum], *, interrupted: bool = False) -> int:
        """Return the exit code of a run in which the hosts ended with *outcomes*."""
        if interrupted:
            return INTERRUPTED
        codes = {self.code_of[outcome] for outcome in outcomes if outcome in self.code_of}
        return (PENDING if PENDING in codes else 0) | (FAILED if FAILED in codes else 0) or max(codes, default=0)

    @property
    def help(self) -> str:
        """The table as the end of a help text."""
        rows = [f"{code:>3}  {meaning}" for code, meaning in self.meanings.items()]
        return "\b\nExit codes:\n" + "\n".join(rows)


_TO_MEND = "another PC answers, or an account, a certificate, rights, remote shells or DNS have to be mended"
"""What counts as failed in every command that reaches for PCs: the causes of `TO_MEND`, and DNS."""

AUDIT = ExitCodes(
    {Outcome.PENDING: PENDING, Outcome.FAILED: FAILED, Outcome.UNASSESSED: UNKNOWN},
    {
        COMPLIANT: "nothing to do: compliant, left alone for now (self-healing, in-progress), or waived",
        PENDING: "changes pending",
        REFUSED: "not begun: the same run of the configuration file's inventory is still going, or no window is open",
        FAILED: (
            f"failed on some host: a client is broken, something is at work for too long, {_TO_MEND}; "
            "or more hosts are unassessed than --max-unassessed allows"
        ),
        PENDING | FAILED: "changes pending and failed",
        UNKNOWN: "nothing pending or failed, but some hosts not assessed: off, away, too slow, without WinRM",
        BAD_USAGE: "bad usage, or provmode's own error",
        INTERRUPTED: "interrupted, or its window closed: the report so far was printed, with the hosts that are "
        "missing",
    },
)
"""Of `audit` and `plan`."""

DEMO = ExitCodes(
    AUDIT.code_of,
    {
        **{code: meaning for code, meaning in AUDIT.meanings.items() if code != REFUSED},
        INTERRUPTED: "interrupted: the report so far was printed, with the hosts that are missing",
    },
)

TRACES = ExitCodes(
    AUDIT.code_of,
    {
        COMPLIANT: "nothing of provmode is on any host",
        PENDING: "something of provmode is on some host",
        FAILED: f"failed on some host: {_TO_MEND}",
        PENDING | FAILED: "both 2 and 4",
        UNKNOWN: "nothing was found, but some hosts could not be looked at",
        BAD_USAGE: "bad usage, or provmode's own error",
        INTERRUPTED: "interrupted: the report so far was printed, with the hosts that are missing",
    },
)

PACKAGE_FLEET = ExitCodes(
    AUDIT.code_of,
    {
        COMPLIANT: "every host was looked at, and nothing was found but hints",
        PENDING: "something was found about the packages of some host",
        FAILED: f"failed on some host: {_TO_MEND}",
        PENDING | FAILED: "both 2 and 4",
        UNKNOWN: "nothing was found, but some hosts, or some of their packages, could not be looked at",
        BAD_USAGE: "bad usage, or provmode's own error",
        INTERRUPTED: "interrupted: the report so far was printed, with the hosts that are missing",
    },
)

APPLY = ExitCodes(
    {
        HostOutcome.STALE: PENDING,
        HostOutcome.NOT_STARTED: PENDING,
        HostOutcome.DEFERRED: PENDING,
        HostOutcome.FAILED: FAILED,
        HostOutcome.UNREACHED: UNKNOWN,
    },
    {
        COMPLIANT: "everything planned is done, or was done already",
        PENDING: "some hosts were stale or not started: plan anew; or deferred: resume",
        REFUSED: "the plan was refused: expired, changed, signed with another key, not approved; "
        "or a guard did not let it begin",
        FAILED: f"a change failed (the report names the step and what `undo` restores), {_TO_MEND}",
        PENDING | FAILED: "both 2 and 4",
        UNKNOWN: "nothing failed, but some hosts were not reached",
        BAD_USAGE: "bad usage, or provmode's own error",
        INTERRUPTED: "interrupted; hosts in progress were finished",
    },
)

APPROVE = ExitCodes(
    {},
    {
        COMPLIANT: "approved",
        REFUSED: "nothing was approved: the plan is yours, expired, changed or signed with another key, "
        "or nobody confirmed it",
        BAD_USAGE: "bad usage, no key, or a file that cannot be read or written",
        INTERRUPTED: "interrupted before it was approved",
    },
)

PUSH = ExitCodes(
    {**APPLY.code_of, **AUDIT.code_of},
    {
        COMPLIANT: "every PC is compliant, has become so, is left alone for now (self-healing, in-progress), or waived",
        PENDING: "changes are pending on some host: it was stale or not started, or it cannot be changed",
        REFUSED: "nothing was changed: nobody confirmed it, plans need an approval, or a guard did not let it begin",
        FAILED: f"a change failed, a client is broken, something is at work for too long, {_TO_MEND}",
        PENDING | FAILED: "both 2 and 4",
        UNKNOWN: "nothing failed, but some hosts were not reached or not assessed",
        BAD_USAGE: "bad usage, too many hosts, or provmode's own error",
        INTERRUPTED: "interrupted; hosts in progress were finished",
    },
)

UNDO = ExitCodes(
    APPLY.code_of,
    {
        COMPLIANT: "everything that can be restored is restored, or was restored already",
        PENDING: "something was changed since the run and left as it is, or some hosts were not started; "
        "with --dry also: something would be restored",
        REFUSED: "nothing was restored: nobody confirmed it, or a guard did not let it begin",
        FAILED: f"restoring failed on some host, {_TO_MEND}",
        PENDING | FAILED: "both 2 and 4",
        UNKNOWN: "nothing failed, but some hosts were not reached",
        BAD_USAGE: "bad usage, a damaged journal, or provmode's own error",
        INTERRUPTED: "interrupted; hosts in progress were finished",
    },
)

VERIFY = ExitCodes(
    {},
    {
        COMPLIANT: "every line is as it was written, and the last run or undo finished",
        PENDING: "every line is as it was written, but the last run or undo did not finish",
        BAD_USAGE: "a line was changed, added or removed, the signature is missing, or the journal cannot be read",
        INTERRUPTED: "interrupted before it was verified",
    },
)

SHOW = ExitCodes(
    {},
    {
        COMPLIANT: "shown: it is as it was written, or there was no key to check it with, and the text says so",
        REFUSED: "it is not a whole plan, was changed, or was signed with another key",
        BAD_USAGE: "bad usage, a damaged journal, or provmode's own error",
        INTERRUPTED: "interrupted before it was shown",
    },
)

REPORT = ExitCodes(
    {},
    {
        COMPLIANT: "the page was written",
        BAD_USAGE: "bad usage, nothing to make it of, or the file cannot be written",
        INTERRUPTED: "interrupted before it was written",
    },
)

INVENTORY = ExitCodes(
    {},
    {
        COMPLIANT: "shown; no PC was asked",
        BAD_USAGE: "bad usage, or a run with this inventory would end before it asks a PC: each line says why",
        INTERRUPTED: "interrupted before it was shown",
    },
)

CONFIG = ExitCodes(
    {},
    {
        COMPLIANT: "shown; no PC was asked, and no inventory was run",
        BAD_USAGE: "bad usage, or a configuration file that cannot be used: each line says why",
        INTERRUPTED: "interrupted before it was shown",
    },
)

INIT = ExitCodes(
    {},
    {
        COMPLIANT: "written",
        BAD_USAGE: "bad usage, the file is there already or cannot be written, or others can change it",
        INTERRUPTED: "interrupted before it was written",
    },
)

KEY = ExitCodes(
    {},
    {
        COMPLIANT: "written or shown; no PC was asked",
        BAD_USAGE: "bad usage, a file is there already or cannot be written, or holds no key that can be used",
        INTERRUPTED: "interrupted before it was written or shown",
    },
)

WAIVE = ExitCodes(
    {},
    {
        COMPLIANT: "the waiver was added; with --check: the file has no mistake; no PC was asked",
        BAD_USAGE: "bad usage, or a mistake in the file or the waiver: each line says which, and nothing was written",
        INTERRUPTED: "interrupted before it was written",
    },
)

HISTORY = ExitCodes(
    {},
    {
        COMPLIANT: "shown, imported or forgotten, as asked; no PC was asked",
        BAD_USAGE: "bad usage, there is no history, it cannot be read or written, or a file cannot be imported",
        INTERRUPTED: "interrupted",
    },
)

DRIFT = ExitCodes(
    {},
    {
        COMPLIANT: "shown; nothing is new, returned or changed, but for what is waived",
        PENDING: "shown; something is new, returned or changed",
        FAILED: "shown, but who was to be told of it could not be told",
        BAD_USAGE: "bad usage, there is no history, it cannot be read, or it has no two runs to compare",
        INTERRUPTED: "interrupted before it was shown",
    },
)

PACKAGE = ExitCodes(
    {},
    {
        COMPLIANT: "read; there is nothing to say but hints, nothing differs, every setting is decided",
        PENDING: "read; there are findings, the packages differ, or a setting is not decided",
        FAILED: "a package could not be read: what is in it could not be told",
        PENDING | FAILED: "both 2 and 4",
        BAD_USAGE: "bad usage, or a file that is not there, is no file, or must not be read",
        INTERRUPTED: "interrupted",
    },
)
"""Of `package show`, `lint`, `diff` and `resolve`."""

SYSTEMD = ExitCodes(
    {},
    {
        COMPLIANT: "written",
        BAD_USAGE: "bad usage, no configuration file, or a file that it did not write: nothing was written",
        INTERRUPTED: "interrupted before everything was written",
    },
)

LAB = ExitCodes(
    {},
    {
        COMPLIANT: "it was stopped, by Ctrl-C or a signal",
        BAD_USAGE: "bad usage, or it cannot be run",
        INTERRUPTED: "interrupted before it ran",
    },
)

EXIT_CODES: Mapping[str, ExitCodes] = {
    "audit": AUDIT,
    "plan": AUDIT,
    "demo": DEMO,
    "approve": APPROVE,
    "apply": APPLY,
    "push": PUSH,
    "undo": UNDO,
    "verify": VERIFY,
    "show": SHOW,
    "traces": TRACES,
    "key": KEY,
    "report": REPORT,
    "inventory": INVENTORY,
    "config": CONFIG,
    "init": INIT,
    "waive": WAIVE,
    "history": HISTORY,
    "drift": DRIFT,
    "package": PACKAGE,
    "systemd": SYSTEMD,
    "lab": LAB,
}
"""The table of every command. Help and documents take their exit codes from here."""
