"""Bring clients into compliance, each by its verdict: ``pyinfra INVENTORY deploys/comply.py --dry --diff``.

What is `in-progress` is never touched. What is `self-healing` is left alone, unless the policy says not to wait. What
would bring the mode back is disarmed first; then the service's start mode, the exit by the client's own method, and a
request for policy. Every host that is left alone says why.
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone

from pyinfra import host, state
from pyinfra.api import deploy, operation
from pyinfra.context import ctx_state

from facts.client import ClientState, ExitImpact
from operations import client, service
from operations.step import Commands, isolated
from provmode.ccm.judge import judge
from provmode.ccm.policy import Policy, PolicyError
from provmode.ccm.verdict import Outcome, Verdict, outcome
from provmode.reading import known
from provmode.remediation.decide import LEFT_ALONE

logger = logging.getLogger("pyinfra")


@operation()
@isolated
def at_rest() -> Commands:
    """
    Fail on a PC on which a task sequence, an upgrade or Windows Setup runs, so that nothing after this is done there.

    Changes nothing, so nothing is to be undone. Between pyinfra's prompt and its work, one may have started.
    """
    client.refuse_if_at_work()
    host.noop("nothing runs that must not be disturbed")
    yield from ()


@deploy("Leave provisioning mode")
def comply() -> None:
    """Bring this host into compliance; see the module. The policy is the inventory's ``provmode_policy``."""
    seen = host.get_fact(ClientState)
    try:
        policy = Policy.from_mapping(host.data.get("provmode_policy", {}), where=f"data of {host.name}")
    except PolicyError as error:
        host.log(f"left alone: {error}", logger.error)
        return
    assessment = judge(seen, policy, datetime.now(timezone.utc))
    if outcome(assessment.verdict) is not Outcome.PENDING:
        host.log(f"left alone: {assessment.verdict.value}: {assessment.reason} ({LEFT_ALONE[assessment.verdict]})")
        return
    host.log(f"{assessment.verdict.value}: {assessment.reason}")
    at_rest(name="Look again that nothing runs there")
    if policy.check_tcf:
        client.tcf_disarmed(name="Keep MobileClient.TCF from bringing the mode back")
    if assessment.verdict is Verdict.ARMED:
        return
    impact = known(host.get_fact(ExitImpact), None)
    words = impact.words if impact is not None else "what leaving the mode sets off could not be told"
    if words:
        host.log(f"leaving the mode: {words}", logger.warning)
    ccmexec = known(seen.service, None)
    if ccmexec is not None and not (ccmexec.running and not ccmexec.disabled):
        service.service(name="Let the client run", service="CcmExec", start_mode="Auto", running=True)
    client.provisioning_mode(name="Leave provisioning mode by the client's own method", enabled=False)
    client.policy_requested(name="Ask for machine policy")


if ctx_state.isset() and getattr(state, "current_exec_filename", None) == __file__:
    comply()
