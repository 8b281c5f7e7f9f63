"""``provmode approve``: sign a plan of somebody else, so that it can be applied."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from provmode.cli.common import complain, confirmed, file_path, made_by, yes_option
from provmode.cli.keys import approving, plan_keys
from provmode.cli.show import print_whole_plan
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.results import COMPLIANT, EXIT_CODES, REFUSED


@click.command(epilog=EXIT_CODES["approve"].help)
@click.argument("plan_file", metavar="PLAN", type=file_path())
@click.option("--key-file", type=file_path(), help="File with your own private key, which signs the approval.")
@click.option(
    "--plan-key", type=file_path(), help="Public key of who made the plan; else plan_keys of the configuration."
)
@yes_option
def approve(plan_file: Path, key_file: Path | None, plan_key: Path | None, yes: bool) -> int:
    """Show PLAN and ask, and put your signature into it. Whoever made it cannot approve it.

    The approval holds for exactly this plan until it expires. --yes approves without a question.
    """
    from provmode.fleet.approvals import Approving, PlanRefused, approved, check_approvals
    from provmode.fleet.key_files import read_private
    from provmode.fleet.plan_file import load, write

    if key_file is None:
        raise UsageError("there is no key to approve with", next_step="give --key-file (provmode key new makes one)")
    own = read_private(key_file)
    keys = plan_keys(plan_key, "plan_key")
    if keys is None:
        raise UsageError(
            "there is no key to check the plan with", next_step="give --plan-key, the public key of who made it"
        )
    who = approving()
    try:
        plan = load(plan_file, keys, unsigned=False, now=utc_now())
        if plan.author is None:
            raise PlanRefused(f"the plan {plan_file} is not signed", next_step="have it signed by who made it")
        if who.approvers and own.public not in who.approvers:
            raise PlanRefused(
                f"the key {key_file} is not one of the approvers'",
                next_step="give another key, or add its public key to approvers under [signing]",
            )
        by = made_by()
        document = approved(
            plan.document, own, author=plan.author, made_by=plan.by, by=by, now=utc_now(), path=plan_file
        )
        if who.approvers:
            check_approvals(plan_file, document, Approving(who.approvers), author=plan.author, made_by=plan.by)
        print_whole_plan(plan_file, plan, checked=True)
        if not confirmed("Approve this plan?", yes=yes):
            return REFUSED
        with _alone(plan_file):
            again = load(plan_file, keys, unsigned=False, now=utc_now())
            if again.document != plan.document:
                raise PlanRefused(f"the plan {plan_file} was changed since it was shown", next_step="approve it again")
            write(plan_file, document)
    except PlanRefused as error:
        complain(str(error))
        return REFUSED
    needed = f" of {who.needed}" if who.needed else ""
    complain(f"approved: {plan_file} has {len(document['approvals'])}{needed} approvals")
    return COMPLIANT


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let nobody else approve a plan meanwhile: of two who write at once one approval would be lost.

    Raises:
        PlanRefused: somebody else does.
        UsageError: it is gone.
    """
    from provmode.fleet.approvals import PlanRefused

    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlanRefused(f"somebody else approves {path} right now", next_step="approve it again") from None
        yield
