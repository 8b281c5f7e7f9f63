"""Approvals: signatures of other people than the author, kept in the plan beside his own.

An approval signs the whole plan as the author signed it, his signature with it, and who approved when. So it holds for
that very plan: whatever is changed, signed anew or taken from another plan, it does not fit any more. It needs no
author's consent, because the author's signature does not cover the field ``approvals``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from provmode.errors import ProvmodeError
from provmode.signing.canonical import canonical
from provmode.signing.keys import APPROVAL, ED25519, Key, PrivateKey, PublicKey

FIELD = "approvals"
_FIELDS = {"algorithm", "key", "by", "time", "value"}


class PlanRefused(ProvmodeError):
    """The whole plan is refused: expired, changed, signed with another key, not approved, or for another fleet."""


@dataclass(frozen=True)
class Approval:
    """One approval, as the plan has it."""

    by: str
    """Account and machine, as those who approved said."""
    time: str
    key: str
    """The fingerprint of the key that signed it."""
    document: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Approving:
    """Who may approve plans, and how many have to."""

    approvers: tuple[PublicKey, ...] = ()
    needed: int = 0


def approvals_in(document: Mapping[str, Any]) -> tuple[Approval, ...]:
    """Return the approvals that a plan has; nothing is checked of them but their form.

    Raises:
        TypeError, ValueError: one of them is none.
    """
    found = document.get(FIELD, [])
    if not isinstance(found, list):
        raise TypeError(f"{FIELD} is {found!r:.40}, not a list")
    for each in found:
        if not isinstance(each, dict) or set(each) != _FIELDS or not all(isinstance(each[name], str) for name in each):
            raise ValueError(f"{each!r:.60} is not an approval")
    return tuple(Approval(each["by"], each["time"], each["key"], each) for each in found)


def approved(
    document: Mapping[str, Any], key: PrivateKey, *, author: Key, made_by: str, by: str, now: datetime, path: Path
) -> dict[str, Any]:
    """Return a plan with an approval more, with *key*. *author* is the key that signed it, *made_by* its field ``by``.

    Raises:
        PlanRefused: the author approves his own plan, or this key approved it before.
    """
    statement = {**key.header, "by": by, "time": now.astimezone(timezone.utc).isoformat()}
    earlier = approvals_in(document)
    _refuse_author(path, Approval(by, statement["time"], key.fingerprint, {}), author, made_by)
    if any(each.key == key.fingerprint for each in earlier):
        raise PlanRefused(f"the plan {path} was approved with this key already")
    new = {**statement, "value": key.sign(APPROVAL, _signed(document, statement))}
    return {**document, FIELD: [*(dict(each.document) for each in earlier), new]}


def check_approvals(
    path: Path, document: Mapping[str, Any], approving: Approving, *, author: Key | None, made_by: str
) -> None:
    """Check that enough of the approvers approved a plan, and nobody else. *author* is ``None`` if it is not signed.

    Raises:
        PlanRefused: says what is missing or wrong.
    """
    approvals = approvals_in(document)
    if author is None:
        if approving.needed or approvals:
            raise PlanRefused(
                f"the plan {path} is not signed: nobody can approve it", next_step="sign plans with a key"
            )
        return
    counted = set()
    for approval in approvals:
        _refuse_author(path, approval, author, made_by)
        if not is_by_approver(path, document, approval, approving):
            raise PlanRefused(
                f"the plan {path} was approved with the key {approval.key:.16}, which is not one of the approvers'",
                next_step="add its public key to approvers under [signing] if that person may approve",
            )
        counted.add(approval.key)
    if len(counted) < approving.needed:
        raise PlanRefused(
            f"the plan {path} has {len(counted)} of {approving.needed} approvals",
            next_step=f"somebody else has to approve it: provmode approve {path} --key-file KEY",
        )


def is_by_approver(path: Path, document: Mapping[str, Any], approval: Approval, approving: Approving) -> bool:
    """Return whether an approval is one of the approvers', who is known by his key.

    Raises:
        PlanRefused: it says so, and is not.
    """
    key = next((key for key in approving.approvers if key.fingerprint == approval.key), None)
    if key is None:
        return False
    statement = {name: value for name, value in approval.document.items() if name != "value"}
    fits = statement["algorithm"] == ED25519
    if not fits or not key.verify(APPROVAL, _signed(document, statement), approval.document["value"]):
        raise PlanRefused(
            f"an approval of {path} (key {approval.key:.16}) does not fit: the plan or the approval was changed, or "
            "it is of another plan",
            next_step="have the plan approved anew",
        )
    return True


def _signed(document: Mapping[str, Any], statement: Mapping[str, str]) -> bytes:
    plan = {name: value for name, value in document.items() if name != FIELD}
    return canonical({**statement, "plan": plan})


def _refuse_author(path: Path, approval: Approval, author: Key, made_by: str) -> None:
    """Refuse an approval by the author: with his key, or under his name, on whichever machine.

    Raises:
        PlanRefused: it is one.
    """
    if approval.key == author.fingerprint:
        raise PlanRefused(
            f"the plan {path} cannot be approved with the key that signed it",
            next_step="somebody else has to approve it",
        )
    if _user(approval.by) == _user(made_by):
        raise PlanRefused(
            f"the plan {path} was made by {made_by}, who cannot approve it as {approval.by}",
            next_step="somebody else has to approve it, from an account of their own",
        )


def _user(by: str) -> str:
    """Return the user of ``user@machine``, as Windows and Linux compare names."""
    return by.rpartition("@")[0].rpartition("\\")[2].casefold() or by.casefold()
